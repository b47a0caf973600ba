#!/usr/bin/env bash
# Sets up what is missing, then checks format and lints and runs every test of the workspace.
# The first run builds some 900 crates three times over, and takes about an hour on two cores; later ones a quarter of one.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh tests
# shellcheck source=scripts/env.sh
. scripts/env.sh

step() { printf '[test] %s\n' "$*" >&2; }

step "format, and whether the shipped chain has the runtime of these sources"
cargo fmt --all --check
scripts/chain-specs.sh --check
step "lints (warnings are errors)"
SKIP_WASM_BUILD=1 cargo clippy --release --locked --workspace --all-targets -- -D warnings
step "merges have the same bits built for newer processors, too (three minutes the first time)"
scripts/same-bits.sh x86-64-v3 x86-64-v4
step "unit and property tests (the first build takes about half an hour)"
with_fresh_wasm test --release --locked --workspace --exclude consilium-e2e
step "real processes: networks of eight, three at a time (about ten minutes)"
with_fresh_wasm build --release --locked --workspace --bins
cargo test --release --locked --workspace --test e2e -- --test-threads=3
