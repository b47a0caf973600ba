"""A trainer that needs nothing but Python: logistic regression, row by row. With `misdeed` in its settings it first tries
what no trainer may, and says that it failed where it was kept from it."""

import json
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import time

KINDS = {"F32": "f", "I64": "q"}


def read(path):
    raw = open(path, "rb").read()
    head = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    begin, found = 8 + struct.unpack("<Q", raw[:8])[0], {}
    for name, entry in head.items():
        if name != "__metadata__":
            a, b = entry["data_offsets"]
            found[name] = list(struct.unpack(f"<{(b - a) // (4 if entry['dtype'] == 'F32' else 8)}{KINDS[entry['dtype']]}", raw[begin + a : begin + b]))
    return found


def write(path, tensors):
    head, data = {}, b""
    for name, (kind, shape, numbers) in tensors.items():
        part = struct.pack(f"<{len(numbers)}{KINDS[kind]}", *numbers)
        head[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(head).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)


def misdeed(settings, job):
    kind = settings.get("misdeed")
    if kind == "network":
        socket.create_connection(("127.0.0.1", int(settings["port"])), 3).send(b"rows")
    elif kind == "read":
        open(settings["path"]).read()
    elif kind == "write":
        open(job["rows"]["training"], "ab").write(b"x")
    elif kind == "spoil":
        open(job["files"]["training"][0], "a").write("x")
    elif kind == "children":
        children = [subprocess.Popen(["sleep", "60"]) for _ in range(64)]
        time.sleep(5)
        assert all(child.poll() is None for child in children)
    elif kind == "disguise":
        import ctypes

        children = []
        for _ in range(64):
            child = os.fork()
            if child == 0:
                # by the name of what holds the trainer
                ctypes.CDLL(None).prctl(15, b"unshare" if len(children) % 2 else b"bwrap", 0, 0, 0)
                time.sleep(60)
                os._exit(0)
            children.append(child)
        time.sleep(5)
        assert all(os.waitpid(child, os.WNOHANG) == (0, 0) for child in children)
    elif kind == "memory":
        held = bytearray(2 << 30)
        for at in range(0, len(held), 4096):
            held[at] = 1
        time.sleep(5)
    elif kind == "sleep":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.getpid() != os.getpgid(0):
            os.setsid()
        if os.fork():
            open("state/asleep", "w").close()
        time.sleep(600)
    elif kind in ("half", "tidy"):
        # what is left of a round that was ended in the middle keeps it from another; a tidy one clears up where it is asked to end
        def clear(*_):
            os.remove("state/half")
            os._exit(0)

        if kind == "tidy":
            signal.signal(signal.SIGTERM, clear)
        open("state/half", "x").close()
    elif kind == "die":
        os._exit(3)
    elif kind == "print":
        # put together here, so that the word in a file has come from a run
        for stream in (sys.stdout, sys.stderr):
            print("PATI" + "ENT", *read(job["rows"]["training"])["x"][:2], file=stream, flush=True)


def work(job):
    side = "training" if "training" in job["rows"] else "predict"
    table, model = read(job["rows"][side]), read(job["model"])
    weight, bias = model["weight"], model["bias"][0]
    width = len(weight)
    x = [table["x"][at : at + width] for at in range(0, len(table["x"]), width)]
    if "files" in job:
        job["files"] = {which: json.load(open(path)) for which, path in job["files"].items()}
        x = [[float(cell) for cell in open(path).read().split()] for path in job["files"][side]]
    score = lambda row: sum(w * v for w, v in zip(weight, row)) + bias
    if job["kind"] == "predict":
        # so that it can be seen which site's counter it was given
        bias += float(job["settings"].get("shift", 0)) * model.get("rounds", [0])[0]
        if job["settings"].get("misdeed") == "dice":
            bias += time.time() % 1
        write(job["output"], {"logits": ("F32", [len(x), 1], [score(row) for row in x])})
        return
    settings = job["settings"]
    if "misdeeds" in settings:
        # one a round, at the large site alone; not at a desk, where nobody is attacked
        large = len(x) > settings["above"] and "desk" not in job["rows"][side]
        settings["misdeed"] = dict(enumerate(settings["misdeeds"], 1)).get(job["round"], "") if large else ""
    misdeed(settings, job)
    seen = open("state/rounds", "a+")
    seen.write(f"{job['round']} {os.getpid()}\n")
    for step in range(int(job["settings"].get("steps", 20))):
        slope, last = [0.0] * width, 0.0
        for row, y in zip(x, table["y"]):
            off = 1 / (1 + math.exp(-max(-50, min(50, score(row))))) - y
            slope, last = [s + off * v for s, v in zip(slope, row)], last + off
        weight = [w - 0.5 / len(x) * s for w, s in zip(weight, slope)]
        bias -= 0.5 / len(x) * last
        say({"progress": (step + 1) / 20})
    kind = job["settings"].get("misdeed")
    counted = model.get("rounds", [0])[0] + 1
    tensors = {"weight": ("F32", [1, width], weight), "bias": ("F32", [1], [bias])}
    if kind in ("half", "tidy"):
        os.remove("state/half")
    if "rounds" in model:
        tensors["rounds"] = ("I64", [1], [counted])
    if kind == "nan":
        tensors["bias"] = ("F32", [1], [math.nan])
    elif kind == "missing":
        del tensors["bias"]
    elif kind == "more":
        tensors["deep"] = ("F32", [1], [0.0])
    elif kind == "shape":
        tensors["weight"] = ("F32", [width, 1], weight)
    write(job["output"], tensors)
    if kind == "link":
        os.remove(job["output"])
        os.symlink(job["settings"]["path"], job["output"])


def say(what):
    print(json.dumps(what), flush=True)


say({"ready": 1})
for line in sys.stdin:
    try:
        work(json.load(open(json.loads(line)["job"])))
        say({"done": {}})
    except Exception as error:
        say({"failed": {"code": "internal", "why": f"{error!r}"}})
