"""How fast a table of comma-separated values is read, by the engine and by pandas, in turn, the best of three each.

The table is 2,000 rows of 12,708 numbers with six significant digits, and a label. Exits with 1 if the worker's reader
takes more than half of the time of pandas' default one, or read something else. The reader is the example `csv`, beside the
engine's program.
"""

import argparse
import gc
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas

import common
from common import note

BAR = 0.5


def write(path, rows, columns):
    random = np.random.default_rng(11)
    with open(path, "w") as file:
        file.write(",".join(["label", *(f"g{c}" for c in range(columns))]) + "\n")
        for row in range(rows):
            # As expression values are: positive, over some orders of magnitude, and some below zero after a shift.
            values = np.exp(1.5 * random.standard_normal(columns)) - 0.2
            file.write(f"{row % 2}," + ",".join(["%.6g" % v for v in values]) + "\n")


def read(path, how):
    start = time.perf_counter()
    frame = pandas.read_csv(path) if how == "c" else pandas.read_csv(path, engine=how)
    seconds = time.perf_counter() - start
    checksum = float(frame.drop(columns="label").to_numpy().sum())
    return seconds, (len(frame), frame.shape[1] - 1, checksum)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.engine_argument(parser)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--columns", type=int, default=12708)
    parser.add_argument("--pandas-only", action="store_true", help="measure pandas alone")
    a = parser.parse_args()
    if not a.pandas_only:
        common.need(a.engine.with_name("csv"))
    readers = ["c"] + (["pyarrow"] if importlib.util.find_spec("pyarrow") else [])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table.csv")
        write(path, a.rows, a.columns)
        size = os.path.getsize(path)
        seconds, read_as = {}, {}
        for _ in range(3):
            for how in readers:
                took, read_as[how] = read(path, how)
                seconds.setdefault(f"pandas, {how}", []).append(took)
                gc.collect()
            if not a.pandas_only:
                # A process for each time, as a run reads its table once.
                command = [str(a.engine.with_name("csv")), path, "label"]
                reply = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                seconds.setdefault("engine", []).append(reply["seconds"])
                read_as["engine"] = (reply["rows"], reply["columns"], reply["checksum"])
    best = {name: min(times) for name, times in seconds.items()}
    result = {"bytes": size, "rows": a.rows, "columns": a.columns, "seconds": seconds, "best": best}
    passed = True
    if not a.pandas_only:
        ours, theirs = read_as["engine"], read_as["c"]
        same = ours[:2] == theirs[:2] and abs(ours[2] - theirs[2]) <= 1e-6 * abs(theirs[2])
        ratio = best["engine"] / best["pandas, c"]
        passed = same and ratio <= BAR
        result |= {"same": same, "ratio": ratio, "bar": BAR, "pass": passed}
        if not same:
            note(f"csv_read.py: the engine read {ours}, pandas {theirs} (rows, columns, sum)")
    if a.json:
        print(json.dumps(result))
    else:
        print(f"{a.rows} rows of {a.columns} numbers and a label, {size / 1e6:.0f} MB, pandas {pandas.__version__}\n")
        common.table(
            ["reader", "best s", "MB/s", "all s"],
            [[n, f"{s:.2f}", f"{size / 1e6 / s:.0f}", " ".join(f"{t:.2f}" for t in seconds[n])] for n, s in best.items()],
        )
        if not a.pandas_only:
            print(f"\nengine / pandas {ratio:.2f}, bar {BAR}: {'pass' if passed else 'MISSED'}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
