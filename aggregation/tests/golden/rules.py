"""Makes rules.json, the numbers that the merge rules are held against: python3 rules.py > rules.json. Needs numpy.

Plain formulas in float64 on the vectors themselves; nothing is worked out from the Gram matrix. Entries of X and base are
multiples of 1/64. Where aggregation.json beside this file has the same rule, it is checked to agree."""
import json, pathlib
import numpy as np

NU, STOP, MOST = 1e-6, 2.0**-40, 1000

def norm(x):
    return np.sqrt((x * x).sum())

def mean(X, a):
    return sum(w * x for w, x in zip(a, X)) / sum(a)

def median(X, a):
    """By value, ties by index: the first at which more than half the weight is reached; at exactly half, halfway to the next."""
    out = []
    for column in X.T:
        order, reached = sorted(range(len(a)), key=lambda i: (column[i], i)), 0
        for at, i in enumerate(order):
            reached += a[i]
            if 2 * reached > sum(a):
                out.append(column[i])
                break
            if 2 * reached == sum(a):
                out.append((column[i] + column[order[at + 1]]) / 2)
                break
    return np.array(out)

def trimmed(X, f):
    return np.sort(X, axis=0)[f : len(X) - f].mean(axis=0) if len(X) > 2 * f else None

def weiszfeld(X, a, most, done):
    """Smoothed Weiszfeld from the weighted mean, whose coefficients a / sum(a) the first iteration's are compared with."""
    z, p = mean(X, a), np.array(a) / sum(a)
    for iteration in range(1, most + 1):
        b = np.array([w / max(NU, norm(x - z)) for w, x in zip(a, X)])
        z_before, p_before, p = z, p, b / b.sum()
        z = sum(c * x for c, x in zip(p, X))
        if done(z, z_before, p, p_before):
            break
    return z, iteration, p

def geometric_median(X, a):
    z, iterations, p = weiszfeld(X, a, MOST, lambda z, z0, p, p0: (abs(p - p0) / np.maximum(p, p0)).max() <= STOP)
    # to where only rounding is left
    still = lambda x, before: abs(x - before).max() <= 4e-16 * abs(x).max()
    converged, n, _ = weiszfeld(X, a, 10**5, lambda z, z0, p, p0: still(z, z0) and still(p, p0))
    assert n < 10**5
    return {"result": z, "iterations": iterations, "coefficients": p, "converged": converged}

def distances(X):
    return np.array([[((x - y) ** 2).sum() for y in X] for x in X])

def clear(ordered, k, exact):
    """Whether the choice of the first k does not hang on rounding: what follows is farther, or exactly as far."""
    gap = ordered[k] - ordered[k - 1] if k < len(ordered) else np.inf
    return gap > 1e-9 * ordered[k - 1] or (exact and gap == 0)

def krum(X, f, m):
    """The m lowest scores. `ties`: all that have the highest score of the chosen."""
    n = len(X)
    if n < 2 * f + 3:
        return None
    far = distances(X)
    scores = [float(sum(sorted(np.delete(far[i], i))[: n - f - 2])) for i in range(n)]
    order = sorted(range(n), key=lambda i: (scores[i], i))
    assert clear([scores[i] for i in order], m, True)
    chosen = sorted(order[:m])
    ties = [i for i in range(n) if scores[i] == scores[order[m - 1]]]
    assert all((X[i] == X[ties[0]]).all() for i in ties), "a tie of different vectors"
    return {"scores": scores, "chosen": chosen, "ties": ties, "result": X[chosen].mean(axis=0)}

def bound(X, base, tau):
    c = [min(1.0, tau / norm(x - base)) if norm(x - base) > 0 else 1.0 for x in X]
    return np.array([base + k * (x - base) for k, x in zip(c, X)]), c

def mix(X, f, exact):
    """Nearest-neighbour mixing: the mean of each one's neighbours, and who they are, ascending."""
    far, near = distances(X), []
    for i in range(len(X)):
        order = sorted(range(len(X)), key=lambda j: (j != i, far[i, j], j))
        if not clear(far[i][order], len(X) - f, exact):
            return None, None
        near.append(sorted(order[: len(X) - f]))
    return np.array([X[js].mean(axis=0) for js in near]), near

def rules(X, a, f):
    equal = [1] * len(X)
    return {"mean": mean(X, a), "median": median(X, a), "median_equal": median(X, equal), "trimmed_mean": trimmed(X, f),
            "geometric_median": geometric_median(X, a), "geometric_median_equal": geometric_median(X, equal), "krum": krum(X, f, 1)}

def case(name, f, a, base, X, tau):
    n, D = len(X), X - base
    norms = np.array([norm(x) for x in D])
    step = mean(X, a) - base
    out = {"name": name, "n": n, "d": X.shape[1], "f": f, "weights": a, "base": base, "X": X,
           "gram": [[(x * y).sum() for y in D] for x in D], "norms": norms,
           "cosines": [(x * step).sum() / (k * norm(step)) if k > 0 else None for x, k in zip(D, norms)],
           "plain": rules(X, a, f) | {"multi_krum": krum(X, f, n - f)}}
    for key, t in (("bound_fixed", tau), ("bound_median", np.median(norms))):
        Y, c = bound(X, base, t)
        out[key] = {"tau": t, "coefficients": c, "norms": [norm(y) for y in Y - base], "mean": mean(Y, a), "median": median(Y, a)}
    Z, near = mix(X, f, True)
    out["mixed"] = {"neighbours": near} | rules(Z, a, f)
    Z, near = mix(Y, f, False)
    out["bound_median_mixed"] = None if Z is None else {"neighbours": near, "median": median(Z, a)}
    assert (Z is None) == (name == "unmoved")
    return out

def server(rule, w, steps, eta, beta=None, b1=None, b2=None, tau=None):
    out = {"rule": rule, "eta": eta, "beta": beta, "b1": b1, "b2": b2, "tau": tau, "w": w, "steps": []}
    m, v = np.zeros_like(w), np.zeros_like(w)
    for D in steps:
        if rule == "momentum":
            m = None
            v = beta * v + D
            w = w + eta * v
        else:
            m = b1 * m + (1 - b1) * D
            if rule == "adam":
                v = b2 * v + (1 - b2) * D**2
            elif rule == "yogi":
                v = v - (1 - b2) * D**2 * np.sign(v - D**2)
            else:
                v = v + D**2
            w = w + eta * m / (np.sqrt(v) + tau)
        out["steps"].append({"D": D, "w": w, "m": m, "v": v})
    return out

def grid(x):
    return np.round(x * 64) / 64

def updates(seed, n, d, spread=1.0):
    """A base, and updates that drift from it together."""
    rng = np.random.default_rng(seed)
    base = grid(rng.normal(size=d))
    return base, grid(base + rng.normal(size=d) + spread * rng.normal(size=(n, d)))

def check():
    """Against aggregation.json; there `median` has equal weights, and the geometric medians the given ones."""
    for c in json.loads((pathlib.Path(__file__).parent / "aggregation.json").read_text()):
        X, a, f = np.array(c["X"]), c["weights"], c["f"]
        one, many = krum(X, f, 1), krum(X, f, c["n"] - f)
        assert one["chosen"] == [c["krum_idx_blanchard"]]
        for ours, theirs in ((mean(X, a), "mean"), (median(X, [1] * len(a)), "median"), (trimmed(X, f), "trmean"),
                             (one["scores"], "krum_scores_n-f-2"), (many["result"], "multikrum_m=n-f_blanchard"),
                             (weiszfeld(X, a, 3, lambda *_: False)[0], "rfa_nu1e-6_T3_from_mean"),
                             (geometric_median(X, a)["converged"], "geomed_converged")):
            assert np.allclose(ours, c[theirs], rtol=1e-11, atol=1e-11), (theirs, ours, c[theirs])

def cases():
    base, X = updates(1, 4, 5)
    yield case("four", 1, [200, 110, 75, 160], base, X, 1.5)
    base, X = updates(2, 4, 37)
    X[2] = grid(100 + np.random.default_rng(20).normal(size=37))
    yield case("outlier", 1, [120, 80, 200, 95], base, X, 6.0)
    # 3 + 1 + 2 of 12 are exactly half; the first has the second and the third equally far, so the third is left out
    base, X = updates(3, 5, 8)
    away = grid(3 * np.random.default_rng(30).normal(size=8))
    X[1], X[2] = X[0] + away, X[0] - away
    yield case("halves", 1, [3, 1, 2, 4, 2], base, X, 3.0)
    base, X = updates(4, 7, 6)
    X[5] = base - 8
    yield case("seven", 2, [31, 64, 50, 22, 41, 90, 17], base, X, 2.0)
    # one has not moved at all: all that are bounded are then equally far from it, and rounding decides who is its neighbour
    X = X.copy()
    X[3] = base
    yield case("unmoved", 2, [31, 64, 50, 22, 41, 90, 17], base, X, 2.0)
    # two are the same, one lies
    base, X = updates(5, 8, 20)
    X[6], X[4] = X[1], -4 * X[4]
    yield case("twins", 2, [40, 25, 60, 33, 51, 12, 45, 70], base, X, 5.0)
    base, X = updates(6, 11, 9, 0.5)
    X[0], X[7] = X[0] + 12, X[7] - 5
    yield case("eleven", 2, [1] * 11, base, X, 2.5)

# a step of nothing, a small one after a large one (Yogi's v falls), and changes of sign
W = np.array([0.5, -1.25, 2.0, 0.0, -0.015625, 3.0])
STEPS = np.array([[0.0, 2.0, -0.5, 0.25, -1.0, 0.015625], [0.125, 0.0625, 0.5, 0.25, -1.5, 0.0], [-0.25, -0.03125, 1.0, 0.25, 0.75, -4.0]])

def main():
    check()
    servers = [server("momentum", W, STEPS, 0.5, beta=0.9)]
    servers += [server(rule, W, STEPS, 0.1, b1=0.9, b2=0.99, tau=1e-3) for rule in ("adam", "yogi", "adagrad")]
    plain = lambda x: x.tolist()
    lines = lambda items: "[\n" + ",\n".join(json.dumps(x, default=plain, separators=(",", ":"), allow_nan=False) for x in items) + "\n]"
    print('{"cases":' + lines(cases()) + ',\n"server":' + lines(servers) + "}")

main()
