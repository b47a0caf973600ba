"""The parts of limits.py. Each gives its lines as they are known: what, how much, and whether it keeps to its bar."""

import datetime
import math
import re
import shutil
import statistics
import subprocess
import time
from collections import defaultdict
from pathlib import Path

from consortium import Consortium, Others, Wrong, mean, study, tables, total

SLOT = 0.5  # seconds
SMALL = (30, (16,))  # columns and hidden units: 513 parameters
# Timers of finality, in milliseconds; the second is what a set of four takes by itself.
TIMERS = (25, 50, 100, 333)
EARLY = 100  # the round whose memory the last one's is compared with
MINUTES = 40  # limit of one study


class Line:
    """One figure."""

    def __init__(self, number, what, value, unit="", bar=None, others=None, digits=3):
        self.number, self.what, self.value, self.unit, self.bar, self.others = number, what, value, unit, bar, others
        self.digits, self.passed = digits, None if bar is None else value <= bar

    def text(self):
        state = {None: "      ", True: "passed", False: "MISSED"}[self.passed]
        bar = "" if self.bar is None else f", at most {self.bar:g}"
        others = "" if self.others is None else f"  (others used {self.others:.2f} processors)"
        return f"{state}  {self.number:4} {self.what}: {self.value:.{self.digits}f} {self.unit}{bar}{others}"


def percentile(values, share):
    """By nearest rank."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


# Blocks


def slot_of(header):
    """The slot of a block: what Aura's author has put before everything else."""
    for entry in header["digest"]["logs"]:
        raw = bytes.fromhex(entry[2:])
        if raw[0] == 6 and raw[1:5] == b"aura":
            return int.from_bytes(raw[6:14], "little")
    raise Wrong(f"block {header['number']} has no slot")


def slots(each, first, last):
    """The slot of each of these blocks."""
    return {n: slot_of(each.rpc("chain_getHeader", each.rpc("chain_getBlockHash", n))) for n in range(first, last + 1)}


def short(study, count):
    """How many of a study's rounds are without one of its so many sites."""
    return sum(len(each["inputs"]) < count for each in study["rounds"] if each["kind"] == "round" and each["round"])


def missed(of):
    """The share of slots between the first and the last block in which there is none."""
    wide = max(of.values()) - min(of.values())
    return 1 - (len(of) - 1) / wide if wide else 0


IMPORTED = re.compile(r"^(\S+ \S+).* Imported #(\d+) \(\S+ → (\S+?)\)")


def imports(consortium):
    """When each block came to each node, by the nodes' logs: {height: {hash: [seconds since 1970 by node]}}."""
    seen = defaultdict(lambda: defaultdict(list))
    for each in consortium.all:
        for line in re.sub(r"\x1b\[[0-9;]*m", "", (each.dir / "node.log").read_text()).splitlines():
            found = IMPORTED.match(line)
            if found:
                at = datetime.datetime.fromisoformat(found[1]).timestamp()
                seen[int(found[2])][found[3]].append(at)
    return seen


def network(folder, a, node=(), count=4):
    # moments to the millisecond in the logs
    return Consortium(count, folder, a.bin_dir, node=["--detailed-log-output", *node])


def small(consortium, rounds):
    made = tables(consortium.folder / "tables", len(consortium.all), 200, SMALL[0])
    text, _ = study(*SMALL, rounds, least=len(consortium.all))
    return consortium.study(text, made)


# Parts


def long(folder, a):
    """A study of a thousand rounds of a tiny model, four institutions."""
    with network(folder, a) as c:
        others = Others(c)
        disk = [each.disk() for each in c.all]
        number = small(c, a.rounds)
        taken = defaultdict(list)  # by round: MiB of each program, and what of it stands in no file

        def look(closed):
            for name in ("node", "worker"):
                taken[name].append((closed, [each.memory(name)[0] for each in c.all]))
                taken[f"{name}, files apart"].append((closed, [each.own_memory(name) for each in c.all]))

        whole = c.over(number, MINUTES, look)
        busy = others.so_far()
        rounds = c.late(number)
        first, last = rounds[0]["opened"]["block"], rounds[-1]["closed"]["block"]
        seconds = [each["seconds"] for each in rounds[:-1]]
        yield Line("", f"{len(rounds)} rounds of {len(c.all)} institutions, median", statistics.median(seconds), "s", None, busy)
        yield Line("", "the same, 95th percentile", percentile(seconds, 0.95), "s")
        yield Line("", "rounds without a site", short(whole, len(c.all)), "", 0, None, 0)
        of = slots(c.all[0], first, last)
        yield Line("M1", f"slots without a block, of {max(of.values()) - min(of.values())}", 100 * missed(of), "%")
        seen = imports(c)
        forks = sum(len(hashes) > 1 for height, hashes in seen.items() if first <= height <= last)
        yield Line("M1", f"heights with two blocks, of {last - first + 1}", 100 * forks / (last - first + 1), "%", 1.0)
        by_all = [
            1000 * (max(next(iter(seen[n].values()))) - SLOT * of[n])
            for n in of if len(seen[n]) == 1 and len(next(iter(seen[n].values()))) == len(c.all)
        ]
        yield Line("M1", f"from the slot until all have the block, median of {len(by_all)}", statistics.median(by_all), "ms", None, None, 0)
        yield Line("M1", "the same, 95th percentile", percentile(by_all, 0.95), "ms", 150, None, 0)
        figures = [each.figures() for each in c.all]
        sent, again, lost = (sum(total(f, f"consilium_votes_{what}_total") for f in figures) for what in ("sent", "sent_again", "lost"))
        yield Line("M4", f"votes lost, of {sent:.0f}", 100 * lost / sent, "%", 2.0, None, 2)
        yield Line("M4", "votes sent again", 100 * again / sent, "%", None, None, 2)
        yield Line("M4", "from sending a vote to its block, mean", statistics.mean(mean(f, "consilium_vote_wait_seconds") for f in figures), "s")
        waited = statistics.mean(mean(f, "consilium_round_phase_seconds", 'phase="finality"') for f in figures)
        yield Line("M2", "from a freeze until it is final, mean", waited, "s")
        grown = statistics.mean(each.disk() - before for each, before in zip(c.all, disk))
        blocks = c.height(c.all[0])
        yield Line("M7", "what a block with a round in it adds to a node's folder (archive-canonical, with what the courier notes)", grown / blocks / 1e3, "kB", None, None, 1)
        for name in taken:
            early = [mib for at, mib in taken[name] if EARLY <= at < EARLY + 20]
            late = taken[name][-10:]
            if not early:
                raise Wrong("nobody looked at the memory around round 100: the study went by too fast")
            before = [statistics.median(each) for each in zip(*early)]
            after = [statistics.median(each) for each in zip(*(mib for _, mib in late))]
            yield Line("mem", f"memory of a {name}, after {EARLY} rounds, mean", statistics.mean(before), "MiB", None, None, 1)
            yield Line("mem", f"the same after {a.rounds}", statistics.mean(after), "MiB", None, None, 1)
            worst = max(late / early for late, early in zip(after, before))
            yield Line("mem", f"the one over the other, worst {name}", worst, "", 1.3 if name.startswith("node") else None)


def finality(folder, a):
    """How long a block takes to become final, and what that costs, by the timer; on an idle chain."""
    for timer in TIMERS:
        with network(folder / str(timer), a, ["--finality-gossip-ms", str(timer)]) as c:
            each = c.all[0]
            time.sleep(5)
            others, computed = Others(c), sum(it.computed("node") for it in c.all)
            best, final, end = {}, {}, time.monotonic() + a.seconds
            while time.monotonic() < end:
                best.setdefault(c.height(each), time.monotonic())
                final.setdefault(c.height(each, final=True), time.monotonic())
                time.sleep(0.01)
            used = (sum(it.computed("node") for it in c.all) - computed) / a.seconds / len(c.all)
            # a height that was passed over was final with the one seen next
            known = sorted(final)
            took = []
            for height in list(best)[1:]:
                later = next((n for n in known if n >= height), None)
                if later is not None and known[0] < height:
                    took.append(1000 * (final[later] - best[height]))
            busy = others.so_far()
            bar = 350 if timer == 50 else None
            yield Line("M2", f"import to final at {timer} ms, median of {len(took)}", statistics.median(took), "ms", None, busy, 0)
            yield Line("M2", f"the same, 95th percentile, at {timer} ms", percentile(took, 0.95), "ms", bar, None, 0)
            yield Line("M2", f"what an idle node computes at {timer} ms", 100 * used, "% of a processor", None, None, 1)


SYNC = re.compile(r"^(\d+) .*(?:fsync|fdatasync|syncfs|msync)\((?:\d+<([^>]*)>)?", re.M)
# The worker's thread that brings to the disk what nobody waits for.
LATER = "settling"


def syncs(folder, a):
    """Waits for the disk of thirty rounds, by strace on all programs of one site."""
    if not shutil.which("strace"):
        raise Wrong("syncs: there is no strace")
    rounds = 30
    with network(folder, a) as c:
        site, traced = c.all[1], {}
        made = tables(c.folder / "tables", len(c.all), 200, SMALL[0])
        text, _ = study(*SMALL, rounds, least=len(c.all))
        number = c.study(text, made)
        for name in ("node", "worker"):
            out = folder / f"{name}.strace"
            command = ["strace", "-f", "-y", "-qq", "-e", "trace=fsync,fdatasync,syncfs,msync", "-p", str(site.running[name].pid), "-o", out]
            traced[name] = subprocess.Popen(command, stderr=subprocess.DEVNULL), out
        began = c.look(number).get("round") or 0
        over = c.over(number, MINUTES)
        tasks = Path(f"/proc/{site.running['worker'].pid}/task").glob("*/comm")
        later = {comm.parent.name for comm in tasks if comm.read_text().strip() == LATER}
        for process, _ in traced.values():
            process.terminate()
            process.wait()
        counted = sum(each["round"] > began for each in over["rounds"] if each["kind"] == "round")
        database, background, by = 0, 0, defaultdict(int)
        for _, out in traced.values():
            for thread, path in SYNC.findall(out.read_text()):
                # the database's files lie in a folder of its own; parts of them are mapped into memory
                if "/chains/" in path or not path:
                    database += 1
                    continue
                background += thread in later
                path = re.sub(r"[.]tmp-[^/]*|[0-9a-f]{16,}", "FILE", path.removeprefix(f"{site.dir.resolve()}/"))
                by[path + (" (in the background)" if thread in later else "")] += 1
        own = sum(by.values())
        if not own:
            raise Wrong("syncs: strace saw nothing: may this user trace?")
        yield Line("M3", f"waits for the disk a site and round, but for the database's own, over {counted} rounds", own / counted, "", 4.0, None, 2)
        yield Line("M3", "of them such as a vote or a byte on its way to others waits for", (own - background) / counted, "", None, None, 2)
        yield Line("M3", "the database's own", database / counted, "", None, None, 2)
        for path, count in sorted(by.items(), key=lambda it: -it[1])[:8]:
            yield Line("M3", f"  {path}", count / counted, "", None, None, 2)


def training(folder, a):
    """A minute in which training takes all cores: slots without a block."""
    features, hidden = 100, (512, 512)
    with network(folder, a) as c:
        made = tables(c.folder / "tables", len(c.all), 1_500, features)
        # how long an epoch takes here is found out first
        epochs = 10
        text, _ = study(features, hidden, 1, epochs)
        number = c.study(text, made)
        c.over(number, MINUTES)
        took = max(1.0, statistics.mean(mean(each.figures("worker"), "consilium_worker_duty_seconds", 'kind="train"') for each in c.all))
        epochs = min(1000, math.ceil(epochs * 75 / took))
        others = Others(c)
        text, _ = study(features, hidden, 1, epochs)
        number = c.study(text.replace("training_seconds = 10", "training_seconds = 120"), made)
        c.over(number, MINUTES)
        busy = others.so_far()
        closed = c.late(number)[0]
        of = slots(c.all[0], closed["opened"]["block"], closed["closed"]["block"])
        yield Line("M6", "training of four sites at once took", closed["seconds"], "s", None, busy, 1)
        yield Line("M6", f"slots without a block meanwhile, of {max(of.values()) - min(of.values())}", 100 * missed(of), "%", 5.0)
