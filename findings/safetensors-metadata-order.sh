#!/bin/bash
# safetensors 0.8.0 (Python): the same tensors with the same metadata are other bytes each time, as soon as the metadata has two entries.
#
# Expected: a format without padding of its own, with sorted tensors, gives the same file for the same content, so that a hash names
# a model.
# Seen: tensors are sorted, the entries of `__metadata__` are not: their order changes from process to process, and with it the
# file's hash. With one entry (as `transformers` writes: "format") nothing is seen of it.
# Source: the metadata is a HashMap in the Rust crate (safetensors/src/tensor.rs), written in the order of its random hashes.
# Why it matters: swarm learning names models by the hash of their files, and sites that computed the same model must have the same
# hash. `aggregation` writes headers itself, sorted; who makes a model file elsewhere puts one entry into its metadata, or none.
#
# Exits 0 while this is so, 1 when it has changed. Needs Python 3.10 or newer.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.3.5
cat >save.py <<'PY'
import hashlib, sys
import numpy
from safetensors.numpy import save

entries = {"format": "np", "study": "3", "round": "7", "site": "birch", "rows": "140", "seed": "1"}
given = dict(list(entries.items())[: int(sys.argv[1])])
tensors = {"bias": numpy.zeros(2, "float32"), "weight": numpy.ones((2, 3), "float32")}
print(hashlib.sha256(save(tensors, metadata=given)).hexdigest())
PY
files() { for _ in 1 2 3 4 5 6; do venv/bin/python save.py "$1"; done | sort -u | wc -l; }
one=$(files 1) six=$(files 6)
echo "six files of the same model: with one entry of metadata $one different, with six entries $six different"
[ "$one" = 1 ] && [ "$six" -gt 1 ]
