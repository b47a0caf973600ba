"""The tables of the rounds' benchmark: four sites of 30 features whose share of positive rows differs, and a held-out one.

A row's label is the sign of a fixed, bent function of its features with noise on it, so that a straight line does not find it
all and a hidden layer of 16 does. Everything is drawn from one seed: the same files on every machine.
"""

import numpy

FEATURES = [f"x{n:02}" for n in range(30)]
LABEL = "label"
# Each site's rows, and how many of a hundred are positive.
SITES = {"site-1": (1000, 15), "site-2": (900, 35), "site-3": (700, 65), "site-4": (600, 85)}
HELD_OUT = ("held-out", 2000, 50)


def drawn(random, directions):
    """Rows and labels without end."""
    while True:
        rows = random.standard_normal((512, len(FEATURES)))
        signal = numpy.maximum(rows @ directions.T, 0) @ [1, 1, -1, -1]
        yield from zip(rows, signal + 0.2 * random.standard_normal(512) > 0)


def chosen(source, count, percent):
    """So many rows, of which this share is positive; surplus rows of either kind are passed over."""
    wanted = {True: count * percent // 100}
    wanted[False] = count - wanted[True]
    rows = []
    for row, label in source:
        if wanted[bool(label)]:
            wanted[bool(label)] -= 1
            rows.append((*row, int(label)))
        if len(rows) == count:
            return rows


def write(folder):
    """Writes all five; gives each site's file, and the held-out one's."""
    random = numpy.random.default_rng(20_261)
    directions = random.standard_normal((4, len(FEATURES))) / numpy.sqrt(len(FEATURES))
    source = drawn(random, directions)
    files = {}
    for name, count, percent in [*((name, *how) for name, how in SITES.items()), HELD_OUT]:
        files[name] = folder / f"{name}.csv"
        with open(files[name], "w") as file:
            print(*FEATURES, LABEL, sep=",", file=file)
            for *row, label in chosen(source, count, percent):
                print(*(f"{value:.5f}" for value in row), label, sep=",", file=file)
    return files, files.pop(HELD_OUT[0])
