#!/usr/bin/env python3
"""What masks add to a round: ours beside Flower's SecAgg+, 4 sites and a million numbers, in turn in one run.

    bench/setup.sh --flower && bench/masked_flower.py

Flower: its simulation (one machine, a server and four clients in processes of Ray), with its SecAgg+ workflow and without; seconds
that the workflow adds to a round, median, and the processor time it adds for all of them together. Ours: the processor time that
masks add for one site (keys, deal, masking, reveal, and the merge beyond the plain one), median, by the built example `masked_speed`.
The two are not one thing, and both are printed. Our rounds also take blocks of the chain more, which masked_rounds.py counts; in
Flower's simulation there is no chain, and part of what SecAgg+ adds is waiting: it asks four times where there was one asking,
and looks for answers every tenth of a second. Exits with 1 where ours is above .05 s, or where one of Flower's models is wrong.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import masked_speed

HERE = Path(__file__).resolve().parent
SITES = 4
# SecAgg+ rounds each number to a grid of 16 / 2^22, at random, times its weights' scale; more is another model
OFF = 1e-3
QUIET = 0.2  # processors that others may use


def flower(python, how, rounds):
    """Seconds and processor time of each round of one run, and how many processors others used; nothing of the first round, in which
    Ray starts its processes."""
    share = min(1.0, len(os.sched_getaffinity(0)) / SITES)  # all clients at once
    command = [python, HERE / "flower_side.py", how, str(SITES), str(masked_speed.SMALL), str(rounds + 1), str(share)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"Flower's run ({how}) ended with {done.returncode}:\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["off"] > OFF:
        sys.exit(f"Flower's run ({how}): its model is off by {found['off']:.1e}; so it did not do what is compared here")
    return found["seconds"][1:], found["processor"][1:], found["others"]


def main():
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", type=Path, default=target / "release/examples/engine", help="a program beside which masked_speed lies")
    parser.add_argument("--python", type=Path, default=HERE / ".venv-flower/bin/python", help="a Python that has Flower (%(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="of each of Flower's runs, beside the first (%(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of as a table")
    a = parser.parse_args()
    program = a.engine.with_name("masked_speed")
    if not program.is_file():
        sys.exit(f"there is no {program}: build the examples in release, or name a program beside it with --engine")
    if not a.python.is_file():
        sys.exit(f"there is no {a.python}: run bench/setup.sh --flower, or name a Python that has flwr 1.41 with --python")
    if a.rounds < 1 or a.turns < 1:
        parser.error("it takes a round and a turn")
    seconds, processor, ours, busiest = {"plain": [], "secagg": []}, {"plain": [], "secagg": []}, {}, 0.0
    for turn in range(1, a.turns + 1):
        for name, each in masked_speed.times(program, SITES, masked_speed.SMALL, 20, a.threads)["processor"].items():
            ours.setdefault(name, []).extend(each)
        for how in seconds:
            wall, used, others = flower(a.python, how, a.rounds)
            busiest = max(busiest, others)
            seconds[how] += wall
            processor[how] += used
        print(f"turn {turn} of {a.turns} is done", file=sys.stderr, flush=True)
    middle = {how: statistics.median(each) for how, each in seconds.items()}
    used = {how: statistics.median(each) for how, each in processor.items()}
    theirs, theirs_used = middle["secagg"] - middle["plain"], used["secagg"] - used["plain"]
    if min(theirs, theirs_used) <= 0:
        sys.exit(f"Flower's rounds were no slower with SecAgg+ ({theirs:.2f} s): others used {busiest:.2f} processors meanwhile; measure again")
    own = masked_speed.added({name: statistics.median(each) for name, each in ours.items()})
    rows = [
        ("Flower, seconds a round without SecAgg+", middle["plain"]),
        ("Flower, seconds a round with SecAgg+", middle["secagg"]),
        ("Flower, seconds that SecAgg+ adds", theirs),
        ("Flower, processor time that SecAgg+ adds, all clients and server", theirs_used),
        ("ours, processor time that masks add, one site", own),
        (f"ours, the same for all {SITES} sites", SITES * own),
        ("ours, one site / Flower, seconds", own / theirs),
        (f"ours, {SITES} sites / Flower, processor time", SITES * own / theirs_used),
    ]
    if a.json:
        print(json.dumps({"rows": dict(rows), "bar": masked_speed.BAR, "others": busiest, "seconds": seconds, "processor": processor, "ours": ours}))
    out = sys.stderr if a.json else sys.stdout
    count = len(seconds["plain"])
    print(f"{SITES} sites, {masked_speed.SMALL:,} numbers; medians of {count} rounds and of {len(ours['plain'])} repetitions", file=out)
    for what, value in rows:
        print(f"{what:66}{value:8.4f}", file=out)
    if busiest > QUIET:
        print(f"Other programs used {busiest:.2f} processors meanwhile: these seconds are not to be trusted.", file=out)
    good = own <= masked_speed.BAR
    print(f"{'passed' if good else 'MISSED'}  one site: {own:.4f} s, at most {masked_speed.BAR}", file=out)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
