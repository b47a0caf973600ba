"""One axis of a picture at another length, in other ways than the reader's."""
import numpy as np


def areas(a, axis, m):
    n = a.shape[axis]
    return np.stack([b.mean(axis) for b in np.split(np.repeat(a, m, axis), m, axis)], axis) if m < n else a


def between(a, axis, m):
    n = a.shape[axis]
    if m <= n:
        return a
    places = (np.arange(m) + 0.5) * n / m - 0.5
    return np.apply_along_axis(lambda v: np.interp(places, np.arange(n), v), axis, a)
