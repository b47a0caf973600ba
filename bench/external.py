"""What a round by a trainer of one's own takes beside PyTorch's own time: the paper's network, batch 128, 20 steps.

    python bench/external.py ML_WORKER [--python PYTHON] [--rounds 6] [--rows 1000] [--out FOLDER]

It plays the node, as rounds.py does; each round begins with the model that the one before it gave, as in a study. The trainer (external_trainer.py) notes how long its steps took; the worker's log says how long
the whole duty took: the base measured, files, the process's answers, checks, the update written and hashed. Ends with 1 where, in
the median from the second round on, that is more than 1.2 times PyTorch's own time and more than .15 s longer. PYTHON has torch,
numpy and safetensors; the trainer runs unconfined here (confinement costs nothing once it runs). Needs numpy.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

import rounds

HERE = pathlib.Path(__file__).resolve().parent
BAR, MORE = 1.2, 0.15
NONE = "none: this code may do whatever the worker may"


def said(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def merged(update):
    """The file of a model that was merged of this one update: the same numbers, under a header that names no duty."""
    length = int.from_bytes(update[:8], "little")
    head = re.sub(rb'"__metadata__":\{"duty":"[0-9a-f]{64}"\},', b"", update[8 : 8 + length].rstrip(b" "), count=1)
    head = head.ljust(-(-len(head) // 8) * 8, b" ")
    return len(head).to_bytes(8, "little") + head + update[8 + length :]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("worker")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("rounds-out/external"))
    given = parser.parse_args()
    load = " ".join(f"{part:.2f}" for part in os.getloadavg())
    print(f"{os.cpu_count()} processors, load before {load}: above a few hundredths this says little", flush=True)
    worker, out = given.worker, given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    data, small = out / "data.csv", out / "small.csv"
    if not data.exists():
        rounds.table(data, given.rows)
        rounds.table(small, 60)
    code, initial, archive = out / "code", out / "initial.safetensors", out / "trainer.tar"
    shutil.rmtree(code, ignore_errors=True)
    shutil.copytree(HERE.parent / "python/consilium_trainer", code / "consilium_trainer")
    shutil.copy(HERE / "external_trainer.py", code / "trainer.py")
    said(given.python, code / "trainer.py", "--initial", initial)
    named = said(worker, "trainer", "pack", code, "--out", archive)
    begin, model = said(worker, "trainer", "describe", initial).split("\n\n")
    columns = re.search(r"[0-9a-f]{64}", said(worker, "columns", "--data", small, "--named", "disease"))[0]
    text = rounds.STUDY.format(count=rounds.COLUMNS, hash=columns).replace("epochs = 1", "batches = 20")
    text = text.replace('[model]\npreset = "nature2021"', f"[model.external]\n{named}{model}")
    study, trainer = out / "study.toml", out / "trainer.toml"
    study.write_text(f"{begin}\n{text}")
    root = re.search(r"[0-9a-f]{64}", named)[0]
    command = json.dumps([given.python, "code/trainer.py"])
    settings = f'code = "{root}"\ncommand = {command}\nconfine = "{NONE}"\nmemory_mib = 16384\n'
    trainer.write_text(settings)
    desk = out / "model"
    shutil.rmtree(desk, ignore_errors=True)
    said(worker, "train", "--study", study, "--data", small, "--out", desk, "--rounds", 1, "--initial", initial, "--trainer", trainer, "--code", code)
    spec = json.loads((desk / "model.json").read_text())["spec"].encode()
    length = (desk / "model.safetensors").stat().st_size

    home = out / f"run-{time.time_ns()}"
    home.mkdir()
    (home / "token").write_text("0" * 32)
    (home / "token").chmod(0o640)
    entry = f'[[study]]\nagreement = "{rounds.AGREEMENT.hex()}"\ndata = "{data}"\n[study.trainer]\n{settings}'
    (home / "sites.toml").write_text(entry)
    for file in (archive, initial):
        said(worker, "trainer", "put", file, "--blobs", home / "blobs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home / "log"
    serve = [worker, "serve", "--dir", home / "worker", "--blobs", home / "blobs", "--token-file", home / "token"]
    serve += ["--sites", home / "sites.toml", "--listen", f"127.0.0.1:{port}"]
    with open(log, "w") as file:
        process = subprocess.Popen(serve, stderr=file)
    try:
        while "listening" not in log.read_text():
            time.sleep(0.1)
        root = rounds.ask(port, 4, spec, rounds.order(4, "init", 0, None, spec, length))
        base = (root, (home / "blobs" / root.hex()).stat().st_size)
        for number in range(1, given.rounds + 1):
            root = rounds.ask(port, 4, spec, rounds.order(4, "train", number, base, spec))
            model = out / "merged.safetensors"
            model.write_bytes(merged((home / "blobs" / root.hex()).read_bytes()))
            put = said(worker, "trainer", "put", model, "--blobs", home / "blobs")
            base = (bytes.fromhex(re.search(r"[0-9a-f]{64}", put)[0]), model.stat().st_size)
    finally:
        process.terminate()
        process.wait()
    whole = [float(took) for took in re.findall(r"Train: done in ([0-9.]+) s", log.read_text())]
    own = [float(line) for line in next(home.glob("worker/studies/*/*/external/state/seconds")).read_text().split()]
    for number, (steps, duty) in enumerate(zip(own, whole), 1):
        print(f"round {number}: {steps:.3f} s in PyTorch, {duty:.3f} s the duty, {duty / steps:.2f} times, {duty - steps:.3f} s more")
    share = statistics.median(duty / steps for steps, duty in zip(own[1:], whole[1:]))
    more = statistics.median(duty - steps for steps, duty in zip(own[1:], whole[1:]))
    print(f"from the second round on, in the median: {share:.2f} times ({BAR} allowed), or {more:.3f} s more ({MORE} allowed)")
    raise SystemExit(share > BAR and more > MORE)


if __name__ == "__main__":
    main()
