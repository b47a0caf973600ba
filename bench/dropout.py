"""Whether training with dropout ends as well in the engine as in Keras: the mean test AUC over seeds of both.

The streams of random numbers differ, so single runs do; first weights and orders of batches are the same on both sides.
Exits with 1 if the means lie further apart than .005, or outside .85 to .97, where a difference would not show.
"""

import argparse
import json
import sys

import numpy as np
from sklearn.metrics import roc_auc_score

import common
from common import dense, engine, keras, note

INPUTS, TRAIN, TEST, BATCH = 500, 1000, 2000, 32
BAR, RANGE = 0.005, (0.85, 0.97)


def layers():
    made = [dense(64), {"activation": "relu"}, {"dropout": 0.4}]
    for units in (64, 32):
        made += [dense(units, common.single(0.005)), {"activation": "relu"}, {"dropout": 0.3}]
    return made


def train(side, layout, first, batches, seed, test, y):
    side.set("parameters", first, layout)
    for what in ("first", "second"):
        side.set(what, np.zeros(layout.size, np.float32), layout)
    side.set_steps(0)
    side.ask({"op": "seed", "seed": seed})
    for batch in batches:
        side.step(batch, dropout=True)
    return float(roc_auc_score(y[test].ravel(), side.logits(test)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.engine_argument(parser)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--strength", type=float, default=2.6, help="distance of the classes' means")
    a = parser.parse_args()
    common.need(a.engine)
    x, y = common.rows_of([INPUTS], TRAIN + TEST, 7, strength=a.strength)
    test = np.arange(TRAIN, TRAIN + TEST)
    auc = {"engine": [], "keras": []}
    with keras(a.threads) as theirs, engine(a.engine, a.threads) as ours:
        layout = None
        for side in (theirs, ours):
            made = side.new({"layers": layers()}, [INPUTS], common.adam(), "f32", a.threads, BATCH)
            layout = layout or made
            side.data(x, y)
        for seed in range(1, a.seeds + 1):
            random = np.random.default_rng([7, seed])
            first = common.first_parameters(layout, seed)
            whole = TRAIN // BATCH * BATCH
            batches = np.concatenate([random.permutation(TRAIN)[:whole].reshape(-1, BATCH) for _ in range(a.epochs)])
            for name, side in (("engine", ours), ("keras", theirs)):
                auc[name].append(train(side, layout, first, batches, seed, test, y))
            note(f"  seed {seed}: engine {auc['engine'][-1]:.4f}, Keras {auc['keras'][-1]:.4f}")
    us, them = np.array(auc["engine"]), np.array(auc["keras"])
    difference = float(us.mean() - them.mean())
    error = float((us - them).std(ddof=1) / np.sqrt(len(us))) if len(us) > 1 else float("nan")
    passed = abs(difference) <= BAR and all(RANGE[0] <= m <= RANGE[1] for m in (us.mean(), them.mean()))
    if a.json:
        print(json.dumps({"auc": auc, "difference": difference, "standard_error": error, "bar": BAR, "pass": passed}))
    else:
        rows = [
            [name, f"{v.mean():.4f}", f"{v.std(ddof=1):.4f}" if len(v) > 1 else "-", f"{v.min():.4f}", f"{v.max():.4f}"]
            for name, v in (("engine", us), ("Keras", them))
        ]
        common.table(["test AUC", "mean", "deviation", "least", "most"], rows)
        print(f"\ndifference {difference:+.4f} (standard error {error:.4f}), bar {BAR}: {'pass' if passed else 'MISSED'}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
