"""Makes curves.json with scikit-learn, scipy and statsmodels: the best sensitivity at each false-positive share of a grid, tenths of
rows by their probability with Wilson's interval of the share of positives, slope and intercept of the calibration. Run as
`python curves.py` where these are installed."""
import json, pathlib, platform
import numpy as np, scipy, sklearn, statsmodels, statsmodels.api as sm
from scipy.stats import rankdata
from sklearn.metrics import roc_curve
from statsmodels.stats.proportion import proportion_confint

def roc(x, y):
    fpr, tpr, _ = roc_curve(y, x, drop_intermediate=False)
    negatives = int((1 - y).sum())
    false = np.rint(fpr * negatives).astype(int)
    return [float(tpr[false * 50 <= k * negatives].max()) for k in range(51)]

def tenths(p, y):
    place = np.minimum(np.floor(10 * (rankdata(p) - .5) / len(p) + 1e-12), 9).astype(int)
    out = []
    for k in sorted(set(place.tolist())):
        inside = place == k
        low, high = proportion_confint(y[inside].sum(), inside.sum(), method="wilson")
        out.append(dict(rows=int(inside.sum()), said=float(p[inside].mean()), found=float(y[inside].mean()),
                        interval=[max(low, 0), min(high, 1)]))
    return out

def logit_fit(z, y, offset=None):
    x = sm.add_constant(z) if offset is None else np.ones((len(y), 1))
    return sm.GLM(y, x, family=sm.families.Binomial(), offset=offset).fit(tol=1e-15, maxiter=200).params.tolist()

rng = np.random.default_rng(31)
cases = []
for name, n, share, step, slope in (("no_ties", 400, .4, 2**-16, 1), ("ties", 600, .3, .5, 2), ("few_levels", 240, .5, 2, 1),
                                    ("just_enough", 100, .5, .25, 1), ("skewed", 2500, .03, .125, .5)):
    true = rng.normal(size=n) * 1.5 + np.log(share / (1 - share))
    y = (rng.random(n) < 1 / (1 + np.exp(-true))).astype(int)
    if name == "just_enough":
        y = np.array([0, 1] * 50)
        true = true + y
    z = np.round(slope * true / step) * step + 0.
    p = 1 / (1 + np.exp(-z))
    assert min(y.sum(), n - y.sum()) >= 50, name
    intercept, fitted = logit_fit(z, y)
    cases.append(dict(name=name, logits=z.tolist(), labels=y.tolist(), curves=dict(
        roc=roc(z, y), calibration=tenths(p, y), slope=fitted, in_the_large=logit_fit(z, y, z)[0])))
made = dict(made_by=dict(python=platform.python_version(), numpy=np.__version__, scikit_learn=sklearn.__version__,
                         scipy=scipy.__version__, statsmodels=statsmodels.__version__))
text = f'"made_by": {json.dumps(made["made_by"])},\n"cases": [\n' + ",\n".join(map(json.dumps, cases)) + "\n]"
(pathlib.Path(__file__).parent / "curves.json").write_text("{" + text + "}\n")
