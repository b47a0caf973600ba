#!/usr/bin/env bash
# Makes chain-specs/: the local testnet's specification, readable and raw, from the node's own preset.
set -euo pipefail
cd "$(dirname "$0")/.."
node="${CARGO_TARGET_DIR:-target}/release/consilium-node"
[ -x "$node" ] || { echo "error: $node is missing: cargo build --release --workspace --bins" >&2; exit 1; }
"$node" export-chain-spec --chain local >chain-specs/local.json
"$node" export-chain-spec --chain local --raw >chain-specs/local-raw.json
