#!/usr/bin/env bash
# Builds the two images of packaging/Containerfile from the packages in dist/deb, with buildah and without an engine or a daemon, upon a
# scratch Debian 12 that debootstrap makes in place of the registry's; then looks at them: whom they run as, what they start, and
# that each program runs there and names its build. As root; what is built goes again.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '[containers] %s\n' "$*" >&2; }
die() { printf '[containers] error: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "only root can build images in a chroot"
command -v buildah >/dev/null || die "no buildah: apt-get install buildah"
ls dist/deb/*.deb >/dev/null 2>&1 || die "no packages in dist/deb: run scripts/packages.sh"

store=$(mktemp -d)
trap 'rm -rf --one-file-system "$store"' EXIT
# no namespaces, no network of its own, layers as plain folders: works in a container, too
export BUILDAH_ISOLATION=chroot
images() { buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"; }

say "the base, in place of the registry's"
base=$(images from scratch)
images add "$base" "$(scripts/scratch-debian.sh)" / >/dev/null
images commit --quiet --rm "$base" localhost/debian >/dev/null

for target in node:consilium-node:consilium:consilium worker:ml-worker:consilium-worker:consilium; do
    IFS=: read -r image program user group <<<"$target"
    say "$image"
    images build --quiet --pull-never --build-arg BASE=localhost/debian --file packaging/Containerfile --target "$image" \
        --tag "localhost/$image" dist/deb >/dev/null || die "$image could not be built"
    found=$(images inspect --type image --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}}' "localhost/$image")
    [ "$found" = "$user:$group [/usr/bin/$program]" ] || die "$image: runs $found"
    container=$(images from --pull-never "localhost/$image")
    [ "$(images run "$container" -- id --user --name)" = "$user" ] || die "$image: does not run as $user"
    line=$(images run "$container" -- "/usr/bin/$program" --version)
    case $line in "$program "*"polkadot-sdk "*) say "$image: $line" ;; *) die "$image: --version says $line" ;; esac
    images run "$container" -- test ! -e /tmp/packages || die "$image: the packages are still in it"
done
