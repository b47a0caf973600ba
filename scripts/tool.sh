#!/usr/bin/env bash
# Prints where a program of crates.io lies that only some scripts here need, in exactly this version; builds it first, where it is
# not there yet. In folders of their own: what such programs are made of does not touch Cargo.lock.
#   scripts/tool.sh cargo-deb 3.8.0
set -euo pipefail
name=${1:?a program} version=${2:?its version}
folder=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/tools
program=$folder/$name-$version/bin/$name
if [ ! -x "$program" ]; then
    printf '[tool] building %s %s, once (some minutes)\n' "$name" "$version" >&2
    # by the plain compiler: stand-ins are for the sources of this project
    env -u RUSTC_WRAPPER -u RUSTC_WORKSPACE_WRAPPER \
        cargo install --quiet --locked --root "$folder/$name-$version" --target-dir "$folder/build" "$name@$version" >&2
fi
realpath "$program"
