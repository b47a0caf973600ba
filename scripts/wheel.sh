#!/usr/bin/env bash
# Builds the Python package consilium-trainer: dist/consilium_trainer-VERSION-py3-none-any.whl, from python/.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist ./python
rm -rf python/build python/*.egg-info
ls dist/consilium_trainer-*.whl
