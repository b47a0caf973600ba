"""Makes masked.json: loss, its derivative, and figures of several labels of which some are not known, by numpy and scikit-learn.

    pip install numpy scikit-learn
"""
import json, pathlib
import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

ROWS, LABELS = 60, 4
draw = np.random.default_rng(17)
# logits that 32 bits hold exactly, some of them equal
z = (draw.normal(0, 1.5, (ROWS, LABELS)) * 8).round() / 8
y = (draw.random((ROWS, LABELS)) < 1 / (1 + np.exp(-z))).astype(float)
y[draw.random((ROWS, LABELS)) < .35] = np.nan
y[:, 3] = np.nan
y[np.isnan(y).all(1), 0] = 1
known = ~np.isnan(y)
p = 1 / (1 + np.exp(-z))
entry = np.where(known, np.logaddexp(0, z) - np.where(known, y, 0) * z, 0)
t, s = y[known], p[known]
per_label = []
for k in range(LABELS):
    rows = known[:, k]
    a, b = y[rows, k], p[rows, k]
    per_label.append(None if not rows.any() else dict(
        rows=int(rows.sum()), positives=int(a.sum()), auc=roc_auc_score(a, b), average_precision=average_precision_score(a, b),
        log_loss=log_loss(a, b, labels=[0, 1])))
right = ~known | ((p >= .5) == (y == 1))
json.dump(dict(
    labels=LABELS, logits=z.ravel().tolist(), truths=[None if np.isnan(v) else int(v) for v in y.ravel()],
    loss=entry.sum() / LABELS / ROWS,
    slope=np.where(known, (p - y) / LABELS / ROWS, 0).ravel().tolist(),
    log_loss_of_known=log_loss(t, s, labels=[0, 1]), brier_of_known=LABELS * ((s - t) ** 2).mean(),
    auc_macro=float(np.mean([m["auc"] for m in per_label if m])), auc_micro=roc_auc_score(t, s),
    average_precision_micro=average_precision_score(t, s),
    subset_accuracy=right.all(1).mean(), hamming_loss=((p >= .5) != (y == 1))[known].mean(), per_label=per_label,
), open(pathlib.Path(__file__).with_suffix(".json"), "w"), indent=1)
