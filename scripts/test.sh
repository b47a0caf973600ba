#!/usr/bin/env bash
# Sets up what is missing, then checks format and lints and runs every test of the workspace.
# The first run builds some 900 crates: about half an hour on two cores. Later runs take minutes.
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
step "unit and property tests (the first build takes about half an hour)"
with_fresh_wasm test --release --locked --workspace --exclude consilium-e2e
step "real processes: a network of eight, several times over (about twenty minutes)"
with_fresh_wasm build --release --locked --workspace --bins
cargo test --release --locked --workspace --test refusals --test localnet --test audit --test polkadot -- --test-threads=1
