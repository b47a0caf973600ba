#!/usr/bin/env bash
# What private training costs in AUC, and what an attacker still finds in it: docs/privacy.md. Tables are printed and kept in
# bench/private/, with every figure; a run that was interrupted goes on where it was. Ends with 1 where a bar does not hold.
#
# usage: bench/private.sh [--seeds 1..20] [--studies 600] [--threads N]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

seeds=1..20
attack=()
while [ $# -gt 0 ]; do
    case $1 in
    --seeds) seeds=$2 ;;
    --studies) attack+=(--studies "$2") ;;
    --threads)
        attack+=(--threads "$2")
        export RAYON_NUM_THREADS=$2
        ;;
    *)
        sed -n 5p "$0" >&2
        exit 2
        ;;
    esac
    shift 2
done

mkdir -p bench/private
cargo build --release --locked -p consilium-ml-worker --example private --example leaks
programs=${CARGO_TARGET_DIR:-target}/release/examples
held=0
"$programs/private" --seeds "$seeds" --json bench/private/auc.json | tee bench/private/auc.txt || held=1
"$programs/leaks" --private --seeds "$seeds" "${attack[@]}" --json bench/private/membership.json | tee bench/private/membership.txt || held=1
exit $held
