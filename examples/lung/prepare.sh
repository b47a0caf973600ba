#!/usr/bin/env bash
# Usage: examples/lung/prepare.sh [--seed N] [--out FOLDER]
# Writes the tables of examples/lung/study.toml: 227 patients with advanced lung cancer of the North Central Cancer Treatment
# Group's trial, at four sites made of its institutions, 56 of them held out (examples/lung/tables.py). The data are the file
# lung.csv of the Python package lifelines 0.30.3 (licence MIT; it comes from the R package survival, licence LGPL 2 or later),
# which is fetched with pip and not installed. Nothing is written but to FOLDER (lung-data, if it is not named), which must not be
# committed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
seed=1 out=lung-data
while [ $# -gt 0 ]; do
    case $1 in
        --seed) seed=${2:?--seed needs a number}; shift ;;
        --out) out=${2:?--out needs a folder}; shift ;;
        *) sed -n '2,7s/^# //p' "$0" >&2; exit 2 ;;
    esac
    shift
done
case $seed in '' | *[!0-9]*) echo "--seed $seed: must be a whole number" >&2; exit 2 ;; esac
python3 -m pip --version >/dev/null 2>&1 || { echo "Python 3 with pip is needed (Debian: python3-pip)" >&2; exit 1; }
wheel=$(mktemp -d)
trap 'rm -rf "$wheel"' EXIT
python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$wheel" lifelines==0.30.3
mkdir -p "$out"
python3 "$here/tables.py" "$wheel"/lifelines-*.whl "$out" "$seed"
