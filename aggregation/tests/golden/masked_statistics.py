"""Makes masked_statistics.json: values of four sites, the three whole numbers that each site masks for a column, and the merged
count, mean and squared deviations, by Python's fractions. Nothing of it follows Rust. Needs nothing but Python.

    python3 masked_statistics.py > masked_statistics.json
"""
import json
import random
import struct
from fractions import Fraction

LEAST = 30
draw = random.Random(1812)


def gauss(mean, deviation, counts):
    return [[draw.gauss(mean, deviation) for _ in range(n)] for n in counts]


def evenly(value, counts):
    return [[value] * n for n in counts]


COLUMNS = {
    "around five": gauss(5, 2, (200, 110, 75, 70)),
    "tiny": gauss(3e-13, 1e-14, (20, 11, 7, 9)),
    "below the grid": gauss(0, 1e-22, (20, 20, 5, 5)),
    "the largest": [[2.0**40] * 9, [-(2.0**40)] * 8, [2.0**40, 1.0, 2.0**-64] * 6, [-(2.0**40) + 2.0**-12] * 3],
    "all the same": evenly(0.1, (12, 9, 8, 7)),
    "one too few": gauss(1, 1, (10, 9, 5, 5)),
    "just enough": gauss(1, 1, (10, 9, 6, 5)),
    "at one site only": [[], gauss(-2, 1, (40,))[0], [], []],
    "ties of the grid": [[(k + 0.5) * 2.0**-64 for k in range(-9, 9)], [2.5 * 2.0**-64] * 10, [-1.5 * 2.0**-64] * 9, [0.0, -0.0]],
    "zero or one": [[float(draw.random() < 0.3) for _ in range(n)] for n in (40, 30, 20, 10)],
    "far from zero": gauss(-1e9, 1e-3, (50, 40, 30, 20)),
    "one far value": [[1e12], [1e-3] * 20, [-1e-3] * 20, []],
    "none": [[], [], [], []],
}


def integers(values):
    units = [round(Fraction(value) * 2**64) for value in values]
    return [len(values), sum(units), sum(unit * unit for unit in units)]


def bits(fraction):
    # division of whole numbers in Python rounds once, to the nearest, ties to even
    return struct.pack(">d", fraction.numerator / fraction.denominator).hex()


def merged(count, total, squares):
    if count < LEAST:
        return {"count": 0, "mean": bits(Fraction(0)), "m2": bits(Fraction(0))}
    mean = Fraction(total, count * 2**64)
    m2 = Fraction(squares, 2**128) - Fraction(total * total, count * 2**128)
    return {"count": count, "mean": bits(mean), "m2": bits(m2)}


out = []
for name, sites in COLUMNS.items():
    parts = [integers(values) for values in sites]
    words = [[(number % 2**256).to_bytes(32, "little").hex() for number in part] for part in parts]
    out.append({"name": name, "sites": sites, "integers": words, **merged(*(sum(column) for column in zip(*parts)))})
print(json.dumps({"made_with": "masked_statistics.py", "columns": out}, indent=1))
