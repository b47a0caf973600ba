"""Recomputes every merge of a run by weighted means from its blobs, to the bit: f64 sum in order, one rounding to f32.

recompute.py OUT, where OUT is the folder of `consilium localnet run`. Needs numpy."""
import json, pathlib, sys
import numpy as np

out = pathlib.Path(sys.argv[1])
stores = list(out.glob("*/blobs"))

def data(root):
    file = next(s / root for s in stores if (s / root).exists()).read_bytes()
    start = 8 + int.from_bytes(file[:8], "little")
    return np.frombuffer(file[start:], "<f4").astype(np.float64)

checked = 0
for record in json.loads((out / "report.json").read_text())["rounds"]:
    if record["kind"] != "round" or not record["inputs"]:
        continue
    total, weights = None, 0
    for i in record["inputs"]:  # in the order of the record
        part = data(i["root"]) * i["weight"]
        total = part if total is None else total + part
        weights += i["weight"]
    merged = (total / weights).astype("<f4") + np.float32(0)
    if merged.tobytes() != data(record["root"]).astype("<f4").tobytes():
        sys.exit(f"round {record['round']}: the merge differs")
    checked += 1
if not checked:
    sys.exit(f"{out / 'report.json'} names no round with inputs: nothing was recomputed")
print(f"{checked} merges recomputed, all equal to the bit")
