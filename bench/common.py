"""What the scripts share: the processes that compute, their parameter layouts, networks, data, and tables.

Both sides, the engine and Keras (keras_worker.py), are processes which speak one protocol on stdin and stdout: a request is
a line of JSON followed by the little-endian arrays it names, a reply likewise. Nothing here imports TensorFlow.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DTYPES = {"f32": np.dtype("<f4"), "f64": np.dtype("<f8")}


# Networks


def dense(units, l2=None):
    return {"dense": {"units": units} if l2 is None else {"units": units, "l2": l2}}


def nature2021(l2=0.005):
    layers = [dense(256), {"activation": "relu"}, {"dropout": 0.4}]
    for units in (1024, 512, 512, 256, 256, 128, 128, 64):
        layers += [dense(units, l2), {"activation": "relu"}, {"dropout": 0.3}]
    return layers


def conv(filters, kernel=3, stride=1, padding=1):
    return {"conv2d": {"filters": filters, "kernel": kernel, "stride": stride, "padding": padding}}


def xray128():
    layers = []
    for filters in (32, 64, 64):
        layers += [conv(filters), {"activation": "relu"}, {"max_pool": {"size": 2}}]
    return layers + ["flatten", dense(64), {"activation": "relu"}, {"dropout": 0.3}]


INPUTS = {"nature2021": [12708], "xray128": [1, 128, 128]}


def single(number):
    """The nearest number that single precision holds exactly. Keras rounds some of its constants (the betas in the bias
    correction, the factor of L2) to single precision even where everything else is double: given constants that are exact
    in single precision, stock Keras and an engine that keeps them in double do the same."""
    return float(np.float32(number))


def adam(learning_rate=1e-3):
    """Adam in the form Keras computes: w -= lr sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)."""
    return {
        "adam": {
            "learning_rate": learning_rate,
            "beta1": single(0.9),
            "beta2": single(0.999),
            "epsilon": 1e-7,
            "epsilon_form": "keras",
        }
    }


def sgd(learning_rate=0.01, momentum=0.9):
    return {"sgd": {"learning_rate": learning_rate, "momentum": single(momentum)}}


# Data and first weights


def rows_of(shape, rows, seed, dtype="f32", strength=3.0):
    """Two classes: Gaussian noise, and along one random tenth of the inputs the classes' means lie apart, so that the best
    linear score has the distance `strength` between them, in standard deviations."""
    random = np.random.default_rng(seed)
    inputs = int(np.prod(shape))
    labels = (np.arange(rows) % 2).astype(np.float64)
    random.shuffle(labels)
    informative = random.permutation(inputs)[: max(1, inputs // 10)]
    direction = np.zeros(inputs)
    direction[informative] = random.standard_normal(len(informative))
    direction *= strength / np.linalg.norm(direction)
    x = random.standard_normal((rows, inputs), dtype=np.float32).astype(np.float64)
    x += np.outer(labels - 0.5, direction)
    kind = DTYPES[dtype]
    # Rounded to single precision first, so that both precisions see the same numbers.
    return x.astype(np.float32).astype(kind), labels.reshape(-1, 1).astype(kind)


def first_parameters(layout, seed, dtype="f32"):
    """He normal weights, Glorot normal at the head, and small biases (not zero, so that a bias in the wrong place shows)."""
    random = np.random.default_rng(seed)
    flat = np.zeros(layout.size, DTYPES[dtype])
    for (rank, kind), (start, shape) in sorted(layout.slots.items()):
        size = int(np.prod(shape))
        values = random.standard_normal(size)
        if kind == "bias":
            values *= 0.01
        else:
            fan_in = int(np.prod(shape[1:]))
            head = rank == layout.ranks - 1
            values *= np.sqrt(2 / (fan_in + shape[0])) if head else np.sqrt(2 / fan_in)
        flat[start : start + size] = values.astype(np.float32)
    return flat


class Layout:
    """Where each tensor lies in one side's flat array. Tensors are known by the rank of their layer among the layers that
    have parameters, and their kind, so that the sides may name and order them as they like."""

    def __init__(self, reply):
        self.size = reply["parameters"]

        def place(name):
            prefix = name.rsplit(".", 1)[0]
            number = re.search(r"\d+", prefix)
            return (0, int(number.group())) if number else (1, 0)

        places = sorted({place(t["name"]) for t in reply["tensors"]})
        self.ranks = len(places)
        self.slots, self.names = {}, {}
        for t in reply["tensors"]:
            key = (places.index(place(t["name"])), "bias" if t["name"].endswith("bias") else "weight")
            if key in self.slots:
                raise SystemExit(f"two tensors are {key}: {t['name']} and {self.names[key]}")
            self.slots[key] = (t["offset"], tuple(t["shape"]))
            self.names[key] = t["name"]

    def tensors(self, flat):
        return {key: flat[o : o + int(np.prod(s))].reshape(s) for key, (o, s) in sorted(self.slots.items())}

    def translate(self, flat, other):
        """The same numbers, laid out as `other` has them."""
        if self.size != other.size or {k: s for k, (_, s) in self.slots.items()} != {
            k: s for k, (_, s) in other.slots.items()
        }:
            raise SystemExit(f"the two sides' networks differ:\n{self.names} {self.slots}\n{other.names} {other.slots}")
        out = np.empty_like(flat)
        for key, (start, shape) in self.slots.items():
            size = int(np.prod(shape))
            to = other.slots[key][0]
            out[to : to + size] = flat[start : start + size]
        return out


# The two sides


class Side:
    """One process of one side, and what it is asked."""

    def __init__(self, name, command, environment=None):
        self.name = name
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, **(environment or {})},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def fail(self, why):
        self.process.kill()
        self.process.wait()
        self.log.seek(0)
        tail = self.log.read().decode(errors="replace")[-2000:]
        raise SystemExit(f"{self.name}: {why}\n{tail}")

    def ask(self, request, *arrays, numbers=0):
        """The reply to a request; with `numbers`, the reply and the array of so many numbers behind it."""
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            for array in arrays:
                self.process.stdin.write(np.ascontiguousarray(array, self.dtype).tobytes())
            self.process.stdin.flush()
        except BrokenPipeError:
            self.fail(f"ended while it was asked {request['op']}")
        line = self.process.stdout.readline()
        if not line:
            self.fail(f"ended without an answer to {request['op']}")
        reply = json.loads(line)
        if "error" in reply:
            self.fail(f"{request['op']}: {reply['error']}")
        if not numbers:
            return reply
        size = numbers * self.dtype.itemsize
        raw = self.process.stdout.read(size)
        if len(raw) != size:
            self.fail(f"{request['op']}: {len(raw)} bytes of {size}")
        return reply, np.frombuffer(raw, self.dtype)

    def new(self, model, shape, optimizer, dtype="f32", threads=2, batch=32, **more):
        self.dtype = DTYPES[dtype]
        training = {"optimizer": optimizer, "batch_size": batch, "epochs": 1}
        request = {"op": "new", "model": model, "training": training, "input": shape, "outputs": 1}
        self.described = self.ask({**request, "dtype": dtype, "threads": threads, **more})
        self.layout = Layout(self.described)
        return self.layout

    def set(self, what, flat, layout=None):
        self.ask({"op": "set", "what": what}, flat if layout is None else layout.translate(flat, self.layout))

    def get(self, what, layout=None):
        _, flat = self.ask({"op": "get", "what": what}, numbers=self.layout.size)
        return flat if layout is None else self.layout.translate(flat, layout)

    def set_steps(self, steps):
        self.ask({"op": "set_steps", "steps": steps})

    def data(self, x, y):
        self.ask({"op": "data", "rows": len(x)}, x, y)

    def gradient(self, rows, dropout=False, layout=None):
        request = {"op": "gradient", "rows": [int(r) for r in rows], "dropout": dropout}
        reply, flat = self.ask(request, numbers=self.layout.size)
        return reply["loss"], reply["penalty"], flat if layout is None else self.layout.translate(flat, layout)

    def step(self, rows, dropout=False):
        reply = self.ask({"op": "step", "rows": [int(r) for r in rows], "dropout": dropout})
        return reply["loss"], reply["penalty"]

    def time(self, batch, steps):
        return self.ask({"op": "time", "batch": batch, "steps": steps})["seconds"]

    def logits(self, rows):
        return self.ask({"op": "logits", "rows": [int(r) for r in rows]}, numbers=len(rows))[1]


def threads_environment(threads):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    return {name: str(threads) for name in names}


def engine(path, threads=2):
    return Side("engine", [str(path)], threads_environment(threads))


def keras(threads=2, onednn=None):
    """Keras in a process of its own. `onednn` switches TensorFlow's use of oneDNN; None leaves TensorFlow's own choice."""
    environment = threads_environment(threads)
    if onednn is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = str(int(onednn))
    return Side("Keras", [sys.executable, str(HERE / "keras_worker.py"), str(threads)], environment)


# Arguments and tables


def engine_argument(parser):
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    parser.add_argument("--engine", type=Path, default=target / "release/examples/engine", help="the engine's program")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of as a table")


def need(path):
    if not path.is_file():
        raise SystemExit(f"there is no {path}: build the engine (its example `engine`, in release) or name it with --engine")


def relative(ours, theirs):
    """The distance of two arrays relative to the second."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    scale = np.linalg.norm(theirs)
    distance = np.linalg.norm(ours - theirs)
    return float(distance / scale) if scale > 0 else float(0 if distance == 0 else np.inf)


def table(header, rows):
    cells = [[str(c) for c in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for n, row in enumerate(cells):
        print("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip())
        if n == 0:
            print("  ".join("-" * w for w in widths))


def note(text):
    print(text, file=sys.stderr, flush=True)
