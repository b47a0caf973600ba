#!/usr/bin/env bash
# Four hospitals train one model: eight real processes on this machine, one command.
# Arguments go to `consilium localnet run`, for example --rounds 20, --keep, --out DIR, --seed 7.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
# shellcheck source=scripts/env.sh
. scripts/env.sh

target=${CARGO_TARGET_DIR:-target}
if [ ! -x "$target/release/consilium-node" ]; then
    echo "Building. The first time, everything is compiled: about half an hour on two cores." >&2
fi
cargo build --release --workspace --bins

exec "$target/release/consilium" localnet run --chain chain-specs/local-raw.json \
    --study examples/breast-cancer/study.toml "$@"
