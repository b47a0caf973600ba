#!/usr/bin/env bash
# Makes a Debian package of each program in dist/deb, by cargo-deb: `consilium`, `consilium-node`, `consilium-ml-worker`, with manual
# pages, completions, and what each is made of (scripts/sbom.sh). Then looks at them: files, modes, what --version says, and
# whether a program names a folder of this machine. For Debian 12; see docs/packages.md.
#   --as-built   builds nothing, and packs the programs as they lie in the target folder, whatever folders they name
#   --install    also installs them in a scratch Debian, made by debootstrap (root alone; a few minutes, and Debian's packages)
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '[packages] %s\n' "$*" >&2; }
die() { printf '[packages] error: %s\n' "$*" >&2; exit 1; }

as_built='' install=''
for argument in "$@"; do
    case $argument in
        --as-built) as_built=yes ;;
        --install) install=yes ;;
        *) die "unknown: $argument" ;;
    esac
done
for tool in dpkg-deb dpkg-shlibdeps strip; do
    command -v "$tool" >/dev/null || die "no $tool: apt-get install dpkg-dev binutils"
done
# shellcheck source=scripts/env.sh
. scripts/env.sh
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
release=$CARGO_TARGET_DIR/release
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.lock)}
export SOURCE_DATE_EPOCH
maintainer=${CONSILIUM_MAINTAINER:-The Consilium authors <authors@consilium.example>}

# The number in Cargo.toml is that of the next release: what is not tagged as it comes before it, in the order of commits.
number=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
case ${CONSILIUM_COMMIT:-} in
    '') version=$number~unnamed-1 ;;
    *' with changes') version=$number~$(git rev-list --count HEAD).g${CONSILIUM_COMMIT%% *}+changes-1 ;;
    *)
        version=$number~$(git rev-list --count HEAD).g$CONSILIUM_COMMIT-1
        if [ "$(git tag --points-at HEAD --list "v$number")" ]; then version=$number-1; fi
        ;;
esac

# package of the workspace, program, Debian package
all=(consilium-cli:consilium:consilium consilium-node:consilium-node:consilium-node consilium-ml-worker:ml-worker:consilium-ml-worker)

if [ -z "$as_built" ]; then
    say "the programs"
    cargo build --release --locked --workspace --bins
    for entry in "${all[@]}"; do
        IFS=: read -r _ program _ <<<"$entry"
        for folder in "${CARGO_HOME:-$HOME/.cargo}/registry" "$PWD/" "$CARGO_TARGET_DIR/"; do
            if grep --quiet --text --fixed-strings "$folder" "$release/$program"; then
                die "$release/$program names $folder: it was built without scripts/env.sh, or before it left such names out; build into an empty folder (CARGO_TARGET_DIR), or pack it all the same with --as-built"
            fi
        done
    done
fi
say "what they are made of"
scripts/sbom.sh >/dev/null

rm -rf dist/deb "$release/share"
mkdir -p dist/deb
for entry in "${all[@]}"; do
    IFS=: read -r package program deb <<<"$entry"
    say "$deb $version"
    stage=$release/share/$deb
    "$release/$program" manuals --out "$stage"
    doc=$stage/doc/$deb
    mkdir -p "$doc"
    cp packaging/README.Debian "$doc/"
    cp "dist/sbom/$program.cdx.json" "$doc/sbom.cdx.json"
    cp "dist/sbom/$program.licences.txt" "$doc/licences.txt"
    if [ "$program" = consilium ]; then
        cp dist/sbom/dashboard.cdx.json "$doc/"
        cat dist/sbom/dashboard.licences.txt >>"$doc/licences.txt"
    fi
    cp CHANGELOG.md "$doc/changelog"
    printf '%s (%s) unstable; urgency=medium\n\n  * See changelog.gz beside this file.\n\n -- %s  %s\n' \
        "$deb" "$version" "$maintainer" "$(LC_ALL=C date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")" >"$doc/changelog.Debian"
    gzip --best --no-name "$stage"/man/man1/* "$doc/changelog" "$doc/changelog.Debian" "$doc/licences.txt"
    "$(scripts/tool.sh cargo-deb 3.8.0)" --quiet --no-build --locked --package "$package" --deb-version "$version" \
        --maintainer "$maintainer" --output dist/deb/ || die "cargo-deb could not pack $deb"
done
scripts/look-at-packages.sh ${install:+--install} dist/deb
