#!/usr/bin/env python3
"""Blocks that masks add to a round: studies of four sites on this machine, with masks and without, nothing trained ahead in either.

    bench/masked_rounds.py [--rounds 30] [--blocks 4] [--bin-dir DIR] [--out DIR] [--json FILE]

One consortium of four institutions, on the loopback interface, each with its node and its worker (`--no-ahead`, since masked studies
train nothing ahead either); the demo's network (30 columns, 16 hidden units). Two pairs of studies, one after the other: one whose
training takes no time, and one whose training takes about `--blocks` blocks, for which a short study before them finds how many
epochs that is. Of each round, from the blocks themselves (`consilium late`):

- from its last update to the opening of the next round: with masks at most 3 blocks more;
- from its opening to its last update: with masks none more where training takes that long, since keys and shares are exchanged
  meanwhile, and at most 2 more where it takes no time.

Medians and the 95th percentile (nearest rank); bars are for both. The last round opens no other one, and is left out. Ends with 1 if
one is missed. Needs Python alone and our programs (`cargo build --release --workspace --bins`); takes some minutes, in which the
machine should do nothing else.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from consortium import Consortium, Others, Wrong, machine, study, tables
from limits_parts import SLOT, percentile, short

SITES, COLUMNS, HIDDEN, ROWS = 4, 30, (16,), 1_000
FIRST = 1_000  # epochs from which it is found how many take as long as wanted
MOST = 10_000  # epochs that a study may have
MINUTES = 10
QUIET = 0.2  # processors that others may use


def text(rounds, epochs, masked):
    """The study file. Its step is short, so that no number leaves what masks have room for, however many epochs it has."""
    made, _ = study(COLUMNS, HIDDEN, rounds, epochs)
    made = made.replace("learning_rate = 0.01", "learning_rate = 0.00001")
    return made + ("masked = true\n" if masked else "")


def trained(c):
    """Seconds that all workers' trainings have taken until now, and how many they were."""
    of = [each.figures("worker") for each in c.all if "worker" in each.running]
    name = 'consilium_worker_duty_seconds_{}{{kind="train"}}'
    return tuple(sum(each.get(name.format(what), 0) for each in of) for what in ("sum", "count"))


def split(each):
    """Of a round: blocks from its opening to its last update, and from there to the block that closes it, which opens the next."""
    phase = each["phases"][0]
    if phase["what"] != "updates":
        raise Wrong(f"round {each['round']} begins with {phase['what']}")
    told = [vote["block"] for vote in phase["votes"] if vote["said"] == "done"]
    if len(told) < SITES:
        raise Wrong(f"round {each['round']} has {len(told)} updates")
    notes = [note["text"] for phase in each["phases"] for note in phase["notes"]]
    if notes:
        raise Wrong(f"round {each['round']}: {'; '.join(notes)}")
    return max(told) - each["opened"]["block"], each["closed"]["block"] - max(told)


def phases(rounds):
    """What the phases after the updates took, in blocks, medians: {what: blocks}."""
    found = {}
    for each in rounds:
        for phase in each["phases"][1:]:
            found.setdefault(phase["what"], []).append(phase["blocks"])
    return {what: statistics.median(blocks) for what, blocks in found.items()}


def measure(c, made, rounds, epochs, masked):
    """One study."""
    before = trained(c)
    number = c.study(text(rounds, epochs, masked), made)
    others = Others(c)
    whole = c.over(number, MINUTES)
    busy = others.so_far()
    after = trained(c)
    of = c.late(number)
    if len(of) != rounds or short(whole, SITES):
        raise Wrong(f"study {number}: {len(of)} rounds of {rounds}, {short(whole, SITES)} without a site")
    both = [split(each) for each in of[:-1]]
    return {
        "epochs": epochs,
        "masked": masked,
        "training": (after[0] - before[0]) / (after[1] - before[1]),
        "update": [first for first, _ in both],
        "next": [second for _, second in both],
        "seconds": [each["seconds"] for each in of[:-1]],
        "phases": phases(of[:-1]),
        "others": busy,
    }


def both(values):
    return statistics.median(values), percentile(values, 0.95)


def tell(runs, blocks):
    """The table and the bars; whether all are passed."""
    good = True
    for name, plain, masked, more in (
        ("training of no time", *runs[:2], 2),
        (f"training of about {blocks} blocks", *runs[2:], 0),
    ):
        print(f"{name} ({plain['epochs']} epochs; {plain['training']:.2f} s without masks, {masked['training']:.2f} s with)")
        if more == 0 and statistics.median(plain["update"]) < blocks:
            # else it would not be known whether keys and shares are hidden behind it
            good = False
            print(f"MISSED  it should take {blocks} blocks until the last update without masks: measure again, with more --blocks")
        for what, key, bar in (("from the last update to the next opening", "next", 3), ("from the opening to the last update", "update", more)):
            pairs = zip(("median", "95th percentile"), both(plain[key]), both(masked[key]))
            for which, without, with_masks in pairs:
                passed = with_masks - without <= bar
                good &= passed
                words = f"without masks {without:g}, with {with_masks:g} blocks: {with_masks - without:+g}, at most +{bar}"
                print(f"{'passed' if passed else 'MISSED'}  {what}, {which}: {words}")
        of = " · ".join(f"{what} {blocks:g}" for what, blocks in masked["phases"].items())
        middle = [statistics.median(each["seconds"]) for each in (plain, masked)]
        print(f"        a round takes {middle[0]:.2f} s without masks and {middle[1]:.2f} s with; after the updates, in blocks: {of}\n")
    return good


def main():
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parents[1] / "target"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="of each study (%(default)s, at least 2)")
    parser.add_argument("--blocks", type=int, default=4, help="that the longer training takes (%(default)s)")
    parser.add_argument("--bin-dir", type=Path, default=target / "release", help="our programs (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep folders and logs in this new folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    a = parser.parse_args()
    if a.rounds < 2 or a.blocks < 1:
        parser.error("at least two rounds, and a training of one block")
    print(f"{machine()}; load before {' '.join(f'{load:.2f}' for load in os.getloadavg())}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="masked-rounds-") as scratch:
        work = a.out or Path(scratch)
        with Consortium(SITES, work / "sites", a.bin_dir, worker=["--no-ahead"]) as c:
            made = tables(work / "tables", SITES, ROWS, COLUMNS)
            first = measure(c, made, 5, FIRST, False)
            # a quarter of a block is for asking, voting and writing
            epochs = round(FIRST * (a.blocks - 0.25) * SLOT / first["training"])
            if epochs > MOST:
                raise Wrong(f"{a.blocks} blocks of training would take {epochs} epochs, more than a study may have: take fewer blocks")
            runs = []
            for of, masked in ((1, False), (1, True), (epochs, False), (epochs, True)):
                runs.append(measure(c, made, a.rounds, of, masked))
                what = f"{of} epochs, {'with' if masked else 'without'} masks"
                print(f"{what}: {statistics.median(runs[-1]['seconds']):.2f} s a round", file=sys.stderr, flush=True)
                if a.json:
                    a.json.write_text(json.dumps(runs, indent=1))
    good = tell(runs, a.blocks)
    busiest = max(each["others"] for each in runs)
    print(f"{a.rounds - 1} rounds of each. Other programs used up to {busiest:.2f} processors meanwhile.")
    if busiest > QUIET:
        print("These figures are not to be trusted.")
    sys.exit(not good)


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"masked_rounds.py: {wrong}")
