#!/usr/bin/env bash
# Builds the page of `consilium dashboard` from dashboard/ and its lock file into dashboard/dist, which is committed and is part of
# the program. With --check it builds elsewhere, and compares: the same lock file gives the same bytes. Needs Node.js 20.19 or newer.
set -euo pipefail
cd "$(dirname "$0")/../dashboard"

die() { printf '[dashboard] error: %s\n' "$*" >&2; exit 1; }

cmp -s package-lock.json node_modules/.installed-lock || die "its packages are not those of the lock file: scripts/setup.sh tests installs them"
npx --no-install tsc --noEmit || die "the page's types do not hold"
if [ "${1:-}" = --check ]; then
    built=$(mktemp -d)
    trap 'rm -rf "$built"' EXIT
    npx --no-install vite build --logLevel error --outDir "$built"
    diff -r "$built" dist >&2 || die "dashboard/dist is not what its sources give: run scripts/dashboard.sh, and commit it"
else
    npx --no-install vite build --logLevel warn --emptyOutDir
fi
