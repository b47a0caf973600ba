"""Writes the handwritten digits that scikit-learn brings along (1,797 pictures of 8 x 8 pixels, values 0 to 16) as a table.

usage: bench/.venv/bin/python bench/digits.py bench/attacks/digits.csv
"""

import csv
import sys

from sklearn.datasets import load_digits

with open(sys.argv[1], "w", newline="") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow([f"p{n}" for n in range(64)] + ["digit"])
    digits = load_digits()
    for pixels, digit in zip(digits.data, digits.target):
        table.writerow([int(pixel) for pixel in pixels] + [int(digit)])
