#!/bin/bash
# safetensors 0.8.0 (Python, numpy): a column of a table is saved as other cells of the table, without a word.
#
# Expected: what is loaded equals what was saved, as with 0.7.0; or `save` refuses, as that of `safetensors.torch` does.
# Seen: of a view (a column, a transposed matrix) shape and type are written, and as many numbers as it has from where it begins in the
# table's memory. So a column of ages comes back as the first patients' ages and lab values.
# Source: `_flatten` in safetensors/numpy.py hands on `tensor.ctypes.data` and `nbytes`, without the strides; 0.7.0 took `tobytes()`.
# The docstring says "contiguous and dense", and nothing looks. Upstream knows of the wrong order of Fortran arrays (issue 825).
# Why it matters: a trainer's update goes to all participants. A tensor that a trainer sliced out of its rows, or of a larger
# one, would carry numbers that it does not hold. `consilium_trainer.write` copies each array into C order first, and a test of it
# saves such views.
#
# Exits 0 while this is so, 1 when it has changed. Needs Python 3.11 or newer.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.3.5
cat >save.py <<'PY'
import numpy
from safetensors.numpy import load, save

# age, CRP, oxygen saturation of six patients
table = numpy.array([[63, 50, 93], [71, 26, 97], [58, 17, 95], [44, 9, 99], [80, 31, 91], [39, 12, 98]], "float32")
views = {"ages": table[:, 0], "transposed": table.T}
wrong = 0
for name, view in views.items():
    back = load(save({name: view}))[name]
    wrong += not numpy.array_equal(view, back)
    print(f"{name}: saved {view.ravel().astype(int).tolist()}, loaded {back.ravel().astype(int).tolist()}")
print(f"{wrong} of {len(views)} are other numbers")
raise SystemExit(0 if wrong == len(views) else 1)
PY
venv/bin/python save.py
