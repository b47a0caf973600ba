"""Makes golden.json: model files, weighted means and merged statistics by numpy and plain Python floats, hashes by the
blake3 package. Needs numpy and blake3."""
import json, pathlib, struct
import numpy as np
from blake3 import blake3

DUTY = "11" * 32

def header(tensors, dtype, size, duty, pad_to=None):
    text, at = "{", 0
    if duty:
        text += '"__metadata__":{"duty":"' + duty + '"},'
    for n, (name, shape) in enumerate(sorted(tensors, key=lambda t: t[0].encode())):
        count = int(np.prod(shape))
        text += ("," if n else "") + f'"{name}":{{"dtype":"{dtype}","shape":[{",".join(map(str, shape))}],"data_offsets":[{at},{at + count * size}]}}'
        at += count * size
    text += "}"
    length = max(-(-len(text) // 8) * 8, pad_to or 0)
    return struct.pack("<Q", length) + text.encode().ljust(length)

def mean(inputs):
    total = None
    for data, weight in inputs:
        part = data.astype(np.float64) * weight
        total = part if total is None else total + part
    return (total / sum(w for _, w in inputs)).astype(np.float32) + np.float32(0)

out = {}
tensors = [("layer00.weight", (2, 3)), ("layer00.bias", (2,)), ("Z", (1,))]
data = np.array([1.5, -0.25, 3e-41, 2, -1e15, 0, 7, 1e-3, -4], np.float32)
for name, duty in (("update", DUTY), ("merged", None)):
    file = header(tensors, "F32", 4, duty) + data.tobytes()
    out[name] = {"bytes": file.hex(), "blake3": blake3(file).hexdigest()}

# a big one from a little generator that Rust repeats: x = x * 6364136223846793005 + 1442695040888963407 (mod 2^64)
def numbers(seed, n):
    x, values = seed, []
    for _ in range(n):
        x = (x * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        values.append((x >> 40) / 2**24 - 0.5)
    return np.array(values, np.float64).astype(np.float32)

weights = [200, 110, 75, 2**29 - 1]
big = mean([(numbers(s, 200_003), w) for s, w in enumerate(weights)])
out["mean"] = {"weights": weights, "blake3": blake3(big.tobytes()).hexdigest()}
odd = [np.array(v, np.float32) for v in ([1e38, 1e-45, -0.0, 16777216, 3], [1e38, -1e-45, -0.0, 1, -3], [-3e38, 1e-40, -0.0, 1, 1e-7])]
out["odd"] = {"inputs": [[struct.unpack("<I", x.tobytes())[0] for x in v] for v in odd], "weights": [3, 5, 7],
              "mean": [struct.unpack("<I", x.tobytes())[0] for x in mean(list(zip(odd, [3, 5, 7])))]}

# statistics: a site's mean counted from its first value, Chan's formula, all in plain Python floats in the order given
columns = [[float(x) for x in numbers(90 + k, n)] for k, n in enumerate((25, 40, 31))]
parts = []
for c in columns:
    total = 0.0
    for x in c:
        total += x - c[0]
    m = c[0] + total / len(c)
    m2 = 0.0
    for x in c:
        m2 += (x - m) * (x - m)
    parts.append((float(len(c)), m, m2))
n_a, mean_a, m2_a = parts[0]
for n_b, mean_b, m2_b in parts[1:]:
    n, d = n_a + n_b, mean_b - mean_a
    m2_a = (m2_a + m2_b) + (d * d) * (n_a * n_b / n)
    mean_a += d * (n_b / n)
    n_a = n
body = struct.pack("<3d", n_a, m2_a, mean_a)
stats = [("count", (1,)), ("m2", (1,)), ("mean", (1,))]
with_duty = header(stats, "F64", 8, DUTY)
file = header(stats, "F64", 8, None, len(with_duty) - 8) + body
out["statistics"] = {"rows": [25, 40, 31], "bytes": file.hex()}
(pathlib.Path(__file__).parent / "golden.json").write_text(json.dumps(out))
