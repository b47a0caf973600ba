"""The demo's network in Keras."""

import keras
from consilium_trainer import run
from consilium_trainer.helpers import from_keras, into_keras


def network(rate=0.01):
    layers = [keras.Input((30,)), keras.layers.Dense(16, "relu", kernel_initializer="he_normal"), keras.layers.Dense(1)]
    net = keras.Sequential(layers)
    net.compile(keras.optimizers.Adam(rate), keras.losses.BinaryCrossentropy(from_logits=True))
    return net


def predict(job):
    net = network()
    into_keras(net, job.model)
    return net.predict_on_batch(job.x)


def train(job):
    net = network(job.settings["learning_rate"])
    into_keras(net, job.model)
    batches = job.batches()
    for step, rows in enumerate(batches):
        loss = net.train_on_batch(job.x[rows], job.y[rows, None])
        job.progress((step + 1) / len(batches))
    return from_keras(net), float(loss)


keras.utils.set_random_seed(1)
run(train, predict, lambda: from_keras(network()))
