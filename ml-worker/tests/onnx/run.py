"""Computes with exported models by onnxruntime, after the onnx package has checked them.

usage: run.py MODEL.onnx ROWS [MODEL.onnx ROWS ...]

ROWS: a table (.csv), or a list of pictures (.json). Prints a JSON list: of each model its metadata and its outputs by name, row by
row, with null for NaN. It knows of a model what the model says of itself.
"""

import csv
import json
import math
import sys

import numpy
import onnx
import onnxruntime

EMPTY = ("", "NA", "NaN", "nan")


def inputs(about, path):
    if path.endswith(".json"):
        size = json.loads(about["pictures"])
        with open(path, encoding="utf-8") as file:
            pixels = numpy.array(json.load(file), numpy.float32)
        return {"pixels": pixels.reshape(-1, size.get("channels", 1), size["height"], size["width"])}
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    if "numeric" in about:
        columns = json.loads(about["numeric"])
        cell = lambda text: math.nan if text in EMPTY or text == "." else float(text)
        found["numeric"] = numpy.array([[cell(row[name]) for name in columns] for row in rows], numpy.float64)
    if "categorical" in about:
        columns = [column["column"] for column in json.loads(about["categorical"])]
        found["categorical"] = numpy.array([[row[name] for name in columns] for row in rows], object)
    return found


def outputs(path, rows):
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, inputs(about, rows))
    plain = lambda value: [[None if math.isnan(x) else x for x in row] for row in value.tolist()]
    return {"about": about, "outputs": {name: plain(value) for name, value in zip(names, values)}}


pairs = zip(sys.argv[1::2], sys.argv[2::2])
print(json.dumps([outputs(*pair) for pair in pairs]))
