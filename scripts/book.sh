#!/usr/bin/env bash
# Makes the book of docs/ as pages in dist/book, where mdBook is installed; else says how to install the version that it was written for.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.5.2

scripts/links.py
if ! command -v mdbook >/dev/null; then
    printf 'error: mdbook is not installed; the version that this book is written for: cargo install --locked mdbook --version %s\n' "$version" >&2
    exit 1
fi
found=$(mdbook --version | sed 's/^mdbook v//')
if [ "$found" != "$version" ]; then
    printf 'warning: mdbook is %s, and the book was written for %s\n' "$found" "$version" >&2
fi
mdbook build
printf 'the book is in dist/book: open dist/book/index.html\n'
