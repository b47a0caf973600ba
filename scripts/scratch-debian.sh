#!/usr/bin/env bash
# Prints where a tar of a small Debian 12 lies, in which packages and images are tried; debootstrap makes it where it is missing
# (root alone; a minute or two).
set -euo pipefail
file=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/tools/debian-bookworm.tar
if [ ! -e "$file" ]; then
    [ "$(id -u)" = 0 ] || { echo "[scratch-debian] error: only root can make a Debian to try packages in" >&2; exit 1; }
    command -v debootstrap >/dev/null || { echo "[scratch-debian] error: no debootstrap: apt-get install debootstrap" >&2; exit 1; }
    folder=$(mktemp -d)
    trap 'rm -rf --one-file-system "$folder"' EXIT
    chmod 755 "$folder"
    debootstrap --variant=minbase bookworm "$folder" >&2
    mkdir -p "$(dirname "$file")"
    tar --create --file "$file.part" --numeric-owner --directory "$folder" .
    mv "$file.part" "$file"
fi
realpath "$file"
