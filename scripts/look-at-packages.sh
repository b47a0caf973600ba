#!/usr/bin/env bash
# Looks at the three Debian packages in a folder: unpacked, each has what it should and nothing else, with the right modes, and its
# program starts and names its build. With lintian, where it is installed.
#   scripts/look-at-packages.sh [--install] dist/deb
# --install also installs them in a scratch Debian 12 that debootstrap makes (root alone): users, services, removal.
set -euo pipefail
install=
if [ "${1:-}" = --install ]; then install=yes; shift; fi
folder=$(realpath "${1:?a folder of packages}")
cd "$(dirname "$0")/.."
say() { printf '[packages] %s\n' "$*" >&2; }
die() { printf '[packages] error: %s\n' "$*" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT
chmod 755 "$scratch"

# the package, its program, and the names of files that it must have beside it
look() {
    local deb=$1 program=$2 root=$scratch/$1 file path mode line
    shift 2
    file=$(ls "$folder/$deb"_*.deb) || die "$folder: no package $deb"
    [ "$(wc -l <<<"$file")" = 1 ] || die "$folder: more than one package $deb"
    dpkg-deb --extract "$file" "$root"
    for path in "usr/bin/$program" "usr/share/man/man1/$program.1.gz" "usr/share/bash-completion/completions/$program" \
        "usr/share/zsh/vendor-completions/_$program" "usr/share/fish/vendor_completions.d/$program.fish" \
        "usr/share/doc/$deb/copyright" "usr/share/doc/$deb/README.Debian" "usr/share/doc/$deb/sbom.cdx.json" \
        "usr/share/doc/$deb/licences.txt.gz" "usr/share/doc/$deb/changelog.gz" "usr/share/doc/$deb/changelog.Debian.gz" "$@"; do
        [ -s "$root/$path" ] || die "$file: has no $path"
    done
    while read -r mode path; do
        case $path in
            "./usr/bin/$program") [ "$mode" = 755 ] || die "$file: $path has mode $mode" ;;
            ./usr/share/man/man1/"$program"*.1.gz | ./usr/share/doc/"$deb"/* | ./usr/share/bash-completion/completions/"$program" | \
                ./usr/share/zsh/vendor-completions/_"$program" | ./usr/share/fish/vendor_completions.d/"$program".fish)
                [ "$mode" = 644 ] || die "$file: $path has mode $mode" ;;
            *) die "$file: what is $path?" ;;
        esac
    done < <(cd "$root" && find . -type f -printf '%m %p\n')
    if find "$root" ! -type f ! -type d | grep .; then die "$file: holds what is neither a file nor a folder"; fi
    dpkg-deb --fsys-tarfile "$file" | tar --list --verbose --numeric-owner | awk '$2 != "0/0" { print; bad = 1 } END { exit bad }' >&2 \
        || die "$file: not everything is root's"
    line=$("$root/usr/bin/$program" --version)
    case $line in
        "$program "*" (commit "*", polkadot-sdk "*")" | "$program "*" (built without naming a commit, polkadot-sdk "*")") ;;
        *) die "$file: --version says: $line" ;;
    esac
    bash -n "$root/usr/share/bash-completion/completions/$program"
    say "$(basename "$file"): $line"
}
look consilium consilium usr/share/doc/consilium/dashboard.cdx.json usr/share/man/man1/consilium-study-register.1.gz
look consilium-node consilium-node
look consilium-ml-worker ml-worker usr/share/man/man1/ml-worker-serve.1.gz
if command -v lintian >/dev/null; then
    # a tag that speaks of uploads to Debian itself, which these are not for
    lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs --allow-root "$folder"/*.deb >&2
    say "lintian finds nothing"
else
    say "no lintian here: not looked at by it"
fi
[ -n "$install" ] || exit 0

[ "$(id -u)" = 0 ] || die "only root can install packages in a scratch Debian"
root=$scratch/root
mkdir "$root"
tar --extract --file "$(scripts/scratch-debian.sh)" --numeric-owner --directory "$root"
# names are resolved as on this machine
cp /etc/resolv.conf "$root/etc/resolv.conf"
mkdir "$root/packages"
cp "$folder"/*.deb "$root/packages/"
inside() {
    # programs look up where they lie themselves in /proc
    unshare --mount sh -ec 'mount -t proc proc "$0/proc"; exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@"' "$root" "$@"
}
say "installing them in a scratch Debian"
inside apt-get -qq update >&2
inside sh -c 'apt-get -qq install --yes --no-install-recommends /packages/*.deb' >&2
for user in consilium consilium-worker; do
    [ "$(inside id --groups --name "$user")" = consilium ] || die "$user is not of the group consilium, and of that alone"
    inside getent passwd "$user" | grep --quiet ':/nonexistent:/usr/sbin/nologin$' || die "$user can log in, or has a home"
done
for program in consilium consilium-node ml-worker; do
    inside setpriv --reuid nobody --regid nogroup --clear-groups "$program" --version >&2
done
say "README.Debian, up to the services' start"
commands=$(sed -n 's/^    //p' packaging/README.Debian | grep -v '^systemctl')
inside sh -ec "$commands" >&2
units=$root/etc/systemd/system
for unit in consilium-node.service consilium-worker.service consilium.slice; do [ -s "$units/$unit" ] || die "no unit $unit"; done
grep --quiet '^ExecStart=/usr/bin/consilium-node ' "$units/consilium-node.service" || die "the node's unit starts another program"
grep --quiet '^ExecStart=/usr/bin/ml-worker ' "$units/consilium-worker.service" || die "the worker's unit starts another program"

say "the two services' command lines, as their users, on a chain of two"
inside sh -ec '
    consilium init --consortium north-lungs --name Other --address /ip4/127.0.0.1/tcp/30399 --dir /srv/other
    mkdir /srv/cards && cp /srv/st-mary/card.json /srv/cards/a.json && cp /srv/other/card.json /srv/cards/b.json
    consilium found --consortium north-lungs --private-addresses --cards /srv/cards --out /srv/st-mary/chain.json
    chown consilium:consilium /srv/st-mary/chain.json' >&2
# a unit's command line, as a shell reads it
line() { sed -n '/^ExecStart=/,/[^\\]$/p' "$units/$1" | sed -e 's/^ExecStart=//' -e 's/\\$//' | tr -d '\n'; }
start() {
    # a loopback of its own, and /proc as programs expect it
    unshare --net --mount --fork --kill-child sh -ec '
        ip link set lo up
        mount -t proc proc "$1/proc"
        exec timeout --signal TERM "$5" chroot "$1" setpriv --reuid "$2" --regid consilium --clear-groups sh -c "umask 027; exec $3" >"$4" 2>&1' \
        sh "$root" "$1" "$(line "$2")" "$3" "$4"
}
for pair in consilium:consilium-node:'Running JSON-RPC server' consilium-worker:consilium-worker:'listening|ready|serving'; do
    IFS=: read -r user unit wanted <<<"$pair"
    code=0
    start "$user" "$unit.service" "$scratch/$unit.log" 40 || code=$?
    [ "$code" = 124 ] || [ "$code" = 0 ] || { cat "$scratch/$unit.log" >&2; die "$unit ended with $code"; }
    grep --quiet --extended-regexp "$wanted" "$scratch/$unit.log" || { cat "$scratch/$unit.log" >&2; die "$unit did not say what it should"; }
    say "$unit runs as $user"
done
inside dpkg --remove consilium consilium-node consilium-ml-worker >&2
for path in /usr/bin/consilium /usr/bin/consilium-node /usr/bin/ml-worker /usr/share/doc/consilium; do
    [ ! -e "$root$path" ] || die "$path is still there after the packages were removed"
done
[ -e "$root/srv/st-mary/institution.key" ] || die "removing the packages took an institution's folder away"
say "installed, started and removed"
