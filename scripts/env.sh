# Sourced by the other scripts: what a build needs in its environment.
# shellcheck shell=bash
for v in 19 18 17 16; do
    if [ -d "/usr/lib/llvm-$v/lib" ] && [ -z "${LIBCLANG_PATH:-}" ]; then export LIBCLANG_PATH="/usr/lib/llvm-$v/lib"; fi
done
if [ -z "${WASM_BUILD_TOOLCHAIN:-}" ] \
    && ! ls "$(rustc --print sysroot)"/lib/rustlib/wasm32v1-none/lib/libcore-*.rlib >/dev/null 2>&1 \
    && rustup toolchain list 2>/dev/null | grep -q '^debian'; then
    export WASM_BUILD_TOOLCHAIN=debian
fi
# Debian's OpenSSL, which Debian keeps up to date, in place of one that is compiled first, for five minutes.
export OPENSSL_NO_VENDOR=1
# Runs cargo with these arguments. A build that is interrupted while it compresses the runtime's wasm leaves that of an
# earlier build in its place, and the next build takes it for its own: where the last one did not end, it is made anew.
with_fresh_wasm() {
    local folder=${CARGO_TARGET_DIR:-target}/release
    [ ! -e "$folder/.unfinished" ] || rm -f "$folder"/wbuild/consilium-runtime/*.wasm
    mkdir -p "$folder"
    # cargo does not see which stand-in a library of the wasm was compiled with
    if [ "$(cat "$folder/.wasm-by" 2>/dev/null)" != "${RUSTC_WRAPPER##*/}" ]; then
        rm -rf "$folder/wbuild"
        printf '%s\n' "${RUSTC_WRAPPER##*/}" >"$folder/.wasm-by"
    fi
    : >"$folder/.unfinished"
    cargo "$@"
    rm "$folder/.unfinished"
}
# The target folder may lie outside the checkout; the wasm build finds the workspace's Cargo.lock by this.
WASM_BUILD_WORKSPACE_HINT=$(git rev-parse --show-toplevel 2>/dev/null || pwd)
export WASM_BUILD_WORKSPACE_HINT
# Prints where a script of scripts/rustc/ lies as a stand-in for rustc, under a name. Beside what is built and by its content,
# so that all checkouts that share a target folder share what it compiles, and nothing is shared once it has changed.
stand_in() {
    local script=$WASM_BUILD_WORKSPACE_HINT/scripts/rustc/$1.sh folder=${CARGO_TARGET_DIR:-$WASM_BUILD_WORKSPACE_HINT/target}/stand-ins
    local at
    at=$folder/${2:-$1}.$(cat "$script" "$WASM_BUILD_WORKSPACE_HINT/clippy.toml" | sha256sum | cut -c1-12)
    if [ ! -x "$at" ]; then
        mkdir -p "$folder"
        cp "$script" "$at.$$" && chmod +x "$at.$$" && mv "$at.$$" "$at"
    fi
    realpath "$at"
}
# no folder of this machine gets into the runtime, nor into the programs
if [ "${CONSILIUM_CHECKOUT:-}" != "$WASM_BUILD_WORKSPACE_HINT" ]; then
    case ${RUSTC_WRAPPER:-} in */stand-ins/remap.*) ;; *) CONSILIUM_OTHER_WRAPPER=${RUSTC_WRAPPER:-} ;; esac
    export CONSILIUM_OTHER_WRAPPER
    export CONSILIUM_CHECKOUT=$WASM_BUILD_WORKSPACE_HINT
    CONSILIUM_RUSTC_WRAPPER="$(stand_in trim) ${CONSILIUM_OTHER_WRAPPER:-}"
    RUSTC_WRAPPER=$(stand_in remap)
    export CONSILIUM_RUSTC_WRAPPER RUSTC_WRAPPER
fi
# what `--version` names: the commit, and whether the sources are others by now. A build from a tarball has none, and says so,
# unless whoever builds it names one by this variable.
if [ -e .git ] && git rev-parse --verify --quiet HEAD >/dev/null 2>&1; then
    CONSILIUM_COMMIT=$(git rev-parse --short=11 HEAD)
    git diff --quiet HEAD -- 2>/dev/null || CONSILIUM_COMMIT="$CONSILIUM_COMMIT with changes"
    export CONSILIUM_COMMIT
fi
