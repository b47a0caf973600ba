"""Makes metrics.json. AUC by counting pairs, DeLong's variance from the definition (kernel sums over all pairs), the
rest by the usual definitions; where scikit-learn is installed, its numbers must agree."""
import json, pathlib
import numpy as np

def metrics(z, y):
    p = 1 / (1 + np.exp(-z.astype(np.float64)))
    zz = z.astype(np.float64)
    loss = np.mean(np.maximum(zz, 0) - zz * y + np.log1p(np.exp(-np.abs(zz))))
    hat = p >= .5
    tp, fp, fn, tn = (hat & (y == 1)).sum(), (hat & (y == 0)).sum(), (~hat & (y == 1)).sum(), (~hat & (y == 0)).sum()
    X, Y = z[y == 1].astype(float), z[y == 0].astype(float)
    psi = (X[:, None] > Y[None, :]) + .5 * (X[:, None] == Y[None, :])
    auc = psi.mean()
    var = psi.mean(1).var(ddof=1) / len(X) + psi.mean(0).var(ddof=1) / len(Y)
    interval = None
    if 0 < auc < 1 and var > 0:
        l, h = np.log(auc / (1 - auc)), 1.959963984540054 * np.sqrt(var) / (auc * (1 - auc))
        interval = [1 / (1 + np.exp(-(l - h))), 1 / (1 + np.exp(-(l + h)))]
    out = dict(rows=len(y), positives=int(y.sum()), auc=auc, auc_interval=interval, log_loss=loss, accuracy=(tp + tn) / len(y),
               sensitivity=tp / (tp + fn), specificity=tn / (tn + fp), balanced_accuracy=(tp / (tp + fn) + tn / (tn + fp)) / 2,
               f1=2 * tp / (2 * tp + fp + fn))
    try:
        from sklearn import metrics as s
        assert abs(s.roc_auc_score(y, z) - auc) < 1e-12 and abs(s.log_loss(y, p) - loss) < 1e-9
        assert abs(s.f1_score(y, hat) - out["f1"]) < 1e-12 and abs(s.balanced_accuracy_score(y, hat) - out["balanced_accuracy"]) < 1e-12
    except ImportError:
        print("scikit-learn is not installed: not compared")
    return {k: (v if v is None or isinstance(v, list) else float(v)) for k, v in out.items()}

rng = np.random.default_rng(7)
cases = []
for n, ties in ((30, False), (200, True), (12, True)):
    y = (rng.random(n) < .4).astype(int)
    y[:2] = 0, 1
    z = (rng.normal(size=n) + 1.2 * (y - .5)).astype(np.float32)
    if ties:
        z = np.round(z, 1).astype(np.float32)
    cases.append(dict(logits=z.tolist(), labels=y.tolist(), metrics=metrics(z, y)))
(pathlib.Path(__file__).parent / "metrics.json").write_text(json.dumps(cases))
