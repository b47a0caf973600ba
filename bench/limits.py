"""What the chain of a consortium on this machine keeps to while it works: bench/README.md says what each part measures.

    python3 bench/limits.py [PART ...] [--bin-dir DIR] [--rounds 1000] [--out DIR] [--json FILE]

Parts, all of them if none is named: `long` (a thousand rounds: blocks, forks, votes, memory, disk), `finality` (by its timer),
`syncs` (waits for the disk, by strace), `training` (a minute of training on all cores). `disk` is run where it is
named: two hours (`--minutes`) of what is written to the disk. Ends with 1 where a bar is missed. Needs Python
alone; `syncs` needs strace.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import consortium
import limits_disk
import limits_parts as parts

PARTS = {"long": parts.long, "finality": parts.finality, "syncs": parts.syncs, "training": parts.training}
# Named alone: it takes hours.
LONG = {"disk": limits_disk.disk}


def main():
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parents[1] / "target"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS | LONG))
    parser.add_argument("--bin-dir", type=Path, default=target / "release", help="our programs (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1000, help="of the long part (%(default)s, at least 200)")
    parser.add_argument("--seconds", type=int, default=60, help="for which each timer of `finality` is watched (%(default)s)")
    parser.add_argument("--minutes", type=int, default=120, help="of `disk` (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep folders and logs in this new folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the lines there, too")
    a = parser.parse_args()
    unknown = [part for part in a.parts if part not in PARTS | LONG]
    if unknown:
        parser.error(f"there is no part {unknown[0]}: {', '.join(PARTS | LONG)}")
    if a.rounds < 200:
        parser.error("the long part compares the memory after the last round with that after 100: at least 200 rounds")
    for program in ("consilium", "consilium-node", "ml-worker"):
        if not (a.bin_dir / program).is_file():
            parser.error(f"there is no {a.bin_dir / program}: build it (cargo build --release --locked --workspace --bins)")
    print(f"{consortium.machine()}; load before {' '.join(f'{load:.2f}' for load in os.getloadavg())}\n", flush=True)
    lines = []
    with tempfile.TemporaryDirectory(prefix="limits-") as scratch:
        work = a.out or Path(scratch)
        for part in a.parts or PARTS:
            began = time.monotonic()
            for line in (PARTS | LONG)[part](work / part, a):
                lines.append(line)
                print(line.text(), flush=True)
            print(f"        ({part}: {time.monotonic() - began:.0f} s)\n", flush=True)
    if a.json:
        a.json.write_text(json.dumps([vars(line) for line in lines], indent=1))
    sys.exit(any(line.passed is False for line in lines))


if __name__ == "__main__":
    try:
        main()
    except consortium.Wrong as wrong:
        sys.exit(f"limits.py: {wrong}")
