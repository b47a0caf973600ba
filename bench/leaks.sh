#!/usr/bin/env bash
# What updates, masked sums and models tell about single records: docs/masks.md. All tables are printed and kept in bench/leaks/, with
# every figure; a run that was interrupted goes on where it was. Says what it is doing on stderr. Ends with 1 where a bar does not hold.
#
# usage: bench/leaks.sh [--arms net,logistic,steps] [--seeds 1..5] [--studies 600] [--threads N] [--only-tables]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

mkdir -p bench/leaks
cargo build --release --locked -p consilium-ml-worker --example leaks
"${CARGO_TARGET_DIR:-target}/release/examples/leaks" --json bench/leaks/records.json "$@" | tee bench/leaks/tables.txt
