#!/usr/bin/env bash
# What liars can do to every merge rule: docs/attacks.md. Tables are printed and kept in bench/attacks/, with the figures of
# every study; a run that was interrupted goes on where it was.
#
# usage: bench/attacks.sh [all|breast|digits|digits-skewed] [--seeds 1..20] [--sites 4,5,7,8,11] [--threads N]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

which=all
case ${1:-} in all | breast | digits | digits-skewed) which=$1 && shift ;; esac
if [ "$which" = all ]; then sets=(breast digits digits-skewed); else sets=("$which"); fi

mkdir -p bench/attacks
if [ "$which" != breast ] && [ ! -s bench/attacks/digits.csv ]; then
    bench/setup.sh
    bench/.venv/bin/python bench/digits.py bench/attacks/digits.csv
fi
cargo build --release --locked -p consilium-ml-worker --example attacks
for data in "${sets[@]}"; do
    "${CARGO_TARGET_DIR:-target}/release/examples/attacks" --data "$data" --digits bench/attacks/digits.csv \
        --json "bench/attacks/$data.json" "$@" | tee "bench/attacks/$data.txt"
done
