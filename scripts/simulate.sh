#!/usr/bin/env bash
# A hundred thousand simulated studies with mishaps and liars, in place of the two thousand that the tests run: the round's state machine
# alone, in one process. Some minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
# shellcheck source=scripts/env.sh
. scripts/env.sh
# as the tests build: nothing is compiled again
RUSTC_WORKSPACE_WRAPPER=$(stand_in lint)
export RUSTC_WORKSPACE_WRAPPER
export CONSILIUM_SIMULATE_TIMES=50
cargo test --release --locked --package consilium-primitives --lib -- --nocapture round::tests::properties
