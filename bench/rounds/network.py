"""The study's network and its training in numpy, for NVIDIA FLARE's sites: 30 inputs, 16 hidden units with ReLU, one logit.

A model is one vector of 32-bit numbers: the hidden layer's weights [16, 30] and biases, then the output's weights and bias.
"""

import numpy

INPUTS, HIDDEN = 30, 16
SHAPES = [(HIDDEN, INPUTS), (HIDDEN,), (HIDDEN,), (1,)]
BATCH, RATE, VALIDATION = 32, 0.1, 0.2


def initial(seed):
    """He's normal distribution for the hidden weights, Glorot's for the output's, as the worker begins; biases are 0."""
    random = numpy.random.default_rng(seed)
    deviations = [(2 / INPUTS) ** 0.5, 0, (2 / (HIDDEN + 1)) ** 0.5, 0]
    parts = [deviation * random.standard_normal(shape).ravel() for deviation, shape in zip(deviations, SHAPES)]
    return numpy.concatenate(parts).astype(numpy.float32)


def parts(model):
    """Views of the four tensors."""
    ends = numpy.cumsum([int(numpy.prod(shape)) for shape in SHAPES])[:-1]
    return [part.reshape(shape) for part, shape in zip(numpy.split(model, ends), SHAPES)]


def read(file):
    """A table's features and labels."""
    table = numpy.loadtxt(file, delimiter=",", skiprows=1, dtype=numpy.float32)
    return table[:, :-1], table[:, -1]


def split(rows, labels):
    """(features, labels) to train on, and to validate on."""
    order = numpy.random.default_rng(0).permutation(len(labels))
    cut = round(VALIDATION * len(labels))
    return (rows[order[cut:]], labels[order[cut:]]), (rows[order[:cut]], labels[order[:cut]])


def forward(model, rows):
    """What the hidden layer gives, and the probability of the positive class."""
    weights, biases, out, bias = parts(model)
    hidden = numpy.maximum(rows @ weights.T + biases, 0)
    return hidden, 1 / (1 + numpy.exp(-(hidden @ out + bias)))


def epoch(model, rows, labels, seed):
    """A new model: one pass of plain SGD on the mean cross-entropy, in an order drawn from the seed."""
    model = numpy.array(model, numpy.float32)
    weights, biases, out, bias = parts(model)
    order = numpy.random.default_rng(seed).permutation(len(labels))
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        hidden, probability = forward(model, rows[batch])
        slope = (probability - labels[batch]) / len(batch)
        behind = slope[:, None] * out * (hidden > 0)
        out -= RATE * (hidden.T @ slope)
        bias -= RATE * slope.sum()
        weights -= RATE * (behind.T @ rows[batch])
        biases -= RATE * behind.sum(axis=0)
    return model


def accuracy(model, rows, labels):
    """The share of rows on whose label's side of .5 the probability lies."""
    return float(numpy.mean((forward(model, rows)[1] >= 0.5) == (labels == 1)))
