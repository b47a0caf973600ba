"""Numbers of the test of momentum in learn/optimize.rs: v = momentum·v + g; w = w - rate·v, in float64."""
w, v = [1.0, -3.0], [0.0, 0.0]
for _ in range(5):
    v = [0.9 * v + 2 * w for v, w in zip(v, w)]
    w = [w - 0.05 * v for v, w in zip(v, w)]
print(w, v)
