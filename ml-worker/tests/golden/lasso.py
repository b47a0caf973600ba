"""Makes lasso.json: least squares with an L1 penalty, `1/n·Σ(z − y)² + λ·Σ|w|`, on made-up rows, in float64.

`ista`: so many steps of proximal gradient descent from zeros, in numpy. `lasso`: where it ends, by scikit-learn's coordinate
descent (its objective is half of this one: alpha = λ/2). `curvature`: twice the largest eigenvalue of the rows' second
moments, a 1 behind each row, by numpy. The rows follow from a linear congruential generator, so that nobody needs a file.
Run: pip install numpy scikit-learn; python lasso.py > lasso.json"""
import json
import numpy as np
from sklearn.linear_model import Lasso

ROWS, COLUMNS, L1, STEPS = 300, 50, 0.05, 7
SUPPORT = {3: 2.0, 17: -2.0, 29: 1.5, 41: -1.5}

state = 1
def draw():
    """One of -1.00, -0.99, … 1.00."""
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return ((state >> 33) % 201 - 100) / 100

x = np.array([[draw() for _ in range(COLUMNS)] for _ in range(ROWS)])
noise = np.array([draw() for _ in range(ROWS)])
y = (x[:, list(SUPPORT)] @ np.array(list(SUPPORT.values())) + noise > 1e-9).astype(float)

ones = np.hstack([x, np.ones((ROWS, 1))])
curvature = 2 * np.linalg.eigvalsh(ones.T @ ones / ROWS)[-1]
w = np.zeros(COLUMNS + 1)
for _ in range(STEPS):
    w = w - 2 / ROWS * ones.T @ (ones @ w - y) / curvature
    w[:-1] = np.sign(w[:-1]) * np.maximum(np.abs(w[:-1]) - L1 / curvature, 0)
end = Lasso(alpha=L1 / 2, tol=1e-15, max_iter=10**6).fit(x, y)
loss = np.mean((x @ end.coef_ + end.intercept_ - y) ** 2)
print(json.dumps({
    "l1": L1, "positives": int(y.sum()), "curvature": curvature, "steps": STEPS, "ista": w.tolist(),
    "lasso": [*end.coef_.tolist(), end.intercept_], "support": sorted(SUPPORT), "loss": loss,
}))
