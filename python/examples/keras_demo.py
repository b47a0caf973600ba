"""The demo's network in Keras: 30 features, 16 hidden units, Adam, whose state stays at the site."""

import keras
from consilium_trainer import run
from consilium_trainer.helpers import from_keras, into_keras, keep_keras_optimizer, kept_keras_optimizer


def network():
    layers = [keras.Input((30,)), keras.layers.Dense(16, "relu", kernel_initializer="he_normal"), keras.layers.Dense(1)]
    made = keras.Sequential(layers)
    made.compile(keras.optimizers.Adam(), keras.losses.BinaryCrossentropy(from_logits=True))
    return made


def predict(job):
    into_keras(net, job.model)
    return net.predict_on_batch(job.x)


def train(job):
    into_keras(net, job.model)
    kept_keras_optimizer(net, job.state / "adam.safetensors")
    net.optimizer.learning_rate = job.settings["learning_rate"]
    batches = job.batches()
    for step, rows in enumerate(batches):
        loss = net.train_on_batch(job.x[rows], job.y[rows, None])
        job.progress((step + 1) / len(batches))
    keep_keras_optimizer(net, job.state / "adam.safetensors")
    return from_keras(net), float(loss)


keras.utils.set_random_seed(1)
# once: what a new one compiles with its first batch takes longer than a round
net = network()
run(train, predict, lambda: from_keras(net))
