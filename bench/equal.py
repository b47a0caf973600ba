"""Whether the engine computes what Keras computes: same data, first weights and order of batches, without dropout.

  i    one step at a time, single precision: before each step the engine is given Keras' weights and moments
  ii   a free run with Adam in double precision
  iii  a free run with SGD and momentum in single precision
  iv   a free run with Adam in single precision, beside Keras against itself with its inputs in another order

Exits with 1 if a value misses its bar.
"""

import argparse
import json
import sys

import numpy as np

import common
from common import engine, keras, note, relative


def model_of(name):
    """The network, with an L2 factor that single precision holds exactly; see common.single."""
    if name == "nature2021":
        return {"layers": common.nature2021(common.single(0.005))}
    return {"layers": common.xray128()}


GRADIENT_BAR = 1e-4


class Results:
    def __init__(self):
        self.rows = []

    def add(self, part, what, value, bar=None, where=""):
        self.rows.append({"part": part, "what": what, "value": value, "bar": bar, "where": where})

    def missed(self):
        # Written so that a value which is not a number misses its bar.
        return [r for r in self.rows if r["bar"] is not None and not r["value"] <= r["bar"]]

    def print(self):
        def line(r):
            result = "" if r["bar"] is None else "MISSED" if r in self.missed() else "pass"
            bar = "" if r["bar"] is None else f"{r['bar']:.3g}"
            value = str(r["value"]) if isinstance(r["value"], int) else f"{r['value']:.2e}"
            return [r["part"], r["what"], value, bar, result, r["where"]]

        common.table(["part", "worst value", "is", "bar", "", "at"], [line(r) for r in self.rows])


class Worst:
    def __init__(self):
        self.value, self.where = 0.0, ""

    def see(self, value, where):
        if not value <= self.value:
            self.value, self.where = float(value), where


def worst_tensor(layout, ours, theirs, worst, where=""):
    theirs = layout.tensors(theirs)
    for key, tensor in layout.tensors(ours).items():
        worst.see(relative(tensor, theirs[key]), (where + " " + layout.names[key]).strip())


def number(ours, theirs, floor=0.0):
    """The distance of two numbers relative to the second, or to `floor` if that is larger."""
    return abs(ours - theirs) / max(abs(theirs), floor, 1e-300)


def penalty_gradient(model, layout, flat):
    """2 lambda w at the kernels that have a penalty, in double precision."""
    layers = [next(iter(l.values())) for l in model["layers"] if isinstance(l, dict) and ("dense" in l or "conv2d" in l)]
    gradient = np.zeros(layout.size)
    for rank, layer in enumerate(layers):
        start, shape = layout.slots[rank, "weight"]
        size = int(np.prod(shape))
        gradient[start : start + size] = 2 * (layer.get("l2") or 0) * flat[start : start + size].astype(np.float64)
    return gradient


class Comparison:
    def __init__(self, arguments):
        self.a = arguments
        self.model = model_of(arguments.model)
        self.shape = common.INPUTS[arguments.model]
        if arguments.inputs:
            self.shape = [arguments.inputs]
        a = arguments
        # Every batch is of rows not seen before.
        self.rows = a.batch * a.steps
        order = np.random.default_rng(a.seed + 1).permutation(self.rows)
        self.batches = order.reshape(a.steps, a.batch)
        self.results = Results()

    def table(self, dtype, easy):
        """Hard rows, of which little is learnt in one pass, so that the loss stays away from zero, where relative errors
        say little; or easy ones, so that the free runs do learn. Easy ones are also smaller numbers: with the others SGD
        at this rate is at the border of what is stable, and Keras' runs part from each other."""
        strength, scale = (12.0, 0.3) if easy else (3.0, 1.0)
        x, y = common.rows_of(self.shape, self.rows, self.a.seed, dtype, strength)
        return x * np.float32(scale), y

    def start(self, side, optimizer, dtype, easy=False):
        layout = side.new(self.model, self.shape, optimizer, dtype, self.a.threads, self.a.batch)
        side.data(*self.table(dtype, easy))
        return layout

    def free(self, side):
        return [side.step(batch) for batch in self.batches]

    def settled(self, layout, ours, theirs, batch, most):
        """The worst tensor of a batch's gradient, the distances of loss and penalty, and the rows it was compared on.

        Where the input of a ReLU is zero but for rounding, its derivative is 0 on one side and 1 on the other, and both are
        right. That is one row's matter: without it the batch agrees. So a batch that misses the bar is compared again
        without the one row whose absence helps most, at most `most` times. A fault of either side shows in all rows."""

        def compare(rows):
            loss, penalty, gradient = ours.gradient(rows, layout=layout)
            their_loss, their_penalty, their_gradient = theirs.gradient(rows)
            worst = Worst()
            worst_tensor(layout, gradient, their_gradient, worst)
            return worst, number(loss, their_loss), number(penalty, their_penalty)

        found, out = compare(batch), 0
        while found[0].value > GRADIENT_BAR and out < most and len(batch) > 1:
            without = [(compare([r for r in batch if r != row]), row) for row in batch]
            found, row = min(without, key=lambda w: w[0][0].value)
            batch.remove(row)
            out += 1
        return *found, batch

    def one_by_one(self):
        part, add = "i", self.results.add
        losses, penalties, gradients, moved = Worst(), Worst(), Worst(), Worst()
        left_out, allowed = 0, max(1, self.rows // 500)
        with keras(self.a.threads) as theirs, engine(self.a.engine, self.a.threads) as ours:
            layout = self.start(theirs, common.adam(), "f32")
            self.start(ours, common.adam(), "f32")
            theirs.set("parameters", common.first_parameters(layout, self.a.seed))
            for n, batch in enumerate(self.batches):
                before = theirs.get("parameters")
                ours.set("parameters", before, layout)
                ours.set("first", theirs.get("first"), layout)
                ours.set("second", theirs.get("second"), layout)
                ours.set_steps(n)
                worst, loss, penalty, settled = self.settled(layout, ours, theirs, list(batch), min(2, allowed - left_out))
                left_out += len(batch) - len(settled)
                gradients.see(worst.value, f"step {n + 1} {worst.where}")
                losses.see(loss, f"step {n + 1}")
                penalties.see(penalty, f"step {n + 1}")
                loss, penalty = ours.step(settled)
                their_loss, their_penalty = theirs.step(settled)
                losses.see(number(loss, their_loss), f"step {n + 1}")
                penalties.see(number(penalty, their_penalty), f"step {n + 1}")
                before = before.astype(np.float64)
                after = ours.get("parameters", layout).astype(np.float64)
                moved.see(relative(after - before, theirs.get("parameters") - before), f"step {n + 1}")
        add(part, "loss, relative", losses.value, 1e-5, losses.where)
        add(part, "penalty, relative", penalties.value, 1e-5, penalties.where)
        add(part, "gradient of a tensor, relative L2", gradients.value, GRADIENT_BAR, gradients.where)
        add(part, "rows left out at a bend of ReLU", left_out, allowed, f"of {self.rows}")
        add(part, "what Adam moved, relative L2", moved.value, 1e-3, moved.where)

    def keras_run(self, optimizer, dtype, easy, order=None):
        """Keras' layout, first parameters, their gradient, losses and last parameters; with `order`, of a network that is
        the same but for the order of its inputs, all in the first order again."""
        x, y = self.table(dtype, easy)
        with keras(self.a.threads) as side:
            layout = side.new(self.model, self.shape, optimizer, dtype, self.a.threads, self.a.batch)
            first = common.first_parameters(layout, self.a.seed, dtype)
            start, shape = layout.slots[0, "weight"]
            kernel = slice(start, start + int(np.prod(shape)))

            def reordered(flat, order):
                if order is None:
                    return flat
                flat = flat.copy()
                flat[kernel] = flat[kernel].reshape(shape)[:, order].ravel()
                return flat

            back = None if order is None else np.argsort(order)
            side.data(x if order is None else x[:, order], y)
            side.set("parameters", reordered(first, order))
            gradient = reordered(side.gradient(self.batches[0])[2], back)
            losses = self.free(side)
            return layout, first, gradient, losses, reordered(side.get("parameters"), back)

    def itself(self, optimizer, easy, runs, distance):
        """Keras' distances to itself with its inputs in other orders."""
        made = []
        for n in range(runs):
            order = np.random.default_rng([self.a.seed, n]).permutation(self.shape[0])
            made.append(distance(self.keras_run(optimizer, "f32", easy, order)[4]))
        return made

    def pair(self, part, optimizer, dtype, bar):
        """Both sides run freely; the worst tensor and loss against the bar. In double precision also the first gradient
        of the data's loss alone, which beside that of the penalty would hide."""
        add = self.results.add
        layout, first, their_gradient, their_losses, end = self.keras_run(optimizer, dtype, True)
        with engine(self.a.engine, self.a.threads) as ours:
            self.start(ours, optimizer, dtype, True)
            ours.set("parameters", first, layout)
            if dtype == "f64":
                _, _, gradient = ours.gradient(self.batches[0], layout=layout)
                aside = penalty_gradient(self.model, layout, first)
                worst = Worst()
                worst_tensor(layout, gradient - aside, their_gradient - aside, worst)
                add(part, "first gradient without the penalty's", worst.value, 1e-9, worst.where)
            our_losses = self.free(ours)
            our_end = ours.get("parameters", layout)
        losses, floor = Worst(), 0.0 if dtype == "f64" else 0.1
        for n, (us, them) in enumerate(zip(our_losses, their_losses)):
            losses.see(number(us[0], them[0], floor), f"step {n + 1}")
            losses.see(number(us[1], them[1], floor), f"step {n + 1}")
        self.note_losses(part, their_losses)

        def tensors(flat):
            worst = Worst()
            worst_tensor(layout, flat, end, worst)
            return worst

        worst = tensors(our_end)
        add(part, "loss and penalty, relative", losses.value, bar, losses.where)
        add(part, "parameters of a tensor, relative L2", worst.value, bar, worst.where)
        add(part, "(the way from the start, relative L2)", relative(end, first))
        if dtype == "f32" and len(self.shape) == 1:
            itself = self.itself(optimizer, True, 2, lambda flat: tensors(flat).value)
            add(part, "(tensor of Keras to itself, relative L2)", max(itself))
            if max(itself) > bar:
                note(f"  {part}: Keras misses the bar beside itself: with this seed the run is decided by rounding; take another")

    def note_losses(self, part, losses):
        (data, penalty), (last_data, last_penalty) = losses[0], losses[-1]
        note(f"  {part}: Keras' loss {data:.4f} -> {last_data:.4f}, penalty {penalty:.4f} -> {last_penalty:.4f}")

    def beside_itself(self):
        part, add = "iv", self.results.add
        if len(self.shape) != 1:
            return note("  iv: only for networks whose inputs have no order; left out")
        layout, first, _, losses, end = self.keras_run(common.adam(), "f32", False)
        self.note_losses(part, losses)
        itself = self.itself(common.adam(), False, 5, lambda flat: relative(flat, end))
        with engine(self.a.engine, self.a.threads) as ours:
            self.start(ours, common.adam(), "f32")
            ours.set("parameters", first, layout)
            self.free(ours)
            distance = relative(ours.get("parameters", layout), end)
        # The largest: a run in which no ReLU met its bend (see `settled`) stays a thousand times closer than the others.
        most = max(itself)
        add(part, "(Keras to itself, relative L2)", most, None, "of " + ", ".join(f"{d:.1e}" for d in itself))
        add(part, "(engine to Keras, relative L2)", distance)
        add(part, "engine to Keras / Keras to itself", distance / most, 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.engine_argument(parser)
    parser.add_argument("--model", choices=list(common.INPUTS), default="nature2021")
    parser.add_argument("--inputs", type=int, help="fewer inputs than the network's, for a quick look")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="i,ii,iii,iv", help="which parts, for example i,iii")
    a = parser.parse_args()
    common.need(a.engine)
    c = Comparison(a)
    parts = {
        "i": c.one_by_one,
        "ii": lambda: c.pair("ii", common.adam(), "f64", 1e-6),
        "iii": lambda: c.pair("iii", common.sgd(), "f32", 1e-3),
        "iv": c.beside_itself,
    }
    for name in a.only.split(","):
        note(f"equal.py: part {name}")
        parts[name]()
    if a.json:
        print(json.dumps({"results": c.results.rows, "missed": len(c.results.missed())}))
    else:
        c.results.print()
    sys.exit(1 if c.results.missed() else 0)


if __name__ == "__main__":
    main()
