#!/usr/bin/env bash
# Stands before rustc, behind remap.sh: programs name files by where they lie in the project or in a library, not by folders of
# the machine that built them. The runtime's wasm has that from remap.sh; in a script of its own, so that a change here does not
# have the runtime compiled anew.
set -euo pipefail
for argument in "$@"; do
    case $argument in wasm32*) exec "$@" ;; esac
done
set -- "$@" --remap-path-prefix "$CONSILIUM_CHECKOUT=/consilium" \
    --remap-path-prefix "${CARGO_TARGET_DIR:-$CONSILIUM_CHECKOUT/target}=/target"
for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    set -- "$@" --remap-path-prefix "$folder=/crates"
done
exec "$@"
