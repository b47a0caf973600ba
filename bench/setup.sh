#!/usr/bin/env bash
# Makes bench/.venv with what the scripts here need. Running it again changes nothing.
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-python3.11}
command -v "$python" >/dev/null || { echo "setup.sh: $python is not installed (name another with PYTHON=...)" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    { echo "setup.sh: $python is not Python 3.11, for which the versions were chosen" >&2; exit 1; }

if [ -f .venv/installed ] && cmp -s requirements.txt .venv/installed; then
    echo "setup.sh: bench/.venv is up to date"
    exit 0
fi
echo "setup.sh: installing TensorFlow (CPU), Keras, NumPy, pandas and scikit-learn into bench/.venv:"
echo "setup.sh: about 400 MB to download, 1.8 GB on disk, a minute or two"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
cp requirements.txt .venv/installed
echo "setup.sh: done; run the scripts with bench/.venv/bin/python"
