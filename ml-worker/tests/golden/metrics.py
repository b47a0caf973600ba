"""Makes metrics.json with scikit-learn (1.9.1), scipy and statsmodels. What they lack is written here from its definition,
slowly: AUCs and DeLong's variance over all pairs, calibration bin by bin, the best cut by trying them all. What is not
defined is null. Run as `python metrics.py` where these are installed; `python metrics.py --coverage` prints how often the
intervals by patient hold the true AUC, and makes nothing."""
import json, math, pathlib, platform, sys, warnings
from fractions import Fraction
import numpy as np, scipy, sklearn, statsmodels, statsmodels.api as sm
from scipy.special import erfc
from scipy.stats import norm
from sklearn import metrics as s

warnings.simplefilter("ignore")
NAN = float("nan")
Z = norm.ppf(.975)

def none(v):
    """As JSON knows it."""
    if isinstance(v, dict):
        return {k: none(x) for k, x in v.items()}
    if isinstance(v, (list, tuple, np.ndarray)):
        return [none(x) for x in v]
    if v is None or isinstance(v, (str, bool)):
        return v
    if isinstance(v, (int, np.integer)):
        return int(v)
    return float(v) if math.isfinite(v) else None

def ratio(a, b):
    return None if b == 0 else a / b

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def pairs(x, y):
    """1 for each pair of a positive (row) and a negative (column) in the right order, a half for a tie."""
    a, b = x[y == 1].astype(np.float64), x[y == 0].astype(np.float64)
    return (a[:, None] > b[None, :]) + .5 * (a[:, None] == b[None, :])

def auc(y, x):
    if len(set(y.tolist())) < 2:
        return None
    ours = pairs(x, y).mean()
    assert abs(s.roc_auc_score(y, x) - ours) < 1e-12
    return ours

def calibration(p, right):
    total = 0
    for k in range(15):
        inside = [i for i in range(len(p)) if min(math.floor(p[i] * 15), 14) == k]
        if inside:
            total += len(inside) / len(p) * abs(np.mean(p[inside]) - np.mean(right[inside]))
    return total

def at(p, y, cut):
    hat = (p >= cut).astype(int)
    (tn, fp), (fn, tp) = s.confusion_matrix(y, hat, labels=[0, 1]).tolist()
    sens = s.recall_score(y, hat, zero_division=NAN)
    spec = s.recall_score(y, hat, pos_label=0, zero_division=NAN)
    both = 0 < y.sum() < len(y)
    if both:
        assert abs(s.balanced_accuracy_score(y, hat) - (sens + spec) / 2) < 1e-12
    return dict(accuracy=s.accuracy_score(y, hat), sensitivity=sens, specificity=spec,
                balanced_accuracy=(sens + spec) / 2 if both else None,
                ppv=s.precision_score(y, hat, zero_division=NAN),
                npv=s.precision_score(y, hat, pos_label=0, zero_division=NAN),
                f1=s.f1_score(y, hat, zero_division=NAN),
                mcc=s.matthews_corrcoef(y, hat) if both and 0 < hat.sum() < len(y) else None,
                confusion=dict(tp=tp, fp=fp, tn=tn, **{"fn": fn}))

def best_cut(p, y):
    """Over all middles of neighbours: the highest Youden's J, then the nearest to .5, then the lowest."""
    levels, m, n = sorted(set(p.tolist())), int(y.sum()), int((1 - y).sum())
    if m == 0 or n == 0:
        return None
    tried = []
    for low, high in zip(levels, levels[1:]):
        cut = (low + high) / 2
        hat = p >= cut
        tried.append((Fraction(int(hat[y == 1].sum()), m) - Fraction(int(hat[y == 0].sum()), n), -abs(cut - .5), -cut))
    tried = [t for t in tried if t[0] > 0]
    return -max(tried)[2] if tried else None

def binary(p, y, cut, z=None):
    """Figures of logits z, or of probabilities p where there are none."""
    x = p if z is None else z
    if z is None:
        loss = s.log_loss(y, p, labels=[0, 1])
    else:
        loss = np.mean(np.logaddexp(0, np.where(y == 1, -z, z)))
        if np.abs(z).max() < 30:
            assert abs(s.log_loss(y, p, labels=[0, 1]) - loss) < 1e-12
    area = auc(y, x)
    m = min(int(y.sum()), int((1 - y).sum()))
    interval, bound = None, None
    if area is not None:
        psi = pairs(x, y)
        var = psi.mean(1).var(ddof=1) / psi.shape[0] + psi.mean(0).var(ddof=1) / psi.shape[1] if m > 1 else None
        if area in (0, 1):
            # the chance of m right of m is 5 % at this value
            low = scipy.stats.beta.ppf(.05, m, 1)
            bound = (dict(kind="too_few", smaller_class=m, needed=5) if m < 5 else
                     dict(kind="at_least", bound=low) if area else dict(kind="at_most", bound=1 - low))
        elif m < 2:
            bound = dict(kind="too_few", smaller_class=m, needed=2)
        elif var < 1e-20:
            bound = dict(kind="no_variance")
        else:
            l, h = np.log(area / (1 - area)), Z * np.sqrt(var) / (area * (1 - area))
            interval = [sigmoid(l - h), sigmoid(l + h)]
    return dict(rows=len(y), positives=int(y.sum()), auc=area, auc_interval=interval, auc_bound=bound,
                average_precision=None if area is None else s.average_precision_score(y, x), log_loss=loss,
                brier=s.brier_score_loss(y, p, labels=[0, 1]), ece=calibration(p, y), **at(p, y, .5),
                at_cut=None if cut is None else dict(cut=cut, **at(p, y, cut)))

def paired(a, b, y):
    pa, pb = pairs(a, y), pairs(b, y)
    m, n = pa.shape
    out = dict(first=pa.mean(), second=pb.mean(), difference=pa.mean() - pb.mean(), standard_error=None, interval=None,
               z=None, p=None)
    if m > 1 and n > 1:
        cov = np.cov(pa.mean(1), pb.mean(1)) / m + np.cov(pa.mean(0), pb.mean(0)) / n
        var = cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]
        if var > 1e-20:
            se, d = np.sqrt(var), out["difference"]
            out.update(standard_error=se, interval=[d - Z * se, d + Z * se], z=d / se, p=2 * norm.sf(abs(d / se)))
    return out

def mean(values):
    values = [None if v is None or math.isnan(v) else v for v in values]
    defined = [v for v in values if v is not None]
    return dict(mean=np.mean(defined) if defined else None, defined=len(defined), of=len(values))

def multi_class(z, y):
    n, k = z.shape
    e = np.exp(z - z.max(1, keepdims=True))
    total = np.zeros(n)
    for column in np.sort(e, axis=1).T:
        total += column
    p = e / total[:, None]
    hat, every = z.argmax(1), list(range(k))
    support = np.bincount(y, minlength=k)
    present = support > 0

    def averages(f):
        each = f(y, hat, labels=every, average=None, zero_division=NAN)
        plain = mean(each)
        theirs = f(y, hat, labels=every, average="macro", zero_division=NAN)
        assert abs(theirs - plain["mean"]) < 1e-12
        return dict(macro_mean=plain, micro=f(y, hat, labels=every, average="micro", zero_division=NAN),
                    weighted=f(y, hat, labels=every, average="weighted", zero_division=NAN)), each
    (precision, pk), (recall, rk), (f1, fk) = map(averages, (s.precision_score, s.recall_score, s.f1_score))
    areas = [auc((y == c).astype(int), p[:, c]) for c in every]
    has = [c for c in every if areas[c] is not None]
    auc_macro = mean(areas)
    auc_weighted = np.average([areas[c] for c in has], weights=support[has]) if has else None
    if present.all() and k > 2:
        for how, ours in (("macro", auc_macro["mean"]), ("weighted", auc_weighted)):
            assert abs(s.roc_auc_score(y, p, multi_class="ovr", average=how) - ours) < 1e-12
    assert abs(s.log_loss(y, p, labels=every) - np.mean(np.log(total) - (z - z.max(1, keepdims=True))[range(n), y])) < 1e-10
    return dict(rows=n, classes=k, absent_classes=int((~present).sum()), accuracy=s.accuracy_score(y, hat),
                balanced_accuracy=s.balanced_accuracy_score(y, hat), precision=precision, recall=recall, f1=f1,
                auc_macro=auc_macro, auc_weighted=auc_weighted, log_loss=s.log_loss(y, p, labels=every),
                brier=s.brier_score_loss(np.eye(k)[y], p, scale_by_half=False) if k > 2 else
                      2 * s.brier_score_loss(y, p[:, 1], labels=[0, 1]),
                ece=calibration(p.max(1), hat == y),
                mcc=s.matthews_corrcoef(y, hat) if len(set(y.tolist())) > 1 and len(set(hat.tolist())) > 1 else None,
                confusion=s.confusion_matrix(y, hat, labels=every),
                per_class=[dict(rows=support[c], precision=pk[c], recall=rk[c], f1=fk[c], auc=areas[c]) for c in every])

def multi_label(z, y):
    n, k = y.shape
    p = sigmoid(z)
    hat = (p >= .5).astype(int)
    each = [binary(p[:, c], y[:, c], None, z[:, c]) for c in range(k)]
    macro = {f"{name}_macro": mean([e[name] for e in each]) for name in
             ("auc", "average_precision", "sensitivity", "specificity", "balanced_accuracy", "f1", "mcc")}
    assert abs(s.f1_score(y, hat, average="macro", zero_division=NAN) - macro["f1_macro"]["mean"]) < 1e-12
    if all(e["auc"] is not None for e in each):
        assert abs(s.roc_auc_score(y, z, average="macro") - macro["auc_macro"]["mean"]) < 1e-12
    return dict(rows=n, labels=k, per_label=each, **macro, auc_micro=s.roc_auc_score(y, z, average="micro"),
                average_precision_micro=s.average_precision_score(y, z, average="micro"),
                f1_micro=s.f1_score(y, hat, average="micro", zero_division=NAN),
                log_loss=np.mean([e["log_loss"] for e in each]),
                subset_accuracy=s.accuracy_score(y, hat), hamming_loss=s.hamming_loss(y, hat))

rng = np.random.default_rng(7)

def draw(n, share, step=None, shift=1.2):
    """Logits that f32 holds exactly, in steps of step or with no two alike."""
    y = (rng.random(n) < share).astype(int)
    y[:2] = 0, 1
    while True:
        z = rng.normal(size=n) + shift * (y - .5)
        z = np.round(z / (step or 2**-16)) * (step or 2**-16) + 0.
        if step or len(set(z.tolist())) == n:
            return z, y

def ordered(m, n, reverse=False):
    """All positives above all negatives."""
    y = np.array([1] * m + [0] * n)
    z = (np.concatenate([rng.integers(8, 100, m), rng.integers(-100, 8, n)]) / 32) * (-1 if reverse else 1)
    order = rng.permutation(m + n)
    return z[order], y[order]

named = dict(
    no_ties=draw(30, .4), ties=draw(200, .4, .125), tiny=draw(12, .3, .25), two_rows=(np.array([.5, -.25]), np.array([0, 1])),
    one_row=(np.array([.5]), np.array([1])), only_negatives=(np.array([.5, -1, 0, 2]), np.zeros(4, int)),
    only_positives=(np.array([.5, -1, 0, 2]), np.ones(4, int)), skewed=draw(1200, .01, 2**-8), skewed_ties=draw(600, .01, .5),
    lone_positive=(np.array([.5, -1, 0, 2, .25]), np.array([1, 0, 0, 0, 0])), all_tied=(np.full(9, .25), np.array([1, 0, 0] * 3)),
    perfect=ordered(10, 30), perfect_few=ordered(30, 4), perfect_five=ordered(5, 7), reversed_order=ordered(12, 9, True),
    all_called_negative=(np.array([-2, -1, -3, -1.5, -.5, -.25]), np.array([0, 1, 0, 1, 0, 1])),
    far_out=(np.array([90, -90, 60, 50, -60, 88, -88.5, 3, -700, 700]), np.array([1, 0, 1, 0, 1, 1, 0, 0, 0, 1])))
cases = []
for name, (z, y) in named.items():
    p = sigmoid(z)
    best = best_cut(p, y)
    cut = .3 if best is None else best
    cases.append(dict(name=name, logits=z, labels=y, validated_cut=best, cut=cut, metrics=binary(p, y, cut, z)))

probabilities = []
for name, n, share in (("hundredths", 150, .3), ("tenths", 60, .5), ("one_class", 5, 0)):
    z, y = draw(n, share)
    y = y * (share > 0)
    p = np.clip(np.round(sigmoid(z), 1 if name == "tenths" else 2), .01, .99)
    probabilities.append(dict(name=name, probabilities=p, labels=y, validated_cut=best_cut(p, y), cut=.25,
                              metrics=binary(p, y, .25)))

comparisons = []
for name, n, share, step in (("no_ties", 60, .4, None), ("ties", 120, .3, .25), ("tiny", 7, .5, .5), ("skewed", 900, .01, 2**-8)):
    a, y = draw(n, share, step)
    b = np.round((.6 * a + .8 * rng.normal(size=n)) / (step or 2**-16)) * (step or 2**-16) + 0.
    comparisons.append(dict(name=name, first=a, second=b, labels=y, paired=paired(a, b, y)))
a, y = draw(40, .5)
comparisons += [dict(name="far_apart", first=a + 4 * y, second=-a - 4 * y, labels=y, paired=paired(a + 4 * y, -a - 4 * y, y)),
                dict(name="same", first=a, second=a * 2, labels=y, paired=paired(a, a * 2, y))]
y = np.array([1, 0, 0, 0])
a, b = np.array([1., 2, 0, -1]), np.array([1., 0, 2, 3])
comparisons.append(dict(name="lone_positive", first=a, second=b, labels=y, paired=paired(a, b, y)))
y = np.array([1, 1, 0, 0])
a, b = np.array([3., 3, 1, 1]), np.array([1., 1, 1, 1])
comparisons.append(dict(name="constant_components", first=a, second=b, labels=y, paired=paired(a, b, y)))

several = []
for name, n, k, step, absent, uncalled in (("four", 80, 4, None, (), ()), ("ties", 150, 3, .5, (), ()), ("absent", 60, 5, .25, (2,), ()),
                                           ("absent_uncalled", 40, 4, .25, (1,), (1, 3)), ("two", 50, 2, .25, (), ()), ("tiny", 5, 3, .5, (), ()),
                                           ("one_class", 6, 3, .5, (1, 2), ()), ("skewed", 400, 3, 2**-6, (), ())):
    weights = np.array([0. if c in absent else .01 if name == "skewed" and c == 1 else 1. for c in range(k)])
    y = rng.choice(k, n, p=weights / weights.sum())
    if name == "skewed":
        y[:4] = 1
    z = rng.normal(size=(n, k)) + 1.3 * np.eye(k)[y]
    z[:, list(uncalled)] -= 30
    z = np.round(z / (step or 2**-16)) * (step or 2**-16) + 0.
    several.append(dict(name=name, classes=k, logits=z.ravel(), labels=y, metrics=multi_class(z, y)))

labelled = []
for name, n, k, step, constant in (("five", 60, 5, None, {}), ("constant", 50, 4, .25, {1: 0, 3: 1}), ("skewed", 300, 3, .125, {}), ("tiny", 4, 2, .5, {})):
    y = (rng.random((n, k)) < (.02 if name == "skewed" else .4)).astype(int)
    y[:2] = [[0] * k, [1] * k]
    for c, v in constant.items():
        y[:, c] = v
    z = rng.normal(size=(n, k)) + 1.2 * (y - .5)
    z = np.round(z / (step or 2**-16)) * (step or 2**-16) + 0.
    if name == "constant":
        z[:, 1] = -np.abs(z[:, 1]) - .25
    labelled.append(dict(name=name, width=k, logits=z.ravel(), labels=y.ravel(), metrics=multi_label(z, y)))

def paired_mean(a, b, g):
    """statsmodels' intercept with errors clustered by group, and Student's quantile for the groups less one."""
    d, groups = a - b, len(set(g.tolist()))
    out = dict(first=a.mean(), second=b.mean(), difference=d.mean(), groups=groups, standard_error=None, interval=None)
    if groups >= 10:
        fit = sm.OLS(d, np.ones(len(d))).fit(cov_type="cluster", cov_kwds=dict(groups=g), use_t=True)
        if fit.bse[0] > 1e-15:
            half = scipy.stats.t.ppf(.975, groups - 1) * fit.bse[0]
            assert np.allclose(fit.conf_int()[0], [d.mean() - half, d.mean() + half])
            out.update(standard_error=fit.bse[0], interval=[d.mean() - half, d.mean() + half])
    return out

rng = np.random.default_rng(11)
means = []
for name, n, groups in (("alone", 40, 40), ("few", 30, 9), ("ten", 31, 10), ("visits", 120, 40), ("same", 30, 30)):
    g = np.arange(n) if groups == n else np.concatenate([np.arange(groups), rng.integers(0, groups, n - groups)])
    a = np.round(rng.gamma(.5, size=n) + rng.gamma(.3, size=groups)[g], 4)
    b = a.copy() if name == "same" else np.round(rng.gamma(.5, size=n) + .1, 4)
    means.append(dict(name=name, first=a, second=b, groups=g, paired=paired_mean(a, b, g)))

def obuchowski(first, y, g, second=None):
    """AUC (less the second one) and its variance by Obuchowski (1997), section 2, over all pairs and cluster by cluster."""
    psi = pairs(first, y) - (0 if second is None else pairs(second, y))
    (M, N), theta = psi.shape, psi.mean()
    gx, gy, every = g[y == 1], g[y == 0], sorted(set(g.tolist()))
    i10, i01, i = len(set(gx.tolist())), len(set(gy.tolist())), len(every)
    if i10 < 2 or i01 < 2:
        return theta, None
    x = np.array([psi.mean(1)[gx == c].sum() - (gx == c).sum() * theta for c in every])
    z = np.array([psi.mean(0)[gy == c].sum() - (gy == c).sum() * theta for c in every])
    s10, s01 = i10 / ((i10 - 1) * M) * (x @ x), i01 / ((i01 - 1) * N) * (z @ z)
    s11 = i / (i - 1) * (x @ z)
    return theta, s10 / M + s01 / N + 2 / (M * N) * s11

def logit_interval(area, var):
    l, h = np.log(area / (1 - area)), Z * np.sqrt(var) / (area * (1 - area))
    return [sigmoid(l - h), sigmoid(l + h)]

def visits(n, most, within, signal=1.5, both=0.):
    """Patients with up to `most` rows each, whose scores share a part; with a chance `both`, a row's label is its own."""
    count = rng.integers(1, most + 1, n)
    g = np.repeat(np.arange(n), count)
    y = np.repeat((rng.random(n) < .4).astype(int), count)
    y = np.where(rng.random(len(g)) < both, (rng.random(len(g)) < .4).astype(int), y)
    share, own = np.sqrt(within), np.sqrt(1 - within)
    score = lambda: np.round((signal * y + share * rng.normal(size=n)[g] + own * rng.normal(size=len(g))) * 64) / 64 + 0.
    return g, y, score(), score()

rng = np.random.default_rng(19)
clustered = []
for name, n, most, within, both in (("visits", 40, 4, .6, 0), ("mixed", 30, 3, .4, .3), ("paired_eyes", 25, 2, .8, 1), ("alone", 40, 1, 0, 0)):
    g, y, a, b = visits(n, most, within, both=both)
    (area, var), (difference, of_both) = obuchowski(a, y, g), obuchowski(a, y, g, b)
    if most == 1:
        old = binary(sigmoid(a), y, None, a)["auc_interval"]
        assert np.allclose(old, logit_interval(area, var)), "one row to a cluster: DeLong's"
    se = np.sqrt(of_both)
    clustered.append(dict(name=name, first=a, second=b, labels=y, groups=g, auc=area, interval=logit_interval(area, var),
                          difference=difference, standard_error=se, paired=[difference - Z * se, difference + Z * se]))

def logit_fit(z, y, offset=None):
    """statsmodels' maximum likelihood: intercept and slope, or the intercept alone with an offset."""
    x = sm.add_constant(z) if offset is None else np.ones((len(y), 1))
    fit = sm.GLM(y, x, family=sm.families.Binomial(), offset=offset).fit(tol=1e-15, maxiter=200)
    return fit.params.tolist()

rng = np.random.default_rng(23)
recalibrated = []
for name, n, slope, shift in (("well", 80, 1, 0), ("too_sure", 120, 3, 1), ("reversed", 60, -1, 0), ("far_off", 90, 20, 500)):
    true = rng.normal(size=n) * 1.5
    y = (rng.random(n) < sigmoid(true)).astype(int)
    z = np.round((slope * true + shift) * 256) / 256
    a, b = logit_fit(z, y)
    recalibrated.append(dict(name=name, logits=z, labels=y, calibration=dict(intercept=a, slope=b,
        in_the_large=logit_fit(z, y, z)[0] if abs(shift) < 100 else None)))

def sensitive(p, y, wanted):
    """Over all middles of neighbours, and 0: the highest cut with that sensitivity."""
    levels = sorted(set(p.tolist()))
    cuts = [0.] + [(a + b) / 2 for a, b in zip(levels, levels[1:])]
    return max(c for c in cuts if Fraction(int((p[y == 1] >= c).sum()), int(y.sum())) >= Fraction(wanted))

cuts = []
for n, share in ((40, .3), (150, .1), (9, .5)):
    z, y = draw(n, share, .25)
    p = sigmoid(z)
    cuts.append(dict(probabilities=p, labels=y, cuts=[[w, sensitive(p, y, str(w))] for w in (.05, .5, .8, .9, 1.)]))
quantiles = []
for n in (1, 2, 7, 40):
    values = np.sort(np.round(rng.normal(size=n), 3))
    quantiles.append(dict(values=values, quantiles=[[q, np.quantile(values, q)] for q in (.025, .5, .975)]))

def coverage(draws=2000, patients=200):
    """How often the intervals hold the true AUC, with rows of one patient taken together and as if they were independent."""
    for most, within in ((1, 0), (3, .5), (3, .8), (6, .5)):
        held = [0, 0]
        for _ in range(draws):
            g = np.repeat(np.arange(patients), most)
            y = np.repeat((rng.random(patients) < .4).astype(int), most)
            x = 1.5 * y + np.sqrt(within) * rng.normal(size=patients)[g] + np.sqrt(1 - within) * rng.normal(size=len(g))
            for k, groups in enumerate((g, np.arange(len(g)))):
                low, high = logit_interval(*obuchowski_fast(x, y, groups))
                held[k] += low <= norm.cdf(1.5 / np.sqrt(2)) <= high
        print(f"{most} rows a patient, correlation {within}: by patient {held[0] / draws:.3f}, as independent {held[1] / draws:.3f}")

def obuchowski_fast(x, y, g):
    """obuchowski() of no ties, from ranks: for coverage() alone."""
    r, rx, ry = scipy.stats.rankdata(x), scipy.stats.rankdata(x[y == 1]), scipy.stats.rankdata(x[y == 0])
    M, N = y.sum(), (1 - y).sum()
    vx, vy = (r[y == 1] - rx) / N, 1 - (r[y == 0] - ry) / M
    theta, k = vx.mean(), g.max() + 1
    bx, by = np.bincount(g[y == 1], vx - theta, k), np.bincount(g[y == 0], vy - theta, k)
    i10, i01 = len(np.unique(g[y == 1])), len(np.unique(g[y == 0]))
    i = len(np.unique(g))
    return theta, i10 / (i10 - 1) * (bx @ bx) / M**2 + i01 / (i01 - 1) * (by @ by) / N**2 + 2 * i / (i - 1) * (bx @ by) / (M * N)

if "--coverage" in sys.argv:
    sys.exit(coverage())

made = dict(made_by=dict(python=platform.python_version(), numpy=np.__version__, scikit_learn=sklearn.__version__, scipy=scipy.__version__,
            statsmodels=statsmodels.__version__),
            binary=cases, probabilities=probabilities, paired=comparisons, multi_class=several, multi_label=labelled, paired_mean=means, clustered=clustered, recalibrated=recalibrated,
            sensitivity=cuts, quantiles=quantiles,
            student=[[d, scipy.stats.t.ppf(.975, d)] for d in (1, 2, 3, 4, 5, 9, 10, 19, 20, 113, 5000, 1000000)],
            erfc=[[x, erfc(x)] for x in (0., 1e-9, .1, .5, 1., 1.5, 1.9, 1.999999, 2., 2.1, 3., 4.5, 6., 10., 20., 26.)])
text = ",\n".join(f"{json.dumps(k)}: " + (json.dumps(none(v)) if k in ("made_by", "erfc", "student") else
                  "[\n" + ",\n".join(json.dumps(none(c)) for c in v) + "]") for k, v in made.items())
(pathlib.Path(__file__).parent / "metrics.json").write_text("{" + text + "}\n")
