"""Logistic regression in numpy: a trainer to begin with."""

import numpy as np

from consilium_trainer import Arrays, Job, run

INPUTS, OUTPUTS = 30, 1


def initial() -> Arrays:
    """What the study begins with: `python3 trainer.py --initial FILE`."""
    return {"weight": np.zeros((OUTPUTS, INPUTS), np.float32), "bias": np.zeros(OUTPUTS, np.float32)}


def predict(job: Job) -> np.ndarray:
    """Logits, one an output and row."""
    return job.x @ job.model["weight"].T + job.model["bias"]


def train(job: Job) -> Arrays:
    """One round: gradient descent on the study's batches."""
    weight, bias = job.model["weight"], job.model["bias"]
    rate, batches = float(job.settings.get("learning_rate", 0.1)), job.batches()
    for step, rows in enumerate(batches):
        x, y = job.x[rows], job.y[rows].reshape(len(rows), -1)
        slope = (1 / (1 + np.exp(-(x @ weight.T + bias))) - y) / len(rows)
        weight -= rate * slope.T @ x
        bias -= rate * slope.sum(0)
        job.progress((step + 1) / len(batches))
    return {"weight": weight, "bias": bias}


if __name__ == "__main__":
    run(train, predict, initial)
