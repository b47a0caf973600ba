#!/usr/bin/env bash
# Stands before rustc (RUSTC_WRAPPER): what is compiled for the runtime's wasm names files by where they lie in the project,
# in a library or in Rust itself, not by folders of this machine. An argument and not RUSTFLAGS, by which cargo would compile
# everything anew in another checkout.
set -euo pipefail
for argument in "$@"; do
    case $argument in
        wasm32*)
            set -- "$@" --remap-path-prefix "$CONSILIUM_CHECKOUT=/consilium" \
                --remap-path-prefix "${CARGO_TARGET_DIR:-$CONSILIUM_CHECKOUT/target}=/target"
            for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
                set -- "$@" --remap-path-prefix "$folder=/crates"
            done
            set -- "$@" --remap-path-prefix "$("$1" --print sysroot)=/rust"
            break
            ;;
    esac
done
exec ${CONSILIUM_RUSTC_WRAPPER:-} "$@"
