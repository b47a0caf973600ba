"""Runs both sides in turn and prints the table: bench/rounds.sh starts this, `rounds.sh --help` says with what.

A round lasts from its opening to the next one's, so that R rounds give R - 1 times. On our side a round opens in the block that
closes the one before; times are those of blocks, which the chain makes at whole slots. On FLARE's side it opens when the first
site has its model, by that site's clock.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import network
import ours
import tables

HERE = Path(__file__).resolve().parent
NAMES = {"ours": "ours", "plain": "ours, nothing ahead", "before": "ours, before", "default": "FLARE, default", "tuned": "FLARE, tuned"}
TRIES = 3  # of a FLARE job; on a busy machine its simulator sometimes does not start all four clients
TRAINED = 20  # rounds from which on the bar of accuracy stands
QUIET = 0.2  # processors that others may use


def arguments():
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target"))
    what = "Seconds a round: ours beside NVIDIA FLARE's swarm, in turn."
    parser = argparse.ArgumentParser(prog="rounds.sh", description=what)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3, help="turns, with seeds 1, 2, …")
    parser.add_argument("--bin-dir", type=Path, default=target / "release", help="our programs (%(default)s)")
    parser.add_argument("--before", type=Path, metavar="DIR", help="programs of an older build, run in the same turns")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep tables, runs and logs in this new folder")
    parser.add_argument("--minutes", type=float, default=30, help="limit of one run (%(default)s)")
    bars = parser.add_argument_group("bars (the largest, but for accuracy, that passes; ours, and ours with nothing ahead)")
    two = {"type": float, "nargs": 2, "metavar": ("OURS", "PLAIN")}
    bars.add_argument("--median", **two, default=[0.6, 1.1], help="seconds a round, median (%(default)s)")
    bars.add_argument("--p95", **two, default=[1.6, 1.6], help="95th percentile (%(default)s)")
    bars.add_argument("--of-default", **two, default=[0.25, 0.5], help="beside FLARE's default, medians (%(default)s)")
    bars.add_argument("--of-tuned", **two, default=[0.7, 1.2], help="beside FLARE's tuned, medians (%(default)s)")
    bars.add_argument("--accuracy", type=float, default=0.8, help=f"every side, from {TRAINED} rounds on (%(default)s)")
    a = parser.parse_args()
    if a.rounds < 2 or a.seeds < 1:
        parser.error("it takes two rounds and one seed")
    for folder in filter(None, (a.bin_dir, a.before)):
        for program in ("consilium", "consilium-node", "ml-worker"):
            if not (folder / program).is_file():
                parser.error(f"there is no {folder / program}: build it (cargo build --release --locked --workspace --bins)")
    return a


# Processes


def family(pid):
    """A process and all under it, as (id, start): ticks it has computed. FLARE's have groups of their own."""
    known, children = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        each = int(file.parent.name)
        known[each] = (each, fields[19]), int(fields[11]) + int(fields[12])
        children.setdefault(int(fields[1]), []).append(each)
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return dict(known[each] for each in found if each in known)


def end(process):
    """Asks a run to end; half a minute later ends what is left of it."""
    of_it = family(process.pid)
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid, started in of_it:
        # the same process still, and not another with its number
        if (pid, started) in family(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def everybody():
    """Ticks that all programs of this machine have computed."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, *_ = map(int, file.readline().split()[1:])
    return user + nice + system + irq + softirq


class Failed(Exception):
    """A run that ended badly."""


def run(command, log, minutes):
    """Seconds that a command takes, and how many processors other programs used meanwhile. Its output goes to a file."""
    began, before, own = time.monotonic(), everybody(), {}
    with open(log, "w") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
        try:
            while process.poll() is None:
                if time.monotonic() > began + 60 * minutes:
                    raise SystemExit(f"rounds.sh: not done after {minutes:g} minutes; see {log}")
                own |= family(process.pid)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1)
        finally:
            if process.poll() is None:
                end(process)
    if process.returncode:
        tail = "".join(log.read_text().splitlines(True)[-12:])
        raise Failed(f"ended with {process.returncode}; see {log}:\n{tail}")
    whole = time.monotonic() - began
    return whole, max(0, everybody() - before - sum(own.values())) / os.sysconf("SC_CLK_TCK") / whole


# The sides


def our_run(programs, more, made, folder, a, seed):
    out = folder / "out"
    sites, held_out = made
    command = ours.command(programs, HERE / "study.toml", sites, held_out, a.rounds, seed, out, more)
    whole, others = run(command, folder / "log", a.minutes)
    seconds, short, accuracy = ours.read(out, a.rounds)
    return {"seconds": seconds, "whole": whole, "others": others, "short": short, "accuracy": accuracy}


def flare_run(form, made, folder, a, seed, attempt=1):
    sites, held_out = made
    job = [sys.executable, HERE / "flare_job.py", folder, held_out.parent, str(a.rounds), str(seed), form]
    try:
        whole, others = run(job, folder / "log", a.minutes)
    except Failed as failure:
        if attempt == TRIES:
            raise
        print(f"FLARE's job is run again: it {failure}", file=sys.stderr)
        folder = folder.with_name(f"{folder.name}-again")
        folder.mkdir()
        return flare_run(form, made, folder, a, seed, attempt + 1)
    opened, came = {}, {}
    for site in sites:
        for line in (folder / "notes" / f"{site}.csv").read_text().splitlines():
            number, at = line.split(",")
            opened[int(number)] = min(float(at), opened.get(int(number), math.inf))
            came[int(number)] = came.get(int(number), 0) + 1
    if sorted(opened) != list(range(a.rounds)):
        raise SystemExit(f"rounds.sh: of {a.rounds} rounds FLARE made {sorted(opened)}; see {folder / 'log'}")
    # every site keeps the last model
    kept = [folder / "workspace" / site / "simulate_job/models/last_global_model.npy" for site in sites]
    if len({file.read_bytes() for file in kept}) != 1:
        raise SystemExit(f"rounds.sh: FLARE's sites do not hold the same model; see {folder / 'log'}")
    accuracy = network.accuracy(network.numpy.load(kept[0]), *network.read(held_out))
    seconds = [opened[number + 1] - opened[number] for number in range(a.rounds - 1)]
    short = sum(n < len(sites) for n in came.values())
    return {"seconds": seconds, "whole": whole, "others": others, "short": short, "accuracy": accuracy}


# What is printed


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def percentile(values, share):
    """By nearest rank."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def tell(runs, a):
    """The table, the ratios and the bars; whether all bars are passed."""
    of = {side: [second for r in each for second in r["seconds"]] for side, each in runs.items()}
    middle = {side: statistics.median(seconds) for side, seconds in of.items()}
    rows = [["", "median s", "by seed", "95th pct.", "whole run s", "held-out accuracy", "others"]]
    for side, each in runs.items():
        by_seed = " ".join(f"{statistics.median(r['seconds']):.2f}" for r in each)
        whole = " ".join(f"{r['whole']:.0f}" for r in each)
        accuracy = " ".join(f"{r['accuracy']:.3f}" for r in each)
        others = f"{max(r['others'] for r in each):.2f}"
        rows.append([NAMES[side], f"{middle[side]:.3f}", by_seed, f"{percentile(of[side], 0.95):.3f}", whole, accuracy, others])
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths))))
    print(f"\n{len(of['ours'])} rounds of each side, from opening to opening. Others: processors that other programs used.")
    print("Ours: eight processes and a chain; a round ends with a block, that is at a whole slot; founding, certificate and")
    print("comparison are in the whole run. FLARE: its simulator, one job, a server and four clients, no chain and no TLS.\n")
    busiest = max(r["others"] for each in runs.values() for r in each)
    if busiest > QUIET:
        print(f"Other programs used {busiest:.2f} processors meanwhile: these times are not to be trusted.\n")
    ratio = {}
    for one in ("ours", "plain"):
        for side in (side for side in runs if side not in ("ours", one)):
            ratio[one, side] = middle[one] / middle[side]
            pairs = [statistics.median(m["seconds"]) / statistics.median(t["seconds"]) for m, t in zip(runs[one], runs[side])]
            print(f"{NAMES[one]} / {NAMES[side]}: {ratio[one, side]:.3f} (by seed {min(pairs):.3f} to {max(pairs):.3f})")
    short = sum(r["short"] for each in runs.values() for r in each)
    worst = min(r["accuracy"] for each in runs.values() for r in each)
    bars = []
    for place, one in enumerate(("ours", "plain")):
        for what, value, bar in (
            ("median seconds a round", middle[one], a.median),
            ("95th percentile", percentile(of[one], 0.95), a.p95),
            ("of FLARE's default", ratio[one, "default"], a.of_default),
            ("of FLARE's tuned", ratio[one, "tuned"], a.of_tuned),
        ):
            bars.append((f"{NAMES[one]}, {what}", value, "at most", bar[place], value <= bar[place]))
    bars.append(("rounds without all four sites", short, "at most", 0, short == 0))
    if a.rounds >= TRAINED:
        bars.append(("lowest accuracy", worst, "at least", a.accuracy, worst >= a.accuracy))
    print()
    for what, value, way, bar, passed in bars:
        print(f"{'passed' if passed else 'MISSED'}  {what}: {value:.3f}, {way} {bar:g}")
    return all(passed for *_, passed in bars)


def measure(a, work):
    made = tables.write(work)
    sides = {
        "ours": lambda *how: our_run(a.bin_dir.resolve(), [], *how),
        "plain": lambda *how: our_run(a.bin_dir.resolve(), ["--no-ahead"], *how),
    }
    if a.before:
        sides["before"] = lambda *how: our_run(a.before.resolve(), [], *how)
    sides |= {form: lambda *how, form=form: flare_run(form, *how) for form in ("default", "tuned")}
    runs = {side: [] for side in sides}
    for seed in range(1, a.seeds + 1):
        for side, start in sides.items():
            folder = work / f"{side}-{seed}"
            folder.mkdir()
            runs[side].append(start(made, folder, a, seed))
            median = statistics.median(runs[side][-1]["seconds"])
            print(f"seed {seed}, {NAMES[side]}: {median:.3f} s a round in the median", file=sys.stderr, flush=True)
    return runs


def main():
    a = arguments()
    if a.out:
        a.out.mkdir(parents=True)
    work = a.out.resolve() if a.out else Path(tempfile.mkdtemp(prefix="rounds-"))
    for which in (signal.SIGINT, signal.SIGTERM):
        # through `run`, which ends the side that runs
        signal.signal(which, lambda *_: sys.exit(f"rounds.sh: told to end; what was made so far is in {work}"))
    print(f"{machine()}; load before {' '.join(f'{load:.2f}' for load in os.getloadavg())}\n", flush=True)
    try:
        runs = measure(a, work)
    except Failed as failure:
        sys.exit(f"rounds.sh: a run {failure}")
    (work / "rounds.json").write_text(json.dumps(runs, indent=1))
    passed = tell(runs, a)
    if not a.out:
        shutil.rmtree(work)
    sys.exit(not passed)


if __name__ == "__main__":
    main()
