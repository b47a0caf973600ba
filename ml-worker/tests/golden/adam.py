"""Numbers of the test of Adam in learn/optimize.rs: algorithm 1 of Kingma and Ba (2015) in float64."""
import numpy as np

w, m, v = np.array([1.0, -3.0]), np.zeros(2), np.zeros(2)
for t in range(1, 6):
    g = 2 * w
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
print(w.tolist())
