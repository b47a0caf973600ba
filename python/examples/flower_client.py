"""A Flower NumPyClient, used as it is: logistic regression in numpy."""

import numpy as np
from consilium_trainer import run
from consilium_trainer.helpers import flower
from flwr.client import NumPyClient

INPUTS = 30


class Client(NumPyClient):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def fit(self, parameters, config):
        weight, bias = parameters
        for _ in range(int(config.get("steps", 20))):
            slope = (1 / (1 + np.exp(-(self.x @ weight + bias))) - self.y) / len(self.y)
            weight, bias = weight - config["learning_rate"] * self.x.T @ slope, bias - config["learning_rate"] * slope.sum()
        return [weight, bias], len(self.y), {}


def predict(job):
    return job.x @ job.model["weight"] + job.model["bias"]


def initial():
    return {"weight": np.zeros(INPUTS, np.float32), "bias": np.zeros(1, np.float32)}


run(flower(lambda job: Client(job.x, job.y), ["weight", "bias"]), predict, initial)
