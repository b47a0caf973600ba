"""Opacus on PyTorch (CPU) behind the protocol which the engine speaks: opacus_worker.py THREADS, requests on stdin, replies on
stdout. `new` says in which `mode` gradients are clipped: "sample" (each row's gradient is written out) or "ghost" (only its norm
is, and the way back is gone twice). Weights lie in PyTorch as in the engine."""

import json
import os
import sys
import time

import common

if __name__ == "__main__":
    requests = sys.stdin.buffer
    # Whatever a library prints must not come between the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threads = int(sys.argv[1])

    import warnings

    import numpy as np
    import opacus
    import torch
    from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizer
    from opacus.optimizers.optimizer_fast_gradient_clipping import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore")

CLIP, SIGMA = 1.0, 1.0


def make_model(layers, shape):
    """The layers, and for each with parameters its L2."""
    made, penalties, size = [], [], list(shape)
    for layer in [*layers, common.dense(1)]:
        kind, s = (layer, None) if isinstance(layer, str) else next(iter(layer.items()))
        if kind == "dense":
            made.append(torch.nn.Linear(size[0], s["units"]))
            penalties.append(s.get("l2") or 0.0)
            size = [s["units"]]
        elif kind == "conv2d":
            made.append(torch.nn.Conv2d(size[0], s["filters"], s["kernel"], s["stride"], s["padding"]))
            penalties.append(s.get("l2") or 0.0)
            side = lambda n: (n + 2 * s["padding"] - s["kernel"]) // s["stride"] + 1
            size = [s["filters"], side(size[1]), side(size[2])]
        elif kind == "activation" and s == "relu":
            made.append(torch.nn.ReLU())
        elif kind == "dropout":
            made.append(torch.nn.Dropout(s))
        elif kind == "max_pool":
            made.append(torch.nn.MaxPool2d(s["size"]))
            size = [size[0], size[1] // s["size"], size[2] // s["size"]]
        elif kind == "flatten":
            made.append(torch.nn.Flatten())
            size = [int(np.prod(size))]
        else:
            raise ValueError(f"no layer {layer} here")
    return torch.nn.Sequential(*made), penalties


class Session:
    def __init__(self, layers, shape, optimizer, batch, mode):
        self.shape, self.mode, self.batch = list(shape), mode, batch
        self.plain, penalties = make_model(layers, shape)
        self.own = [m for m in self.plain if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d))]
        self.tensors, offset = [], 0
        for n, layer in enumerate(self.own):
            for kind in ("bias", "weight"):
                tensor = getattr(layer, kind)
                self.tensors.append({"name": f"layer{n:02}.{kind}", "shape": list(tensor.shape), "offset": offset})
                offset += tensor.numel()
        self.parameters = offset
        (settings,) = optimizer.values()
        groups = [{"params": [layer.bias]} for layer in self.own]
        # PyTorch adds weight_decay times the weight to the gradient; the penalty is l2 times its square.
        groups += [{"params": [layer.weight], "weight_decay": 2 * l2} for layer, l2 in zip(self.own, penalties)]
        adam = torch.optim.Adam(groups, settings["learning_rate"], (settings["beta1"], settings["beta2"]), settings["epsilon"])
        if mode == "sample":
            self.model = GradSampleModule(self.plain, loss_reduction="mean")
            self.optimizer = DPOptimizer(adam, noise_multiplier=SIGMA, max_grad_norm=CLIP, expected_batch_size=batch)
            self.loss = torch.nn.BCEWithLogitsLoss()
        elif mode == "ghost":
            self.model = GradSampleModuleFastGradientClipping(
                self.plain, loss_reduction="mean", max_grad_norm=CLIP, use_ghost_clipping=True
            )
            self.optimizer = DPOptimizerFastGradientClipping(
                adam, noise_multiplier=SIGMA, max_grad_norm=CLIP, expected_batch_size=batch
            )
            self.loss = DPLossFastGradientClipping(self.model, self.optimizer, torch.nn.BCEWithLogitsLoss(), "mean")
        else:
            raise ValueError(f"no mode {mode}")
        self.model.train()

    def ordered(self):
        return [getattr(layer, kind) for layer in self.own for kind in ("bias", "weight")]

    def set(self, flat):
        offset = 0
        with torch.no_grad():
            for tensor in self.ordered():
                part = flat[offset : offset + tensor.numel()].reshape(tuple(tensor.shape))
                tensor.copy_(torch.from_numpy(part.copy()))
                offset += tensor.numel()

    def data(self, x, y):
        self.x = torch.from_numpy(x.reshape(-1, *self.shape).copy())
        self.y = torch.from_numpy(y.copy())

    def back(self, rows):
        """The way there and back of some rows, up to the sum of clipped gradients."""
        self.optimizer.zero_grad()
        # one loss a row: ghost clipping takes a column of them for more rows
        loss = self.loss(self.model(self.x[rows]).squeeze(1), self.y[rows])
        loss.backward()
        return float(loss.item())

    def clipped(self, rows):
        drops = [m for m in self.plain if isinstance(m, torch.nn.Dropout)]
        for drop in drops:
            drop.eval()
        self.back(rows)
        if self.mode == "sample":
            self.optimizer.clip_and_accumulate()
        else:
            self.optimizer.accumulate()
        made = np.concatenate([p.summed_grad.detach().numpy().ravel() for p in self.ordered()])
        self.optimizer.zero_grad()
        for p in self.ordered():
            p.summed_grad = None
        for drop in drops:
            drop.train()
        return made

    def time(self, batch, steps):
        seconds = []
        for n in range(steps):
            rows = (n * batch + torch.arange(batch)) % len(self.x)
            began = time.perf_counter()
            loss = self.back(rows)
            self.optimizer.step()
            seconds.append(time.perf_counter() - began)
            if not np.isfinite(loss):
                raise ValueError(f"the loss of step {n} is {loss}")
        return seconds


session = None


def numbers(count):
    return np.frombuffer(requests.read(4 * count), np.float32)


def answer(request):
    global session
    op = request["op"]
    if op == "new":
        model, training = request["model"], request["training"]
        layers = getattr(common, model["preset"])() if "preset" in model else model["layers"]
        session = Session(layers, request["input"], training["optimizer"], training["batch_size"], request["mode"])
        return {"parameters": session.parameters, "tensors": session.tensors}
    if op == "set":
        return session.set(numbers(session.parameters))
    if op == "data":
        x = numbers(request["rows"] * int(np.prod(session.shape)))
        return session.data(x, numbers(request["rows"]))
    if op == "clipped":
        return {}, session.clipped(request["rows"])
    if op == "time":
        return {"seconds": session.time(request["batch"], request["steps"])}
    if op == "versions":
        return {"torch": torch.__version__, "opacus": opacus.__version__}
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
            replies.write(np.ascontiguousarray(array, np.float32).tobytes())
        replies.flush()
