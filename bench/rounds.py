"""What a Train duty takes beside the training itself: five rounds of the paper's network on a table of 2,600 x 12,708.

    python bench/rounds.py ML_WORKER [--protocol 4] [--rows 2600] [--rounds 5] [--out FOLDER]

It plays the node: it starts `ml-worker serve` on a made-up table and asks for rounds one after the other, in the messages of
`primitives/src/duty.rs`, encoded here by hand (SCALE). All rounds begin with the initial model. It prints, of each round, the
whole duty as the log gives it ("done in"), the training by the worker's own note, and what is spent beside it as a share of it. Ends
with 1 where that is more than the bar, in the median from the second round on. Needs numpy.
"""

import argparse
import hashlib
import json
import pathlib
import re
import socket
import statistics
import struct
import subprocess
import time
import urllib.request

import numpy

COLUMNS = 12_708
BAR = 0.35
AGREEMENT, WHO, ZERO = b"\x07" * 32, b"\x01" * 32, b"\x00" * 32
KINDS = {"init": 2, "train": 3}
STUDY = """title = "Rounds"
[data]
label = "disease"
positive = "1"
negative = "0"
scaling = "none"
[data.features.others]
count = {count}
hash = "{hash}"
[model]
preset = "nature2021"
[training]
optimizer = {{ adam = {{ learning_rate = 0.001, epsilon = 1e-7, epsilon_form = "keras" }} }}
batch_size = 128
epochs = 1
[evaluation]
validation_share = 0.2
[rules]
rounds = 5
training_seconds = 60
"""


def table(path, rows):
    """Values as of normalised expression, six digits each."""
    draw = numpy.random.default_rng(1)
    with open(path, "w") as file:
        file.write(",".join(["disease", *(f"g{n}" for n in range(COLUMNS))]) + "\n")
        for _ in range(rows):
            label = draw.integers(2)
            values = draw.normal(8, 2, COLUMNS) + label * (numpy.arange(COLUMNS) < 50)
            file.write(f"{label}," + ",".join(f"{value:.5f}" for value in values) + "\n")


def compact(n):
    if n < 1 << 6:
        return bytes([n << 2])
    if n < 1 << 14:
        return struct.pack("<H", n << 2 | 1)
    return struct.pack("<I", n << 2 | 2)


def order(protocol, kind, number, base, spec, length_out=0):
    root, length = base or (ZERO, 0)
    duty = bytes([KINDS[kind]]) + ZERO + struct.pack("<I", 0) + AGREEMENT + struct.pack("<I", number) + WHO + root
    # rows are not scaled here: the study has no statistics
    duty += ZERO if protocol >= 4 else b""
    blob = b"\x01" + root + struct.pack("<Q", length) if base else b"\x00"
    name = hashlib.blake2b(spec, digest_size=32).digest()
    rest = name + blob + b"\x00" + compact(0) + b"\x00" + struct.pack("<Q", length_out) + compact(0)
    return duty + rest + (b"\x00" if protocol >= 4 else b"")


def ask(port, protocol, spec, wanted):
    """Asks for one duty until it is done; the file's hash."""
    body = bytes([protocol]) + compact(1) + compact(len(spec)) + spec + compact(1) + wanted
    head = {"authorization": "Bearer " + "0" * 32}
    while True:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/duties", body, head, method="PUT")
        state = urllib.request.urlopen(request).read()[34:]
        if state[0] == 4:
            return state[2:34]
        if state[0] == 5:
            raise SystemExit(f"failed: code {state[1]}")
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("worker")
    parser.add_argument("--protocol", type=int, default=4)
    parser.add_argument("--rows", type=int, default=2_600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("rounds-out"))
    given = parser.parse_args()
    out = given.out
    out.mkdir(parents=True, exist_ok=True)
    data, small, study = out / "data.csv", out / "small.csv", out / "study.toml"
    if not data.exists():
        table(data, given.rows)
        table(small, 60)
    columns = subprocess.run([given.worker, "columns", "--data", small, "--named", "disease"], check=True, capture_output=True, text=True)
    study.write_text(STUDY.format(count=COLUMNS, hash=re.search(r"[0-9a-f]{64}", columns.stdout)[0]))
    # a model of the desk holds the specification in its canonical form
    model = out / "model"
    if not model.exists():
        subprocess.run([given.worker, "train", "--study", study, "--data", small, "--out", model], check=True, capture_output=True)
    texts = [json.loads(file.read_text()) for file in model.glob("*.json")]
    spec = next(text["spec"] for text in texts if isinstance(text.get("spec"), str)).encode()

    length = next(model.glob("*.safetensors")).stat().st_size

    home = out / f"run-{time.time_ns()}"
    home.mkdir()
    (home / "token").write_text("0" * 32)
    (home / "token").chmod(0o640)
    (home / "sites.toml").write_text(f'[[study]]\nagreement = "{AGREEMENT.hex()}"\ndata = "{data.resolve()}"\n')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home / "log"
    command = [given.worker, "serve", "--dir", home / "worker", "--blobs", home / "blobs", "--token-file", home / "token"]
    command += ["--sites", home / "sites.toml", "--listen", f"127.0.0.1:{port}"]
    with open(log, "w") as file:
        worker = subprocess.Popen(command, stderr=file)
    try:
        while "listening" not in log.read_text():
            time.sleep(0.1)
        root = ask(port, given.protocol, spec, order(given.protocol, "init", 0, None, spec, length))
        base = (root, (home / "blobs" / root.hex()).stat().st_size)
        for number in range(1, given.rounds + 1):
            ask(port, given.protocol, spec, order(given.protocol, "train", number, base, spec))
    finally:
        worker.terminate()
        worker.wait()
    text = log.read_text()
    later = []
    for number in range(1, given.rounds + 1):
        whole = float(re.search(rf"round {number}, Train: done in ([0-9.]+) s", text)[1])
        note = json.loads(next((home / "worker" / "studies").rglob(f"training-{number:04}.json")).read_text())
        beside = whole / note["seconds"] - 1
        later += [beside] if number > 1 else []
        print(f"round {number}: {whole:6.2f} s, of which training {note['seconds']:6.2f}; beside it {beside:.2f} of it")
    middle = statistics.median(later)
    print(f"from the second round on {middle:.2f} in the median, bar {BAR}: {'good' if middle <= BAR else 'MISSED'}")
    raise SystemExit(middle > BAR)


if __name__ == "__main__":
    main()
