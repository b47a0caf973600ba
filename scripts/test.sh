#!/usr/bin/env bash
# Sets up what is missing, then checks format and lints and runs every test of the workspace.
# The first run compiles some 900 crates, and takes about an hour on two cores; later ones a third of one.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh tests
# shellcheck source=scripts/env.sh
. scripts/env.sh

step() { printf '[test] %s\n' "$*" >&2; }

step "format, and whether the shipped chain has the runtime of these sources"
cargo fmt --all --check
scripts/chain-specs.sh --check
step "the links of the pages, and of the book that is made of them"
scripts/book.sh --check
step "the page of \`consilium dashboard\` is what its sources give (some seconds)"
scripts/dashboard.sh --check
step "builds, and lints every crate on the way (warnings are errors; the first time takes forty minutes)"
RUSTC_WORKSPACE_WRAPPER=$(stand_in lint)
export RUSTC_WORKSPACE_WRAPPER
cargo build --release --locked --workspace --all-targets
step "merges have the same bits built for newer processors, too (two minutes the first time)"
scripts/same-bits.sh x86-64-v3 x86-64-v4
step "the Python package, as the worker meets it (seconds)"
e2e/merges/.venv/bin/python -m unittest discover python/tests
step "all tests, and runs of real processes: networks of eight, and machines with addresses of their own (about ten minutes)"
scripts/tests.py
