"""Makes masked_merges.json: the merge of updates as whole numbers, as masked sums have it, in plain Python: sums and models of
larger lists than those of the golden rounds, of which a checksum is kept. Nothing of it follows Rust. Needs nothing but Python.

    python3 masked_merges.py > masked_merges.json
"""
import json
import math
import struct

NUMBERS = 2 * 4096 + 77
RANGE_LOG2 = 2
UP, DOWN = 2.0 ** (30 - RANGE_LOG2), 2.0 ** (RANGE_LOG2 - 30)
WEIGHTS = [200, 110, 75, 70, 40]


def single(number):
    return struct.unpack("<f", struct.pack("<f", number))[0]


def numbers(seed):
    out, x = [], seed
    for _ in range(NUMBERS):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append((x >> 40) / 2.0**24 - 0.5)
    return out


def length(step):
    """Eight lanes in each block of 4,096, joined as ((0+4)+(2+6))+((1+5)+(3+7)), and blocks one after the other."""
    total = 0.0
    for start in range(0, len(step), 4096):
        l = [0.0] * 8
        for k, number in enumerate(step[start : start + 4096]):
            l[k % 8] += number * number
        total += ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
    return math.sqrt(total)


def checksum(data):
    """FNV-1a."""
    sum_ = 0xCBF29CE484222325
    for byte in data:
        sum_ = (sum_ ^ byte) * 0x100000001B3 % 2**64
    return f"{sum_:016x}"


def merge(used, bound):
    base = numbers(99)
    total = sum(WEIGHTS)
    there = sum(WEIGHTS[i] for i in used)
    sums = [0] * NUMBERS
    for i in used:
        update = [single(w + single(0.125 * d)) for w, d in zip(base, numbers(i + 1))]
        step = [x - w for x, w in zip(update, base)]
        norm = length(step)
        factor = bound / norm if bound is not None and norm > bound else 1.0
        part = WEIGHTS[i] / total
        most = math.floor(part * 2.0**30)
        for k, d in enumerate(step):
            # Python rounds ties to even
            sums[k] += min(max(round(part * (factor * d) * UP), -most), most)
    steps = [s * DOWN / (there / total) for s in sums]
    model = struct.pack(f"<{NUMBERS}f", *[w + d for w, d in zip(base, steps)])
    return {
        "used": used,
        "bound": bound,
        "sums": checksum(struct.pack(f"<{NUMBERS}i", *sums)),
        "model": checksum(model),
        "norm": struct.pack(">d", length(steps)).hex(),
    }


cases = [merge(used, bound) for used in ([0, 1, 2, 3, 4], [0, 2, 4]) for bound in (None, 2.5)]
print(json.dumps({"made_with": "masked_merges.py", "numbers": NUMBERS, "weights": WEIGHTS, "cases": cases}, indent=1))
