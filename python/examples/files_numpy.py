"""Rows that are files: volumes as numpy saves them (.npy, values from 0 to 1). Logistic regression on each volume's histogram.

The study says `pictures = { column = "scan", kind = "files" }`, and a site `files = "FOLDER"` below [study.trainer] in sites.toml.
"""

import numpy as np
from consilium_trainer import run

BINS = 16
SEEN = {}


def histograms(files):
    for path in files:
        # each is read once while the trainer runs; the worker looks whether it is still the same file
        if path not in SEEN:
            counts, _ = np.histogram(np.load(path), BINS, (0, 1))
            SEEN[path] = counts / max(counts.sum(), 1)
    return np.array([SEEN[path] for path in files], np.float32).reshape(len(files), BINS)


def predict(job):
    return histograms(job.files) @ job.model["weight"].T + job.model["bias"]


def train(job):
    x, weight, bias = histograms(job.files), job.model["weight"], job.model["bias"]
    for rows in job.batches():
        off = 1 / (1 + np.exp(-(x[rows] @ weight[0] + bias))) - job.y[rows]
        weight -= job.settings["learning_rate"] * off @ x[rows] / len(rows)
        bias -= job.settings["learning_rate"] * off.mean()
    return {"weight": weight, "bias": bias}


run(train, predict, lambda: {"weight": np.zeros((1, BINS), np.float32), "bias": np.zeros(1, np.float32)})
