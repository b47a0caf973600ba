#!/usr/bin/env python3
"""How often a site waits for its disk in a round: runs the demo's study under strace, and counts by path.

    bench/fsyncs.py [--rounds 30]

Needs the built programs (CARGO_TARGET_DIR or target) and Debian's package strace. Counted are fsync, fdatasync and syncfs of all programs,
from founding to certificate, per site and round; the node's own database is told apart. Exit code 1 above four.
"""

import argparse
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
SITES = 4
MOST = 4.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    if not shutil.which("strace"):
        sys.exit("no strace here: apt install strace")
    program = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")) / "release" / "consilium"
    if not program.exists():
        sys.exit(f"{program} is not built: scripts/demo.sh builds it")
    with tempfile.TemporaryDirectory() as folder:
        log, out = Path(folder) / "calls", Path(folder) / "out"
        command = ["strace", "-f", "--seccomp-bpf", "-y", "-e", "trace=fsync,fdatasync,syncfs", "-o", log, program, "localnet", "run",
                   "--study", HERE / "examples/breast-cancer/study.toml", "--rounds", str(rounds), "--out", out]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(f"{done.stdout}\nthe run failed")
        counts = collections.Counter()
        for line in log.read_text(errors="replace").splitlines():
            found = re.search(r"(fsync|fdatasync|syncfs)\(\d+<([^>]*)>", line)
            if found:
                path = re.sub(r"^/[^/]+", "", found[2].removeprefix(str(out)))
                counts[found[1], re.sub(r"\d+", "N", re.sub(r"[0-9a-f]{16,}", "HASH", path))] += 1
    if not counts:
        sys.exit("strace saw nothing")
    own = {what: count for what, count in counts.items() if "/paritydb/" not in what[1]}
    for (call, path), count in counts.most_common():
        kind = "" if (call, path) in own else "   (database)"
        print(f"{count / SITES / rounds:6.2f}  {call:10} {path}{kind}")
    total, database = sum(own.values()) / SITES / rounds, (sum(counts.values()) - sum(own.values())) / SITES / rounds
    print(f"{total:6.2f}  a site and round besides the database's own, {MOST:.0f} at most; {database:.2f} of the database")
    sys.exit(total > MOST)


if __name__ == "__main__":
    main()
