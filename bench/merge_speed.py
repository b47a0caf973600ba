"""How fast updates are merged: beside a copy of as many bytes, beside hashing alone, and beside numpy, in turn. Each time is the
shortest of all repetitions: whatever else the machine does can only lengthen it.

Eight updates as large as the paper's network. Exits with 1 if a bar is missed: the mean at least .6 times as many bytes a second
as a copy; verification, merge and hash of the output at most 1.25 times as long as hashing the same bytes; median and trimmed
mean at most .2, Krum at most .33 times as long as numpy with the formulas that Flower uses; merging files four times as large
takes at most 1.1 times the memory. numpy runs in this process; the example `merge_speed` beside the
engine's program does the rest.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

import common
from common import note

INPUTS, NUMBERS, LIARS = 8, 4_558_977, 2


def median(updates):
    return np.median(np.asarray(updates), axis=0)


def trimmed_mean(updates):
    stacked = np.asarray(updates)
    inner = np.partition(stacked, (LIARS, len(updates) - LIARS - 1), axis=0)
    return inner[LIARS : len(updates) - LIARS].mean(axis=0)


def krum(updates):
    n = len(updates)
    distances = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            distances[i, j] = np.linalg.norm(updates[i] - updates[j]) ** 2
    scores = [np.sort(row)[1 : n - LIARS - 1].sum() for row in distances]
    return updates[int(np.argmin(scores))]


RULES = {"median": (median, 0.2), "trimmed_mean": (trimmed_mean, 0.2), "krum": (krum, 1 / 3)}


def engine(program, folder, numbers, repeat, threads):
    command = [program, folder, str(INPUTS), str(numbers), str(repeat)]
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.engine_argument(parser)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=10, help="repetitions a turn")
    a = parser.parse_args()
    program = str(a.engine.with_name("merge_speed"))
    common.need(a.engine.with_name("merge_speed"))
    ours, theirs = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(a.turns):
            note(f"turn {turn + 1} of {a.turns}")
            for name, seconds in engine(program, folder, NUMBERS, a.repeat, a.threads)["seconds"].items():
                ours.setdefault(name, []).extend(seconds)
            updates = [np.fromfile(os.path.join(folder, f"{i}.f32"), np.float32) for i in range(INPUTS)]
            for name, (rule, _) in RULES.items():
                start = time.perf_counter()
                rule(updates)
                theirs.setdefault(name, []).append(time.perf_counter() - start)
            del updates
        note("memory")
        small = engine(program, folder, NUMBERS, 0, a.threads)["peak_kb"]
        engine(program, folder, 4 * NUMBERS, 1, a.threads)
        large = engine(program, folder, 4 * NUMBERS, 0, a.threads)["peak_kb"]
    best = {name: min(seconds) for name, seconds in ours.items()}
    rows = [
        ("copy", best["copy"], None, None, None),
        ("mean: bytes a second beside the copy's", best["mean"], None, best["copy"] / best["mean"], (">=", 0.6)),
        ("hash of all inputs and the output", best["hash"], None, None, None),
        (
            "verification, mean and hash of the output, beside hashing alone",
            best["verified_merge"],
            best["hash"],
            best["verified_merge"] / best["hash"],
            ("<=", 1.25),
        ),
    ]
    for name, (_, bar) in RULES.items():
        other = min(theirs[name])
        rows.append((f"{name}, beside numpy", best[name], other, best[name] / other, ("<=", bar)))
    rows.append(("weighted median", best["weighted_median"], None, None, None))
    rows.append(("geometric median", best["geometric_median"], None, None, None))
    if a.json:
        keys = ("what", "seconds", "beside", "ratio", "bar")
        print(json.dumps({"rows": [dict(zip(keys, row)) for row in rows], "peak_kb": {"model": small, "four_times": large}}))
    missed = False
    out = sys.stderr if a.json else sys.stdout
    print(f"{INPUTS} x {NUMBERS} numbers, {a.threads} threads; the shortest time of each", file=out)
    for name, seconds, other, ratio, bar in rows:
        verdict = ""
        if bar:
            passed = ratio >= bar[1] if bar[0] == ">=" else ratio <= bar[1]
            missed |= not passed
            verdict = f"{ratio:6.2f} {bar[0]} {bar[1]:.2f} {'pass' if passed else 'MISSED'}"
        beside = f"{other * 1000:9.1f}" if other is not None else " " * 9
        print(f"{name:66}{seconds * 1000:8.1f} ms {beside} {verdict}", file=out)
    missed |= large > 1.1 * small
    verdict = "MISSED" if large > 1.1 * small else "pass"
    sizes = f"{small / 1024:.1f} MB, of four times as many {large / 1024:.1f} MB"
    print(f"memory for files of {NUMBERS} numbers {sizes}: {verdict}", file=out)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
