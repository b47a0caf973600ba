#!/usr/bin/env bash
# Seconds a round where the sites lie far apart: four founded institutions on machines with addresses of their own, the demo's study, thirty
# rounds over lines of 50, 100 and 200 ms there and back that lose one packet in a thousand each way. Bars: a median of 1.1 and 1.6 s for
# the first two. The system's netem makes the lines, where there is one, else a relay of ours over tun devices; which of them it was is
# printed, and so is what each round waited for (`consilium late`). Some three minutes, once all is built.
#
# usage: bench/wan.sh [NAME ...]      such as thirty_rounds_over_50_ms
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh
# as the tests build: nothing is compiled again
RUSTC_WORKSPACE_WRAPPER=$(stand_in lint)
export RUSTC_WORKSPACE_WRAPPER
[ $# -gt 0 ] || set -- thirty_rounds_over_50_ms thirty_rounds_over_100_ms thirty_rounds_over_200_ms
cargo build --release --locked --workspace --all-targets
status=0
for name in "$@"; do
    uptime
    cargo test --release --locked --workspace --test e2e -- --ignored --nocapture --exact "far::$name" || status=1
done
exit $status
