#!/usr/bin/env bash
# Prepares a Debian machine that has Rust, git, Python 3 and Node.js so that the workspace builds.
# Idempotent: does nothing, and says nothing, where everything is there already.
#
# What it installs:
#   - Debian packages that native dependencies need (protoc, clang, lld, cmake, OpenSSL headers).
# With the argument `tests`, also what the tests need: rustfmt and clippy, two libraries of other clients, what builds and looks at the
# page of `consilium dashboard` (its packages, and a Chromium without windows), mdBook, and numpy, onnxruntime and scikit-learn in an environment of its own. With the argument `wasm`, what compiling the runtime anew needs: the library files of the target
# wasm32v1-none, from rustup where it can download them, otherwise built once from Debian's own Rust sources (on x86-64).
# What a build needs in its environment is in scripts/env.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '[setup] %s\n' "$*" >&2; }
die() { printf '[setup] error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        die "root must run this once, then start this script again: $*"
    fi
}

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q '^install ok installed'; }

apt_updated=
need_packages() {
    local missing=()
    for p in "$@"; do installed "$p" || missing+=("$p"); done
    [ ${#missing[@]} = 0 ] && return 0
    command -v apt-get >/dev/null || die "please install by hand (no apt-get here): ${missing[*]}"
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        die "packages are missing, and only root can install them: apt-get install ${missing[*]}"
    fi
    say "installing Debian packages: ${missing[*]} (a minute or two)"
    if [ -z "$apt_updated" ]; then as_root apt-get update -qq; apt_updated=1; fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null \
        || die "apt-get could not install: ${missing[*]}"
}

# The clang that is installed, else the newest there is; Debian's versioned packages live side by side.
clang_version() {
    local v
    for v in 19 18 17 16; do
        if installed "libclang-$v-dev"; then echo "$v"; return; fi
    done
    for v in 19 18 17 16; do
        if apt-cache show "libclang-$v-dev" >/dev/null 2>&1; then echo "$v"; return; fi
    done
    echo 19
}
clang_installed() { local v; for v in 19 18 17 16; do installed "libclang-$v-dev" && return 0; done; return 1; }

command -v cargo >/dev/null || die "no cargo: install Rust first (rustup, stable 1.95 or newer)"

if ! clang_installed && command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; } && [ -z "$(ls /var/lib/apt/lists 2>/dev/null | grep -v -e lock -e partial -e auxfiles || true)" ]; then
    as_root apt-get update -qq; apt_updated=1
fi
cv=$(clang_version)
need_packages gcc g++ make protobuf-compiler "clang-$cv" "libclang-$cv-dev" "lld-$cv" cmake pkg-config libssl-dev ca-certificates

wasm_ready() {
    # either toolchain the build may use has the target's core library
    local root
    root=$(rustc --print sysroot)
    ls "$root"/lib/rustlib/wasm32v1-none/lib/libcore-*.rlib >/dev/null 2>&1 && return 0
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] \
        && ls /usr/lib/rustlib/wasm32v1-none/lib/libcore-*.rlib >/dev/null 2>&1 \
        && [ -e /usr/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld ] \
        && rustup toolchain list 2>/dev/null | grep -q '^debian'
}

build_wasm_from_debian() {
    need_packages rustc-web cargo-web rust-web-src
    say "building the wasm32v1-none library from Debian's Rust sources (half a minute)"
    local tmp host lib
    tmp=$(mktemp -d)
    mkdir -p "$tmp/src"
    printf '[package]\nname = "sysroot"\nversion = "0.0.0"\nedition = "2021"\n[profile.release]\npanic = "abort"\n' >"$tmp/Cargo.toml"
    printf '#![no_std]\n' >"$tmp/src/lib.rs"
    (cd "$tmp" && env -u CARGO_TARGET_DIR -u RUSTC_WRAPPER CARGO_TARGET_DIR="$tmp/target" RUSTFLAGS="-Cembed-bitcode=yes" \
        RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo build -q -Z build-std=core,alloc --target wasm32v1-none --release) \
        || die "could not build the wasm library; see the compiler's messages above"
    lib=/usr/lib/rustlib/wasm32v1-none/lib
    as_root mkdir -p "$lib"
    as_root find "$lib" -name '*.rlib' -delete
    for c in core alloc compiler_builtins; do
        as_root cp "$tmp"/target/wasm32v1-none/release/deps/lib$c-*.rlib "$lib/"
    done
    rm -rf "$tmp"
    host=/usr/lib/rustlib/x86_64-unknown-linux-gnu/bin
    as_root mkdir -p "$host"
    if [ ! -e "$host/rust-lld" ]; then
        lld="$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld"
        [ -e "$lld" ] || lld=/usr/lib/llvm-$cv/bin/lld
        as_root ln -sf "$lld" "$host/rust-lld"
    fi
    rustup toolchain list | grep -q '^debian' || rustup toolchain link debian /usr
    # artefacts of an older library would fail with E0463
    rm -rf "${CARGO_TARGET_DIR:-target}/release/wbuild"
}

if [ "${1:-}" = wasm ] && ! wasm_ready; then
    command -v rustup >/dev/null || die "no rustup: this Rust has no target wasm32v1-none, and only rustup can add one"
    say "the Rust target wasm32v1-none is missing: trying rustup"
    if ! why=$(timeout 300 rustup target add wasm32v1-none 2>&1); then
        say "rustup could not add it: ${why##*$'\n'}"
        build_wasm_from_debian
    fi
    wasm_ready || die "wasm32v1-none is still missing: run 'rustup target add wasm32v1-none' by hand"
fi

# Libraries of other clients, for the tests of e2e/; users of the demo do not need them.
if [ "${1:-}" = tests ]; then
    for component in rustfmt clippy; do
        cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 && continue
        say "$component is missing: trying rustup"
        rustup component add "$component" >&2 || die "no $component: run 'rustup component add $component' by hand"
    done
    # networks on machines with addresses of their own, and with clocks of their own
    need_packages iproute2 util-linux libfaketime
    # Debian's Node.js comes without it
    if command -v node >/dev/null && ! command -v npm >/dev/null; then need_packages npm; fi
    command -v npm >/dev/null || die "no npm: install Node.js 20.19 or newer with npm, which the tests of e2e/ and dashboard/ need"
    node_version=$(node --version 2>/dev/null || true)
    node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null \
        || die "Node.js ${node_version:-(none)}: 20.19 or newer is needed"
    for folder in e2e/polkadot-js e2e/papi dashboard; do
        cmp -s $folder/package-lock.json $folder/node_modules/.installed-lock && continue
        say "installing what $folder needs (a few seconds)"
        # the packages of a library bring tools to build with that make themselves ready: nothing here asks for them
        scripts=(); [ $folder = e2e/papi ] && scripts=(--ignore-scripts)
        (cd $folder && npm ci "${scripts[@]}" --no-audit --no-fund --loglevel=error >&2) || die "npm ci failed in $folder"
        cp $folder/package-lock.json $folder/node_modules/.installed-lock
    done
    # a browser of the machine's own is taken as well
    if [ -z "${CONSILIUM_CHROMIUM:-}" ] && ! ls /usr/bin/chromium* /usr/bin/google-chrome >/dev/null 2>&1; then
        if apt-cache show chromium-headless-shell >/dev/null 2>&1; then need_packages chromium-headless-shell; else need_packages chromium; fi
    fi
    # what makes the pages of docs/ a book
    scripts/book.sh --install
    # numpy recomputes merges, the safetensors package opens the model, and onnxruntime computes with an exported one, independently of our own
    # code; scikit-learn trains a model of one's own
    venv=e2e/merges/.venv
    if ! cmp -s e2e/merges/requirements.txt "$venv/.installed" || ! "$venv/bin/python" -c '' 2>/dev/null; then
        command -v python3 >/dev/null || need_packages python3
        python3 -c 'import ensurepip' 2>/dev/null || need_packages python3-venv
        say "installing what e2e/merges needs: numpy, onnx, onnxruntime, safetensors, scikit-learn (a minute)"
        rm -rf "$venv"
        python3 -m venv "$venv" || die "python3 -m venv $venv failed"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r e2e/merges/requirements.txt >&2 \
            || die "pip could not install e2e/merges/requirements.txt (Python 3.11 or newer is needed)"
        cp e2e/merges/requirements.txt "$venv/.installed"
    fi
fi
