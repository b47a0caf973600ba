"""Logistic regression by scikit-learn's SGDClassifier."""

import numpy as np
from consilium_trainer import run
from consilium_trainer.helpers import from_sklearn, into_sklearn
from sklearn.linear_model import SGDClassifier

INPUTS = 30


def predict(job):
    return job.x @ job.model["coef"].T + job.model["intercept"]


def train(job):
    learner = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=job.settings["learning_rate"], alpha=1e-4)
    into_sklearn(learner, job.model)
    for rows in job.batches():
        learner.partial_fit(job.x[rows].astype(float), job.y[rows], classes=[0, 1])
    return from_sklearn(learner)


def initial():
    return {"coef": np.zeros((1, INPUTS), np.float32), "intercept": np.zeros(1, np.float32)}


run(train, predict, initial)
