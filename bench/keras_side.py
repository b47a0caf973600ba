"""A network in Keras, its parameters in the engine's layout: weights [outputs, inputs], convolutions [out, in, kh, kw],
images as channels, height, width, and the tensors bias before weight in the order of the layers.

Inside, Keras keeps its own fastest layout on a CPU: channels last."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

PRECISION = {"f32": "float32", "f64": "float64"}


def make_optimizer(settings):
    ((kind, s),) = settings.items()
    if kind == "adam":
        if s.get("epsilon_form") != "keras":
            raise ValueError("Keras' Adam adds epsilon in its own form only")
        return keras.optimizers.Adam(s["learning_rate"], beta_1=s["beta1"], beta_2=s["beta2"], epsilon=s["epsilon"])
    if kind == "sgd":
        return keras.optimizers.SGD(s["learning_rate"], momentum=s["momentum"])
    raise ValueError(f"no optimizer {kind}")


def make_model(layers, shape, outputs):
    """The model, and for each layer with parameters how its kernel lies: None for plain, or the (channels, height, width)
    that were flattened just before a dense layer."""
    if len(shape) == 3:
        x = inputs = keras.Input((shape[1], shape[2], shape[0]))
    else:
        x = inputs = keras.Input(tuple(shape))
    flattened, kernels = None, []
    layers = [*layers, {"dense": {"units": outputs}}]
    for n, layer in enumerate(layers):
        kind, s = (layer, None) if isinstance(layer, str) else next(iter(layer.items()))
        following = layers[n + 1] if n + 1 < len(layers) else None
        activation = following.get("activation") if isinstance(following, dict) else None
        if kind == "dense":
            l2 = keras.regularizers.L2(s["l2"]) if s.get("l2") else None
            made = keras.layers.Dense(s["units"], activation=activation, kernel_regularizer=l2)
            kernels.append((made, flattened))
            flattened = None
        elif kind == "conv2d":
            l2 = keras.regularizers.L2(s["l2"]) if s.get("l2") else None
            kernel, stride, padding = s["kernel"], s.get("stride", 1), s.get("padding", 0)
            # With a stride "same" pads one side more than the other; then the padding is a layer of its own.
            same = stride == 1 and kernel % 2 == 1 and padding == kernel // 2
            if padding and not same:
                x = keras.layers.ZeroPadding2D(padding)(x)
            made = keras.layers.Conv2D(
                s["filters"],
                kernel,
                strides=stride,
                padding="same" if same else "valid",
                activation=activation,
                kernel_regularizer=l2,
            )
            kernels.append((made, None))
        elif kind == "activation":
            continue  # made together with the layer before it
        elif kind == "dropout":
            made = keras.layers.Dropout(s)
        elif kind == "max_pool":
            made = keras.layers.MaxPooling2D(s["size"], strides=s.get("stride", s["size"]))
        elif kind == "flatten":
            height, width, channels = x.shape[1:]
            flattened = (channels, height, width)
            made = keras.layers.Flatten()
        else:
            raise ValueError(f"no layer {kind} here")
        x = made(x)
    return keras.Model(inputs, x), kernels


def to_keras(tensor, flattened):
    """A weight tensor of the engine's layout as Keras' kernel."""
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    if flattened:
        return tensor.reshape(-1, *flattened).transpose(2, 3, 1, 0).reshape(-1, tensor.shape[0])
    return tensor.T


def from_keras(kernel, flattened):
    if kernel.ndim == 4:
        return kernel.transpose(3, 2, 0, 1)
    if flattened:
        channels, height, width = flattened
        return kernel.reshape(height, width, channels, -1).transpose(3, 2, 0, 1).reshape(kernel.shape[1], -1)
    return kernel.T


class Session:
    def __init__(self, layers, shape, outputs, optimizer, dtype="f32", xla=False):
        keras.backend.clear_session()
        keras.config.set_floatx(PRECISION[dtype])
        self.dtype, self.shape, self.outputs = np.dtype(PRECISION[dtype]), list(shape), outputs
        self.model, self.kernels = make_model(layers, shape, outputs)
        self.optimizer = make_optimizer(optimizer)
        self.optimizer.build(self.model.trainable_variables)
        self.learning_rate = next(iter(optimizer.values()))["learning_rate"]
        self.batches = {}

        self.tensors, offset = [], 0
        for n, (layer, flattened) in enumerate(self.kernels):
            weight = from_keras(np.broadcast_to(np.int8(0), layer.kernel.shape), flattened)
            for kind, tensor in (("bias", np.zeros(layer.bias.shape)), ("weight", weight)):
                self.tensors.append({"name": f"layer{n:02}.{kind}", "shape": list(tensor.shape), "offset": offset})
                offset += tensor.size
        self.parameters = offset

        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model, variables = self.model, self.model.trainable_variables

        def losses(x, y, training):
            data = loss(y, model(x, training=training))
            penalty = tf.add_n(model.losses) if model.losses else tf.zeros((), self.dtype)
            return data, penalty

        @tf.function(jit_compile=xla)
        def gradient(x, y, training):
            with tf.GradientTape() as tape:
                data, penalty = losses(x, y, training)
                total = data + penalty
            return data, penalty, tape.gradient(total, variables)

        @tf.function(jit_compile=xla)
        def step(x, y, training):
            with tf.GradientTape() as tape:
                data, penalty = losses(x, y, training)
                total = data + penalty
            self.optimizer.apply(tape.gradient(total, variables), variables)
            return data, penalty

        self._gradient, self._step = gradient, step

    # One flat array in the engine's layout, and the variables of Keras

    def _variables(self, what):
        """The variables that hold `what`, two for each layer: kernel and bias; and the factor between ours and theirs."""
        own = self.model.trainable_variables
        if what == "parameters":
            return own, 1.0
        if isinstance(self.optimizer, keras.optimizers.Adam):
            return (self.optimizer._momentums if what == "first" else self.optimizer._velocities), 1.0
        if what == "first":
            # Ours is v = m v + g, w -= lr v; Keras' is v = m v - lr g, w += v.
            return self.optimizer.momentums, -self.learning_rate
        raise ValueError(f"this optimizer has no {what}")

    def _flat(self, arrays, factor=1.0):
        at = {v.path: a for v, a in zip(self.model.trainable_variables, arrays)}
        flat = np.empty(self.parameters, self.dtype)
        offset = 0
        for layer, flattened in self.kernels:
            for tensor in (np.asarray(at[layer.bias.path]), from_keras(np.asarray(at[layer.kernel.path]), flattened)):
                flat[offset : offset + tensor.size] = tensor.ravel()
                offset += tensor.size
        return flat if factor == 1.0 else (flat / factor).astype(self.dtype)

    def get(self, what):
        variables, factor = self._variables(what)
        return self._flat([v.numpy() for v in variables], factor)

    def set(self, what, flat):
        variables, factor = self._variables(what)
        at = {v.path: s for v, s in zip(self.model.trainable_variables, variables)}
        if factor != 1.0:
            flat = (flat * factor).astype(self.dtype)
        offset = 0
        for layer, flattened in self.kernels:
            for kind in ("bias", "kernel"):
                variable = getattr(layer, kind)
                if kind == "bias":
                    size = int(np.prod(variable.shape))
                    tensor = flat[offset : offset + size]
                else:
                    shape = from_keras(np.broadcast_to(np.int8(0), variable.shape), flattened).shape
                    size = int(np.prod(shape))
                    tensor = to_keras(flat[offset : offset + size].reshape(shape), flattened)
                at[variable.path].assign(tensor)
                offset += size

    def set_steps(self, steps):
        self.optimizer.iterations.assign(steps)

    def seed(self, seed):
        """The dropout layers' streams."""
        for n, layer in enumerate(l for l in self.model.layers if isinstance(l, keras.layers.Dropout)):
            layer.seed_generator.state.assign([seed, n])

    # Data and computing

    def data(self, x, y):
        x = x.reshape(-1, *self.shape)
        if len(self.shape) == 3:
            x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        self.x, self.y, self.batches = x, y.reshape(-1, self.outputs), {}

    def _rows(self, rows):
        return tf.constant(self.x[rows]), tf.constant(self.y[rows])

    def gradient(self, rows, dropout=False):
        data, penalty, gradients = self._gradient(*self._rows(rows), dropout)
        return float(data), float(penalty), self._flat([g.numpy() for g in gradients])

    def step(self, rows, dropout=False):
        data, penalty = self._step(*self._rows(rows), dropout)
        return float(data), float(penalty)

    def logits(self, rows):
        return np.asarray(self.model(self._rows(rows)[0], training=False)).ravel()

    def prepare(self, batch):
        """The tensors of the batches, made before the clock runs: no input pipeline is timed."""
        if batch not in self.batches:
            count = len(self.x) // batch
            self.batches[batch] = (0, [self._rows(slice(i * batch, (i + 1) * batch)) for i in range(count)])

    def time(self, batch, steps, clock):
        self.prepare(batch)
        next_batch, made = self.batches[batch]
        seconds = []
        for _ in range(steps):
            x, y = made[next_batch]
            next_batch = (next_batch + 1) % len(made)
            start = clock()
            data, _ = self._step(x, y, True)
            data.numpy()
            seconds.append(clock() - start)
        self.batches[batch] = (next_batch, made)
        return seconds
