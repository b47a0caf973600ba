#!/usr/bin/env bash
# Whether merges have the same bits however the code is built: the tests of `aggregation` that compare hashes, at 1, 2 and 4
# threads, built for the levels named, or for x86-64, x86-64-v3 and x86-64-v4. A level that this machine cannot run is left
# out, and said so. Built for x86-64, the code still takes wider vectors where it finds them; one test of the library goes
# without them. Only crates of this workspace are built for a level: a merge's arithmetic is in them. The first level takes
# two minutes the first time, on two cores, each further one some twenty seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh
[ "$(uname -m)" = x86_64 ] || { echo "same-bits: only for x86-64" >&2; exit 0; }
[ $# -gt 0 ] || set -- x86-64 x86-64-v3 x86-64-v4
# whether the machine has all of these
has() {
    local feature
    for feature in "$@"; do
        grep -qm1 "^flags.*\b$feature\b" /proc/cpuinfo || return 1
    done
}
v3=(avx2 bmi1 bmi2 f16c fma abm movbe)
v4=("${v3[@]}" avx512f avx512bw avx512cd avx512dq avx512vl)
failed=0
for level in "$@"; do
    case $level in
        x86-64) needs=() ;;
        x86-64-v3) needs=("${v3[@]}") ;;
        x86-64-v4) needs=("${v4[@]}") ;;
        *) echo "same-bits: no level is called $level: x86-64, x86-64-v3, x86-64-v4" >&2; exit 1 ;;
    esac
    tests() {
        RUSTC_WORKSPACE_WRAPPER=$(stand_in level "$level") \
            cargo test --quiet --release --locked -p consilium-aggregation --lib --test golden --test masked --test rules "$@" >&2
    }
    if ! has "${needs[@]}"; then
        verdict="not tried: this machine cannot run it"
    elif ! tests --no-run; then
        verdict="not built"
        failed=1
    elif tests; then
        verdict="same bits"
    else
        verdict="NOT the same bits"
        failed=1
    fi
    echo "$level: $verdict"
done
exit $failed
