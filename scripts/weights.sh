#!/usr/bin/env bash
# Measures the weights of the two pallets, and writes pallets/*/src/weights.rs. Run it on a machine that does nothing
# else, of the kind that the slowest institution has; then scripts/chain-specs.sh, for the runtime has changed.
# Builds go to a target folder of their own, for they have other features: about an hour on two cores, the first time.
set -euo pipefail
cd "$(dirname "$0")/.."

BENCHER=0.28.0 # of the same SDK release as Cargo.toml

scripts/setup.sh wasm
# shellcheck source=scripts/env.sh
. scripts/env.sh
target=${CARGO_TARGET_DIR:-$PWD/target}-weights

if ! "$target/bin/frame-omni-bencher" --version 2>/dev/null | grep -q "$BENCHER"; then
    echo "Building the benchmarking command line (half an hour on two cores)" >&2
    # its own test runtime is not needed
    SKIP_WASM_BUILD=1 cargo install --quiet --locked --root "$target" --target-dir "$target/tool" "frame-omni-bencher@$BENCHER"
fi
echo "Building the runtime with its benchmarks (a quarter of an hour on two cores, the first time)" >&2
CARGO_TARGET_DIR=$target with_fresh_wasm build --release --locked --package consilium-runtime-wasm \
    --features build,runtime-benchmarks
wasm=$target/release/wbuild/consilium-runtime/consilium_runtime.compact.wasm

for pallet in consortium swarm-learning; do
    echo "Measuring pallet-$pallet" >&2
    "$target/bin/frame-omni-bencher" v1 benchmark pallet --runtime "$wasm" \
        --genesis-builder none --pallet "pallet_${pallet//-/_}" --extrinsic '*' --steps "${STEPS:-50}" --repeat "${REPEAT:-20}" \
        --template scripts/weights.hbs --output "pallets/$pallet/src/weights.rs"
done
cargo fmt --package pallet-consortium --package pallet-swarm-learning
