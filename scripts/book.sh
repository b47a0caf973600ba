#!/usr/bin/env bash
# Makes the book of docs/ as pages in dist/book, with the mdBook of a pinned version, which it compiles the first time (a minute or two).
# What pages point to outside of docs/ is named there as a file of the sources.
#
#   scripts/book.sh            makes it
#   scripts/book.sh --check    makes it elsewhere, and follows each link of its pages to a page, a heading or a picture
#   scripts/book.sh --install  only sees that mdBook is there
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.5.2
folder=${XDG_CACHE_HOME:-$HOME/.cache}/consilium/mdbook-$version
if [ ! -x "$folder/bin/mdbook" ]; then
    printf '[book] compiling mdBook %s (a minute or two)\n' "$version" >&2
    # with none of the workspace's settings: it is no part of it
    env -u CARGO_TARGET_DIR -u RUSTC_WRAPPER -u RUSTC_WORKSPACE_WRAPPER \
        cargo install --quiet --locked mdbook --version "$version" --no-default-features --no-track --root "$folder" \
        || { printf '[book] error: cargo install mdbook --version %s failed\n' "$version" >&2; exit 1; }
fi
[ "${1:-}" != --install ] || exit 0

scripts/links.py
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
cp -r docs book.toml "$made"
sed -E -i 's|\[([^]]*)\]\(\.\./([^)#]*)[^)]*\)|\1 (`\2` of the sources)|g' "$made"/docs/*.md
"$folder/bin/mdbook" build "$made" >"$made/log" 2>&1 && ! grep -E '^ *(WARN|ERROR)' "$made/log" \
    || { cat "$made/log" >&2; printf '[book] error: mdbook does not take docs/ as it is\n' >&2; exit 1; }
scripts/links.py --book "$made/dist/book"
if [ "${1:-}" != --check ]; then
    mkdir -p dist
    rm -rf dist/book
    cp -r "$made/dist/book" dist/book
    printf 'the book is in dist/book: open dist/book/index.html\n'
fi
