#!/usr/bin/env bash
# Stands before rustc for the crates of this workspace (RUSTC_WORKSPACE_WRAPPER): lets clippy read a crate first, with all
# warnings as errors, then compiles it. So lints need no build of their own: the 900 crates underneath are compiled once.
set -euo pipefail
compiler=$1
shift
lints=yes name=
for argument in "$@"; do
    case $argument in
        # questions about the compiler, the runtime's wasm, and what cargo makes for itself
        -vV | - | wasm32*) lints= ;;
        --crate-name) name=next ;;
        *) [ "$name" != next ] || name=$argument ;;
    esac
done
if [ -n "$lints" ] && [ -n "$name" ] && [ -n "${CARGO_PRIMARY_PACKAGE:-}" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    given=()
    skip=
    for argument in "$@"; do
        if [ -n "$skip" ]; then skip=; continue; fi
        case $argument in
            # what comes out is thrown away; cargo must not take it for the crate's
            --emit=* | --out-dir=* | --json=*) ;;
            --emit | --out-dir | --json) skip=yes ;;
            incremental=* | -Cincremental=*) [ "${given[-1]:-}" != -C ] || unset 'given[-1]' ;;
            *) given+=("$argument") ;;
        esac
    done
    clippy-driver "$compiler" "${given[@]}" --json=diagnostic-rendered-ansi --emit=metadata --out-dir "$folder" -D warnings >/dev/null
fi
exec "$compiler" "$@"
