#!/usr/bin/env bash
# Makes chain-specs/: the local testnet's specification, readable and raw, from the node's own preset. The raw one holds
# the runtime itself, so both are made anew whenever the runtime's sources change. sources.sha256 says from which they
# were made; with --check, nothing is made, and the script fails where the sources are others by now.
set -euo pipefail
cd "$(dirname "$0")/.."

sources() {
    find Cargo.toml runtime pallets primitives -type f \( -name '*.rs' -o -name Cargo.toml \) \
        -not -path '*/tests/*' -not -name 'tests*.rs' -not -name mock.rs -not -name testing.rs -not -name benchmarking.rs -print0 \
        | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

if [ "${1:-}" = --check ]; then
    [ "$(sources)" = "$(cat chain-specs/sources.sha256 2>/dev/null)" ] && exit 0
    echo "error: the sources of the runtime are not those from which chain-specs/ was made: run scripts/chain-specs.sh" >&2
    exit 1
fi

# shellcheck source=scripts/env.sh
. scripts/env.sh
with_fresh_wasm build --release --locked --workspace --bins
node="${CARGO_TARGET_DIR:-target}/release/consilium-node"
# each is whole or not there at all
"$node" export-chain-spec --chain local >chain-specs/local.json.new
"$node" export-chain-spec --chain local --raw >chain-specs/local-raw.json.new
mv chain-specs/local.json.new chain-specs/local.json
mv chain-specs/local-raw.json.new chain-specs/local-raw.json
sources >chain-specs/sources.sha256
