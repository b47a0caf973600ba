"""Writes ml-worker/tests/golden/keras.json: small networks as Keras computes them in double precision, for tests that need
no TensorFlow. Weights are [outputs, inputs], convolutions [out, in, kh, kw], images channels, height, width.

The constants written beside the numbers (betas, momentum, L2 factor) are those that single precision holds exactly, because
Keras rounds them so; see common.single. A test must use them as they are written.
"""

import json
import platform
from pathlib import Path

import numpy as np

from common import HERE, Layout, adam, conv, dense, first_parameters, sgd, single

import keras_side
from keras_side import Session

BATCH, STEPS, ROWS = 8, 50, 40
OUT = HERE.parent / "ml-worker/tests/golden/keras.json"


def numbers(array, digits=None):
    """As plain lists; `digits` decimals where the value is ours to choose, else exactly."""
    array = np.asarray(array, np.float64)
    return (array if digits is None else np.round(array, digits)).tolist()


def named(tensors, flat):
    """The tensors by their names."""
    out = {}
    for t in tensors:
        size = int(np.prod(t["shape"]))
        out[t["name"]] = numbers(flat[t["offset"] : t["offset"] + size])
    return out


def start(layers, shape, optimizer, seed):
    session = Session(layers, shape, 1, optimizer, "f64")
    layout = Layout({"parameters": session.parameters, "tensors": session.tensors})
    first = np.round(first_parameters(layout, seed, "f64"), 6)
    session.set("parameters", first)
    return session, first


def fully_connected():
    layers = [dense(8), {"activation": "relu"}, dense(5, single(0.005)), {"activation": "tanh"}]
    random = np.random.default_rng(20)
    x = np.round(random.standard_normal((ROWS, 12)), 4)
    y = (x[:, 0] - x[:, 3] + 0.5 * random.standard_normal(ROWS) > 0).astype(np.float64)
    # Eight rounds of the rows and a bit, each in an order of its own.
    order = np.concatenate([random.permutation(ROWS) for _ in range(-(-BATCH * STEPS // ROWS))])[: BATCH * STEPS]
    batches = order.reshape(STEPS, BATCH)
    runs = {}
    for name, optimizer in (("adam", adam()), ("sgd", sgd())):
        session, first = start(layers, [12], optimizer, 21)
        session.data(x, y)
        if name == "adam":
            loss, penalty, flat = session.gradient(batches[0])
            gradient = {"loss": loss, "penalty": penalty, "gradient": named(session.tensors, flat)}
        steps = [session.step(batch) for batch in batches]
        run = {"optimizer": optimizer, "losses": [s[0] for s in steps], "penalties": [s[1] for s in steps]}
        run["parameters"] = named(session.tensors, session.get("parameters"))
        runs[name] = run
    return {
        "layers": layers,
        "input": [12],
        "outputs": 1,
        "tensors": session.tensors,
        "x": numbers(x),
        "y": numbers(y),
        "parameters": named(session.tensors, first),
        "batches": batches.tolist(),
        "first_gradient": gradient,
        "runs": runs,
    }


def convolutional():
    layers = [
        conv(3),
        {"activation": "relu"},
        {"max_pool": {"size": 2}},
        conv(4, stride=2),
        {"activation": "relu"},
        "flatten",
        dense(6),
        {"activation": "relu"},
    ]
    shape = [1, 8, 8]
    session, first = start(layers, shape, adam(), 36)
    random = np.random.default_rng(30)
    x = np.round(random.standard_normal((4, 64)), 4)
    y = np.array([0.0, 1.0, 1.0, 0.0])
    session.data(x, y)
    loss, penalty, flat = session.gradient(np.arange(4))
    return {
        "layers": layers,
        "input": shape,
        "outputs": 1,
        "tensors": session.tensors,
        "x": numbers(x),
        "y": numbers(y),
        "parameters": named(session.tensors, first),
        "logits": numbers(session.logits(np.arange(4))),
        "loss": loss,
        "penalty": penalty,
        "gradient": named(session.tensors, flat),
    }


def main():
    made = {
        "made_with": {
            "python": platform.python_version(),
            "tensorflow": keras_side.tf.__version__,
            "keras": keras_side.keras.__version__,
            "numpy": np.__version__,
        },
        "dense": fully_connected(),
        "convolutional": convolutional(),
    }
    # One line for each value that is not an object: readable differences, and no line for each number.
    def text(value, indent=""):
        if isinstance(value, dict) and indent.count("  ") < 4 and value:
            inner = indent + "  "
            lines = [f"{inner}{json.dumps(k)}: {text(v, inner)}" for k, v in value.items()]
            return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
        return json.dumps(value)

    OUT.write_text(text(made) + "\n")
    print(f"wrote {Path(*OUT.parts[-4:])}, {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
