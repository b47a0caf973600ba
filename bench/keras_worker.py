"""Keras behind the protocol which the engine speaks: keras_worker.py THREADS, requests on stdin, replies on stdout."""

import json
import os
import re
import sys
import time

import common

if __name__ == "__main__":
    requests = sys.stdin.buffer
    # Whatever a library prints must not come between the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threads = int(sys.argv[1])

    import numpy as np

    import keras_side
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)

session, dtype = None, None


def numbers(count):
    raw = requests.read(count * dtype.itemsize)
    return np.frombuffer(raw, dtype)


def status(name):
    with open("/proc/self/status") as file:
        return int(re.search(rf"^{name}:\s+(\d+) kB", file.read(), re.M).group(1)) * 1024


def answer(request):
    global session, dtype
    op = request["op"]
    if op == "new":
        model, optimizer = request["model"], request["training"]["optimizer"]
        layers = getattr(common, model["preset"])() if "preset" in model else model["layers"]
        dtype = common.DTYPES[request["dtype"]]
        session = keras_side.Session(
            layers, request["input"], request["outputs"], optimizer, request["dtype"], request.get("xla", False)
        )
        return {"parameters": session.parameters, "tensors": session.tensors}
    if op == "set":
        return session.set(request["what"], numbers(session.parameters))
    if op == "set_steps":
        return session.set_steps(request["steps"])
    if op == "get":
        return {}, session.get(request["what"])
    if op == "data":
        rows = request["rows"]
        x = numbers(rows * int(np.prod(session.shape)))
        return session.data(x, numbers(rows * session.outputs))
    if op == "gradient":
        loss, penalty, gradient = session.gradient(request["rows"], request["dropout"])
        return {"loss": loss, "penalty": penalty}, gradient
    if op == "step":
        loss, penalty = session.step(request["rows"], request["dropout"])
        return {"loss": loss, "penalty": penalty}
    if op == "time":
        return {"seconds": session.time(request["batch"], request["steps"], time.perf_counter)}
    if op == "prepare":
        return session.prepare(request["batch"])
    if op == "logits":
        return {}, session.logits(request["rows"])
    if op == "seed":
        return session.seed(request["seed"])
    if op == "memory":
        return {"rss": status("VmRSS"), "peak": status("VmHWM")}
    if op == "reset_peak":
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        return {}
    if op == "versions":
        return {"tensorflow": tf.__version__, "keras": keras_side.keras.__version__, "numpy": np.__version__}
    raise ValueError(f"no op {op}")


if __name__ == "__main__":
    for line in requests:
        try:
            made = answer(json.loads(line)) or {}
        except Exception as error:
            made = {"error": f"{type(error).__name__}: {error}"}
        reply, array = made if isinstance(made, tuple) else (made, None)
        replies.write(json.dumps(reply).encode() + b"\n")
        if array is not None:
            replies.write(np.ascontiguousarray(array, dtype).tobytes())
        replies.flush()
