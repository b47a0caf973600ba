#!/bin/bash
# onnxruntime 1.32.0 (CPU): the largest of a row that holds a NaN is NaN, or a number that is not the largest, by where the NaN stands.
#
# Expected: NaN wherever it stands, as numpy and the reference implementation in the `onnx` package (1.23.2) give it; or, as some
# libraries have it, the largest of the others.
# Seen: ReduceMax of [NaN, 2, 3, 4] is NaN; of [1, NaN, 3, 4] it is 3, which is neither; of [1, 2, 3, NaN] it is 3. ReduceMin loses
# every NaN but a first one. No warning, the same in 32 and in 64 bits.
# Source: seen by running it; microsoft/onnxruntime issue 10514 tells of ReduceMax and NaN in version 1.10.
# Why it matters: an empty cell is NaN. A model that takes a maximum over features (a rank transform, a stable softmax, a pool) gives a
# patient with an empty cell a number in place of "unknown". `ml-worker export --onnx` leads NaN round such operators.
#
# Exits 0 while this is so, 1 when it has changed. Needs Python 3.11 or newer.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --only-binary :all: onnxruntime==1.32.0 onnx==1.23.2 numpy==2.3.5
cat >largest.py <<'PY'
import numpy
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(3)


def model(operator):
    node = helper.make_node(operator, ["x"], ["y"], axes=[1], keepdims=0)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph([node], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


rows = numpy.tile(numpy.array([1, 2, 3, 4], "float32"), (4, 1))
numpy.fill_diagonal(rows, numpy.nan)
found = {}
for operator, of_numpy in (("ReduceMax", rows.max(axis=1)), ("ReduceMin", rows.min(axis=1))):
    proto = model(operator)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found[operator] = session.run(None, {"x": rows})[0]
    reference = ReferenceEvaluator(proto).run(None, {"x": rows})[0]
    print(f"{operator} with a NaN in each of four places: onnxruntime {found[operator]}, reference {reference}, numpy {of_numpy}")
    assert numpy.isnan(reference).all() and numpy.isnan(of_numpy).all()
largest = found["ReduceMax"]
assert numpy.isnan(largest[0]) and largest[1] == 3 and largest[3] == 3, "changed"
assert numpy.isnan(found["ReduceMin"][0]) and not numpy.isnan(found["ReduceMin"][1:]).any(), "changed"
PY
venv/bin/python largest.py
