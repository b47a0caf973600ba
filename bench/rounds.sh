#!/usr/bin/env bash
# Seconds a round: ours beside NVIDIA FLARE's swarm, in turn on the same four tables. bench/README.md says what is measured.
#
# usage: bench/rounds.sh [--rounds 30] [--seeds 3] [--bin-dir DIR] [--before DIR] [--out DIR] (more with --help)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$here/.venv-flare wanted="nvflare==2.9.0 numpy==2.4.6"

if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
    echo "rounds.sh: installing $wanted into bench/.venv-flare, some 250 MB" >&2
    "${PYTHON:-python3}" -m venv "$venv"
    # shellcheck disable=SC2086
    "$venv/bin/pip" install --quiet --disable-pip-version-check $wanted
    echo "$wanted" >"$venv/installed"
fi
exec "$venv/bin/python" "$here/rounds/run.py" "$@"
