#!/usr/bin/env bash
# Sets up what is missing, then checks format and lints and runs every test of the workspace.
# The first run builds some 900 crates: about half an hour on two cores. Later runs take minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
# shellcheck source=scripts/env.sh
. scripts/env.sh

step() { printf '[test] %s\n' "$*" >&2; }

step "format"
cargo fmt --all --check
step "tests (the first build takes about half an hour)"
cargo test --release --locked --workspace
