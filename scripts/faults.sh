#!/usr/bin/env bash
# The long forms of the tests of faults, with real processes, one after the other, some hour on two cores by estimate: twenty kills of a node
# and twenty of a worker in each phase of a round, thirty kills in sixty rounds, a site that is cut off for six minutes, and
# finality that stands for six minutes because two of four are off. Each prints what it has measured, and the seed of its random
# moments; CONSILIUM_E2E_SEED=NUMBER gives the same ones again. Arguments choose tests by name. The short forms are in scripts/test.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh tests
# shellcheck source=scripts/env.sh
. scripts/env.sh
# as the tests build: nothing is compiled again
RUSTC_WORKSPACE_WRAPPER=$(stand_in lint)
export RUSTC_WORKSPACE_WRAPPER
[ $# -gt 0 ] || set -- faults::
cargo build --release --locked --workspace --all-targets
for name in "$@"; do
    cargo test --release --locked --workspace --test e2e -- --ignored --nocapture --test-threads=1 "$name"
done
