"""Makes optimizers.json: five steps of each optimiser with gradients 2w of the loss, from w = (bias 1, weight -3), base
(.5, .25), half a round each, by the formulas as they stand in the papers, in float64 and plain Python."""
import json, math, pathlib

START, BASE = (1.0, -3.0), (0.5, 0.25)

def schedule(t, r, share):
    warm = min((r + share) / t["warmup_rounds"], 1) if t.get("warmup_rounds") else 1
    since = max(r - t.get("warmup_rounds", 0), 0)
    s = t.get("schedule", "constant")
    if s == "constant":
        return warm
    if "step" in s:
        return warm * s["step"]["factor"] ** math.floor(since / s["step"]["rounds"])
    c = s["cosine"]
    return warm * (c["floor"] + (1 - c["floor"]) * (1 + math.cos(math.pi * min(since / c["rounds"], 1))) / 2)

def run(t):
    (kind, o), = t["optimizer"].items()
    w, m, v = list(START), [0.0, 0.0], [0.0, 0.0]
    for k in range(5):
        g = [2 * x for x in w]
        # the bias, at place 0, is neither penalised nor decayed
        g[1] += 2 * t.get("l2", 0) * w[1] + t.get("l1", 0) * math.copysign(1, w[1])
        g = [x + t.get("proximal", 0) * (y - b) for x, y, b in zip(g, w, BASE)]
        clip = t.get("clip", {})
        if "norm" in clip:
            norm = math.sqrt(sum(x * x for x in g))
            g = [x * min(1, clip["norm"] / norm) for x in g]
        if "value" in clip:
            g = [max(-clip["value"], min(clip["value"], x)) for x in g]
        lr = o["learning_rate"] * schedule(t, k * .5, .5)
        if kind == "sgd":
            mu = o.get("momentum", 0)
            m = [mu * a + x for a, x in zip(m, g)]
            w = [x - lr * (d + mu * a if o.get("nesterov") else a) for x, a, d in zip(w, m, g)]
        elif kind == "rmsprop":
            rho, eps = o.get("decay", .9), o.get("epsilon", 1e-8)
            v = [rho * a + (1 - rho) * x * x for a, x in zip(v, g)]
            w = [x - lr * d / (math.sqrt(a) + eps) for x, d, a in zip(w, g, v)]
        else:
            b1, b2, eps, n = .9, .999, o.get("epsilon", 1e-8), k + 1
            m = [b1 * a + (1 - b1) * x for a, x in zip(m, g)]
            v = [b2 * a + (1 - b2) * x * x for a, x in zip(v, g)]
            if kind == "adam_w":
                w = [w[0], w[1] - lr * o["weight_decay"] * w[1]]
            if o.get("epsilon_form") == "keras":
                alpha = lr * math.sqrt(1 - b2 ** n) / (1 - b1 ** n)
                w = [x - alpha * a / (math.sqrt(b) + eps) for x, a, b in zip(w, m, v)]
            else:
                w = [x - lr * (a / (1 - b1 ** n)) / (math.sqrt(b / (1 - b2 ** n)) + eps) for x, a, b in zip(w, m, v)]
    return w

adam = {"adam": {"learning_rate": .1}}
sgd = {"sgd": {"learning_rate": .05, "momentum": .9}}
cases = {
    "sgd": {"optimizer": {"sgd": {"learning_rate": .05}}},
    "momentum": {"optimizer": sgd},
    "nesterov": {"optimizer": {"sgd": {"learning_rate": .05, "momentum": .9, "nesterov": True}}},
    "adam": {"optimizer": adam},
    "adam, large epsilon": {"optimizer": {"adam": {"learning_rate": .1, "epsilon": .5}}},
    "adam, Keras' epsilon": {"optimizer": {"adam": {"learning_rate": .1, "epsilon": .5, "epsilon_form": "keras"}}},
    "adam_w": {"optimizer": {"adam_w": {"learning_rate": .1, "weight_decay": .3}}},
    "rmsprop": {"optimizer": {"rmsprop": {"learning_rate": .1}}},
    "l1 and l2": {"optimizer": sgd, "l1": .2, "l2": .1},
    "proximal": {"optimizer": adam, "proximal": .7},
    "clip by norm, with penalties": {"optimizer": sgd, "l2": .1, "clip": {"norm": 1.5}},
    "clip by value": {"optimizer": sgd, "clip": {"value": .8}},
    "step": {"optimizer": sgd, "schedule": {"step": {"rounds": 1, "factor": .5}}},
    "cosine": {"optimizer": adam, "schedule": {"cosine": {"rounds": 2, "floor": .1}}},
    "warm-up": {"optimizer": adam, "warmup_rounds": 1.25},
    "warm-up, then cosine": {"optimizer": sgd, "warmup_rounds": 1, "schedule": {"cosine": {"rounds": 2, "floor": 0}}},
}
out = [{"name": n, "training": dict(t, batch_size=1, epochs=1), "w": run(t)} for n, t in cases.items()]
(pathlib.Path(__file__).parent / "optimizers.json").write_text(json.dumps(out, indent=1) + "\n")
