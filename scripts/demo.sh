#!/usr/bin/env bash
# Four hospitals train one model: eight real processes on this machine, one command.
# Arguments go to `consilium localnet run`, for example --rounds 20, --keep, --out DIR, --seed 7, --masked; --help lists them.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$here/target}
case $target in /*) ;; *) target=$here/$target ;; esac

(
    cd "$here"
    scripts/setup.sh
    # shellcheck source=scripts/env.sh
    . scripts/env.sh
    if [ ! -x "$target/release/consilium-node" ]; then
        echo "Building. The first time, everything is compiled: about twenty minutes on two cores." >&2
    fi
    export CARGO_TARGET_DIR=$target
    cargo build --release --locked --workspace --bins
)

# paths among the arguments count from where the caller stands; a --study of the caller's own takes the demo's place
given() { for argument in "${@:2}"; do case $argument in "$1" | "$1"=*) return 0 ;; esac done; return 1; }
more=()
given --study "$@" || more+=(--study "$here/examples/breast-cancer/study.toml")
exec "$target/release/consilium" localnet run "${more[@]}" "$@"
