#!/usr/bin/env python3
"""How fast masked files are merged, and an update is masked, beside the plain merge of as many files: both sides in turn in one
run, on two threads, files in the page cache. Each time is the shortest of all repetitions: whatever else the machine does can only
lengthen it.

    bench/masked_speed.py

Updates as large as the paper's network, from 4 and from 8 sites. All times are with hashes of all that is read and written, and
with writing. Exits with 1 if a bar is missed: a masked merge at most 2.0 times as long as the plain one, and at most 1.0 times the
plain one more for a partner that was lost; masking one's own update at most 1.5 times as long as the plain merge of 8 files. With a
million numbers and 4 sites, what masks cost one site in processor time (keys, deal, masking, reveal, and the merge beyond the plain
one) at most .05 s a round. Needs the built example `masked_speed`, 0.5 GB on the disk, and nothing but Python.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

NUMBERS, SMALL = 4_558_977, 1_000_000
BAR = 0.05  # seconds of processor time that masks may add for one site in a round, with so few numbers


def times(program, inputs, numbers, repeat, threads):
    """All times of each part: `seconds`, and `processor` time."""
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    with tempfile.TemporaryDirectory() as folder:
        command = [program, folder, str(inputs), str(numbers), str(repeat)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout)


def run(program, inputs, numbers, repeat, threads):
    """The shortest seconds, and the shortest seconds of processor time, of each part."""
    found = times(program, inputs, numbers, repeat, threads)
    return tuple({name: min(each) for name, each in found[what].items()} for what in ("seconds", "processor"))


def added(processor):
    """What masks cost one site, out of each part's processor time."""
    return processor["pairing"] + processor["mask"] + processor["masked"] - processor["plain"]


def main():
    here = Path(__file__).resolve().parent
    target = Path(os.environ.get("CARGO_TARGET_DIR", here.parent / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", type=Path, default=target / "release/examples/engine", help="a program beside which masked_speed lies")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of as a table")
    a = parser.parse_args()
    program = a.engine.with_name("masked_speed")
    if not program.is_file():
        sys.exit(f"there is no {program}: build the examples in release, or name a program beside it with --engine")
    rows = []
    for inputs in (4, 8):
        seconds, _ = run(program, inputs, NUMBERS, a.repeat, a.threads)
        plain = seconds["plain"]
        rows.append((f"{inputs} x {NUMBERS}: plain merge", plain, None, None))
        rows.append((f"{inputs} x {NUMBERS}: masked merge", seconds["masked"], seconds["masked"] / plain, 2.0))
        more = seconds["one_lost"] - seconds["masked"]
        rows.append((f"{inputs} x {NUMBERS}: more for a lost partner", more, more / plain, 1.0))
        bar = 1.5 if inputs == 8 else None
        rows.append((f"{inputs} x {NUMBERS}: masking one's own", seconds["mask"], seconds["mask"] / plain, bar))
    _, processor = run(program, 4, SMALL, a.repeat, a.threads)
    for what in ("pairing", "mask", "masked", "plain"):
        rows.append((f"4 x {SMALL}: processor time, {what}", processor[what], None, None))
    rows.append((f"4 x {SMALL}: processor time that masks add", added(processor), added(processor), BAR))
    missed = any(bar is not None and value > bar for _, _, value, bar in rows)
    if a.json:
        keys = ("what", "seconds", "value", "bar")
        print(json.dumps({"threads": a.threads, "rows": [dict(zip(keys, row)) for row in rows]}))
    out = sys.stderr if a.json else sys.stdout
    print(f"{a.threads} threads; the shortest time of {a.repeat} each", file=out)
    for what, seconds, value, bar in rows:
        verdict = f"{value:7.3f}" if value is not None else ""
        if bar is not None:
            verdict += f" <= {bar:.2f} {'MISSED' if value > bar else 'pass'}"
        print(f"{what:46}{seconds * 1000:9.2f} ms {verdict}", file=out)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
