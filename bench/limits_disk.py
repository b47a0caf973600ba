"""The part `disk` of limits.py: what an archive and a pruned node write in two hours, idle and through rounds."""

import re
import subprocess
import time

from consortium import Consortium, Wrong, study, tables
from limits_parts import MINUTES, SMALL, Line

DAY = 86_400
# Ten minutes: what a young database fills at once says nothing of a day.
SETTLED = 600
# As many as a study may have.
ROUNDS = 1_000
# Of the files of the node's database these are made large at once, and written over.
FIXED = re.compile(r"/(index_\d+_\d+|log\d+)$")


class Mixed(Consortium):
    """Two institutions, of which the second one's node is pruned."""

    def found(self):
        super().found()
        settings = self.all[1].dir / "consilium.toml"
        text, count = re.subn(r'^pruning = ".*"$', 'pruning = "256"', settings.read_text(), flags=re.M)
        if count != 1:
            raise Wrong(f"{settings} does not say which states its node keeps")
        settings.write_text(text)


def growing(each):
    """Bytes on the disk of a node's folder, but for the compiled runtime and for what is made large at once."""
    found = subprocess.run(["du", "-a", "--block-size=1", "--exclude=wasm", each.dir / "node"], capture_output=True, text=True)
    sizes = [line.split("\t") for line in found.stdout.splitlines()]
    whole = int(sizes[-1][0])
    return whole - sum(int(size) for size, path in sizes if FIXED.search(path))


def disk(folder, a):
    """What is written to the disk in `--minutes` or a little longer: two institutions that are idle, and two with study after study."""
    with Mixed(2, folder / "idle", a.bin_dir) as idle, Mixed(2, folder / "running", a.bin_dir) as running:
        made = tables(running.folder / "tables", 2, 200, SMALL[0])
        text, _ = study(*SMALL, ROUNDS, least=2)
        time.sleep(SETTLED)
        both = {"idle": idle, "through rounds": running}
        before = {how: [growing(each) for each in chain.all] for how, chain in both.items()}
        heights = {how: chain.height(chain.all[0]) for how, chain in both.items()}
        rounds, began = 0, time.monotonic()
        while (seconds := time.monotonic() - began) < 60 * a.minutes:
            running.over(running.study(text, made), MINUTES)
            rounds += ROUNDS
        yield Line("M7", f"rounds in {seconds / 60:.0f} minutes, with a chain beside it that is idle", rounds, "", None, None, 0)
        for how, chain in both.items():
            blocks = chain.height(chain.all[0]) - heights[how]
            yield Line("M7", f"a block, {how}", seconds / blocks, "s")
            for each, start, kind in zip(chain.all, before[how], ("archive", "pruned")):
                grown = growing(each) - start
                bar = 60 if (how, kind) == ("idle", "pruned") else None
                yield Line("M7", f"a day of a node's disk, {kind}, {how}", grown * DAY / seconds / 1e6, "MB", bar, None, 0)
                yield Line("M7", "  files that are made large at once, now", (each.disk() - growing(each)) / 1e6, "MB", None, None, 0)
