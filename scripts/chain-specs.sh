#!/usr/bin/env bash
# Makes chain-specs/: the compiled runtime, which the node carries, and the local testnet's specification, readable and raw, from
# the node's own preset. All hold the runtime, and are made anew whenever its sources, the libraries it is built from or the
# compiler change. made-from.txt says from which they were made, and the BLAKE2b-256 hash of the runtime.
#   --check            makes nothing, and fails where sources or libraries are others by now
#   --check --rebuild  also builds the runtime once more, in a folder of its own (a quarter of an hour the first time), and
#                      compares the bytes; only with the compiler that made the shipped one
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh
# where the build is skipped, there is no runtime, or that of an earlier one
unset SKIP_WASM_BUILD
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
digest() { sha256sum | cut -d' ' -f1; }

sources() {
    find Cargo.toml runtime pallets primitives -type f \( -name '*.rs' -o -name Cargo.toml \) \
        -not -path '*/tests/*' -not -name 'tests*.rs' -not -name mock.rs -not -name testing.rs -not -name benchmarking.rs -print0 \
        | LC_ALL=C sort -z | xargs -0 sha256sum | digest
}
# names, exact versions and Cargo.lock's hashes of all that is compiled into the runtime, or to make it
libraries() {
    local tree
    tree=$(cargo tree --locked -p consilium-runtime -p consilium-runtime-wasm --features consilium-runtime-wasm/build -e normal,build --prefix none) || fail "cargo tree failed"
    sed -e 's/ (.*//' -e '/^$/d' <<<"$tree" | LC_ALL=C sort -u | python3 -c '
import sys, tomllib
lock = {(p["name"], p["version"]): p.get("checksum", "ours") for p in tomllib.load(open("Cargo.lock", "rb"))["package"]}
for line in sys.stdin:
    name, version = line.split()
    print(name, version, lock[name, version.removeprefix("v")])
' | digest
}
# the compiler of the wasm, which may be another one than that of the programs
compiler() { rustc ${WASM_BUILD_TOOLCHAIN:++"$WASM_BUILD_TOOLCHAIN"} --version; }
made_from() {
    printf 'sources %s\nlibraries %s\ncompiler %s\n' "$(sources)" "$(libraries)" "$(compiler)"
    python3 -c 'import hashlib, sys; print("code 0x" + hashlib.blake2b(sys.stdin.buffer.read(), digest_size=32).hexdigest())' <"$shipped"
}
shipped=chain-specs/consilium-runtime.wasm
built=release/wbuild/consilium-runtime/consilium_runtime.compact.compressed.wasm
noted() { sed -n "s/^$1 //p" chain-specs/made-from.txt 2>/dev/null; }

if [ "${1:-}" = --check ]; then
    for part in sources libraries; do
        [ "$($part)" = "$(noted $part)" ] \
            || fail "the $part of the runtime are not those from which chain-specs/ was made: run scripts/chain-specs.sh"
    done
    [ "${2:-}" = --rebuild ] || exit 0
    [ "$(compiler)" = "$(noted compiler)" ] \
        || fail "the shipped runtime was made by $(noted compiler), here is $(compiler): their bytes cannot be compared"
    scripts/setup.sh wasm
    CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/rebuild
    export CARGO_TARGET_DIR
    echo "[chain-specs] building the runtime (a quarter of an hour the first time)" >&2
    with_fresh_wasm build --release --locked -p consilium-runtime-wasm --features build
    sha256sum "$CARGO_TARGET_DIR/$built" "$shipped"
    cmp "$CARGO_TARGET_DIR/$built" "$shipped" \
        || fail "the shipped runtime is not what these sources give here; from a checkout in another folder than that of who made it the bytes may differ all the same: cargo names our own crates by where they lie"
    exit 0
fi

scripts/setup.sh wasm
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
with_fresh_wasm build --release --locked -p consilium-runtime-wasm --features build
# each file is whole or not there at all
cp "$CARGO_TARGET_DIR/$built" "$shipped.new"
mv "$shipped.new" "$shipped"
cargo build --release --locked --workspace --bins
node=$CARGO_TARGET_DIR/release/consilium-node
"$node" export-chain-spec --chain local >chain-specs/local.json.new
"$node" export-chain-spec --chain local --raw >chain-specs/local-raw.json.new
mv chain-specs/local.json.new chain-specs/local.json
mv chain-specs/local-raw.json.new chain-specs/local-raw.json
made_from >chain-specs/made-from.txt
