"""Studies of more and more institutions on this machine: seconds a round and how they split, and what grows with how many they are.

    python3 bench/scale.py [--counts 4,8,16,32] [--rounds 20] [--large 8] [--bin-dir DIR] [--out DIR] [--json FILE]

First `--large` institutions (0: none) with a model of a million parameters, then each count with a tiny one, whose rounds are the
chain's and the network's alone. bench/README.md says what each column is. Ends with 1 where something grows faster than the number
of others, for each institution. Needs Python alone; 32 institutions take 4 GB of memory.
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from consortium import Consortium, Others, Wrong, machine, mean, study, tables, total
from limits_parts import missed, percentile, short, slots

TINY = (30, (16,))  # columns, hidden units
LARGE = (100, (950, 950))  # 1,000,351 parameters
ROWS = 200
MINUTES = 40
# What grows by a tenth more than that is taken for it: it is measured on a machine that does other things, too.
FREEDOM = 0.1


def averaged(of, name, labels=""):
    """The mean over sites of the mean of a histogram; 0 where nothing was counted."""
    return statistics.mean(mean(each, name, labels) or 0 for each in of)


def measure(folder, a, count, size, rounds, expected):
    """What a study of so many institutions gives, for each of them; times in seconds, sizes in bytes, memory in MiB."""
    with Consortium(count, folder, a.bin_dir) as c:
        text, parameters = study(*size, rounds, least=max(2, count // 2 + 1))
        text = text.replace("training_seconds = 10", f"training_seconds = {expected}")
        made = tables(folder / "tables", count, ROWS, size[0])
        disk = [each.disk() for each in c.all]
        height, computed = c.height(c.all[0]), [each.computed("node") for each in c.all]
        number = c.study(text, made)
        others, peak, began = Others(c), 0, time.monotonic()
        largest = [0.0, 0, 0]  # of `blobs` in the midst of the study: seconds, bytes, times it was asked

        def look(closed):
            asked = time.monotonic()
            answer = c.all[-1].rpc("state_call", "SwarmApi_blobs", "0x")
            largest[0] += time.monotonic() - asked
            largest[1], largest[2] = max(largest[1], len(answer) // 2 - 1), largest[2] + 1

        whole = c.over(number, MINUTES, look)
        wall, busy = time.monotonic() - began, others.so_far()
        of = c.late(number)
        seconds = [each["seconds"] for each in of[:-1]]
        nodes, workers = [each.figures() for each in c.all], [each.figures("worker") for each in c.all]
        blocks = c.height(c.all[0]) - height
        chain = slots(c.all[0], of[0]["opened"]["block"], of[-1]["closed"]["block"])
        middle = statistics.median(seconds)
        train = averaged(workers, "consilium_worker_duty_seconds", 'kind="train"')
        merge = averaged(workers, "consilium_worker_duty_seconds", 'kind="merge"')
        fetch = averaged(nodes, "consilium_round_phase_seconds", 'phase="fetching"')
        final = averaged(nodes, "consilium_round_phase_seconds", 'phase="finality"')
        return {
            "institutions": count,
            "parameters": parameters,
            "rounds": rounds,
            "others": busy,
            "median": middle,
            "p95": percentile(seconds, 0.95),
            "short": short(whole, count),
            "train": train,
            "finality": final,
            "fetch": fetch,
            "merge": merge,
            "rest": max(0.0, middle - train - final - fetch - merge),
            "missed": missed(chain),
            "import": averaged(nodes, "substrate_block_verification_and_import_time"),
            "author": averaged(nodes, "substrate_proposer_block_constructed"),
            "blobs_seconds": largest[0] / max(1, largest[2]),
            "blobs_bytes": largest[1],
            "courier": statistics.mean(total(each, "consilium_courier_bytes_total") for each in nodes) / rounds / 2,
            "network": statistics.mean(each.get('substrate_sub_libp2p_network_bytes_total{direction="out"}', 0) for each in nodes) / wall,
            "disk": statistics.mean(each.disk() - before for each, before in zip(c.all, disk)) / blocks,
            "node_memory": statistics.mean(each.memory("node")[1] for each in c.all),
            "worker_memory": statistics.mean(each.memory("worker")[1] for each in c.all),
            "node_computed": statistics.mean(each.computed("node") - before for each, before in zip(c.all, computed)) / blocks,
        }


# Of these the growth says nothing: all institutions share this machine's processors, and wait for each other there.
SHARED = {"import", "author", "blobs_seconds"}
# What is printed: name, key, factor, digits
SPLIT = [
    ("s a round, median", "median", 1, 2), ("95th pct.", "p95", 1, 2), ("training", "train", 1, 2), ("finality", "finality", 1, 2),
    ("transfer", "fetch", 1, 2), ("merging", "merge", 1, 2), ("rest", "rest", 1, 2), ("without a site", "short", 1, 0),
    ("empty slots, %", "missed", 100, 1), ("others", "others", 1, 2),
]
EACH = [
    ("import, ms", "import", 1000, 1), ("authoring, ms", "author", 1000, 1), ("blobs, ms", "blobs_seconds", 1000, 1),
    ("blobs, kB", "blobs_bytes", 1e-3, 1), ("courier, kB a round", "courier", 1e-3, 1), ("network, kB a s", "network", 1e-3, 1),
    ("disk, kB a block", "disk", 1e-3, 1), ("node, ms a block", "node_computed", 1000, 1), ("node, MiB", "node_memory", 1, 0),
    ("worker, MiB", "worker_memory", 1, 0),
]


def table(of, columns):
    rows = [["", *(name for name, *_ in columns)]]
    for each in of:
        name = f"{each['institutions']}, {each['parameters']:,} parameters"
        rows.append([name, *(f"{each[key] * factor:.{digits}f}" for _, key, factor, digits in columns)])
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths))))


def growth(of):
    """By which power of the number of others each figure of one institution grows, from the fewest to the most; whether none that is
    an institution's own is above 1."""
    first, last, good = of[0], of[-1], True
    others = [each["institutions"] - 1 for each in (first, last)]
    print(f"\nFor each institution, from {others[0]} others to {others[1]}, as a power of how many others there are (at most 1):")
    for name, key, *_ in EACH:
        if first[key] <= 0 or last[key] <= 0:
            print(f"        {name}: nothing was counted")
            continue
        power = math.log(last[key] / first[key]) / math.log(others[1] / others[0])
        passed = power <= 1 + FREEDOM
        if key in SHARED:
            print(f"        {name}: {power:.2f} (a time, on processors that all share)")
            continue
        good &= passed
        print(f"{'passed' if passed else 'MISSED'}  {name}: {power:.2f}")
    return good


def main():
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parents[1] / "target"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", default="4,8,16,32", help="of institutions with the tiny model (%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="of each study (%(default)s, at least 2)")
    parser.add_argument("--large", type=int, default=8, help="institutions with the model of a million parameters (%(default)s; 0: none)")
    parser.add_argument("--bin-dir", type=Path, default=target / "release", help="our programs (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep folders and logs in this new folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    a = parser.parse_args()
    try:
        counts = sorted({int(count) for count in a.counts.split(",") if count})
    except ValueError:
        parser.error(f"--counts {a.counts}: numbers with commas between them")
    if any(not 3 <= count <= 64 for count in [*counts, *([a.large] if a.large else [])]) or a.rounds < 2:
        parser.error("3 to 64 institutions, and at least two rounds")
    print(f"{machine()}; load before {' '.join(f'{load:.2f}' for load in os.getloadavg())}\n", flush=True)
    of, large = [], []
    with tempfile.TemporaryDirectory(prefix="scale-") as scratch:
        work = a.out or Path(scratch)
        jobs = ([("large", a.large, LARGE, 30)] if a.large else []) + [("tiny", count, TINY, 10) for count in counts]
        for name, count, size, expected in jobs:
            try:
                figures = measure(work / f"{name}-{count}", a, count, size, a.rounds, expected)
            except Wrong as wrong:
                # as far as this machine goes
                print(f"{count} institutions, {name}: {wrong}", flush=True)
                continue
            (large if name == "large" else of).append(figures)
            print(f"{count} institutions, {name}: {figures['median']:.2f} s a round", file=sys.stderr, flush=True)
            if a.json:
                a.json.write_text(json.dumps(large + of, indent=1))
    table(large + of, SPLIT)
    print("\nFor each institution:")
    table(large + of, EACH)
    good = growth(of) if len(of) > 1 else True
    sys.exit(not good or len(large + of) < len(jobs))


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"scale.py: {wrong}")
