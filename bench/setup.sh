#!/usr/bin/env bash
# Makes bench/.venv with what the scripts here need; with --private also what private.py needs. With --flower it makes bench/.venv-flower
# alone, with what masked_flower.py needs. Running it again changes nothing.
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-python3.11}
command -v "$python" >/dev/null || { echo "setup.sh: $python is not installed (name another with PYTHON=...)" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    { echo "setup.sh: $python is not Python 3.11, for which the versions were chosen" >&2; exit 1; }

case ${1:-} in
"" | --private | --flower) ;;
*) echo "setup.sh: $1 is not known; say nothing, --private or --flower" >&2; exit 1 ;;
esac

# installs a list of packages into $venv, unless that very list is installed
venv=.venv
need() {
    if [ -f "$venv/$2" ] && cmp -s "$1" "$venv/$2"; then
        echo "setup.sh: bench/$venv is up to date with $1"
        return
    fi
    echo "setup.sh: installing $3"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$1"
    cp "$1" "$venv/$2"
}

if [ "${1:-}" = --flower ]; then
    venv=.venv-flower
    need requirements-flower.txt installed "Flower and its simulation (Ray) into bench/.venv-flower: 530 MB on disk"
    echo "setup.sh: now bench/masked_flower.py"
    exit
fi
need requirements.txt installed "TensorFlow (CPU), Keras, NumPy, pandas and scikit-learn into bench/.venv: about 400 MB to download,
setup.sh: 1.8 GB on disk, a minute or two"
[ "${1:-}" != --private ] ||
    need requirements-private.txt installed-private "Opacus and PyTorch, which brings its libraries for GPUs along: 5 GB on disk"
echo "setup.sh: run the scripts with bench/.venv/bin/python"
