"""Tensors of PyTorch modules, Keras models, scikit-learn's linear models and Flower clients, and back.

Nothing is imported here that is not used: each helper takes the object of its own library.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Mapping

import numpy as np

from . import Job
from .arrays import Arrays, read, write


def from_torch(module: Any) -> Arrays:
    """A module's state dict: parameters and buffers."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def into_torch(module: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts tensors into a module; all of its state dict must be there."""
    import torch

    # the module copies them; a tensor over what must not be written to would come with a warning
    own = {name: np.require(arrays[name], requirements="CW") for name in module.state_dict()}
    module.load_state_dict({name: torch.from_numpy(array) for name, array in own.items()})


def _keras_names(model: Any) -> list[str]:
    # Keras numbers what a layer gives no name throughout the process: the same network made once more has other names
    names = (re.sub(r"^variable_\d+$", "variable", weight.name) for weight in model.weights)
    return [f"{at:03}.{name.replace('/', '.')}" for at, name in enumerate(names)]


def from_keras(model: Any) -> Arrays:
    """The weights of a model of Keras 3, named by their place and name."""
    return dict(zip(_keras_names(model), (np.array(array) for array in model.get_weights())))


def into_keras(model: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts weights into a model."""
    model.set_weights([np.asarray(arrays[name]) for name in _keras_names(model)])


def keep_keras_optimizer(model: Any, path: str | Path) -> None:
    """Writes the state of a compiled model's optimizer (moments, steps so far, learning rate): into `job.state`, to go on from it."""
    write(path, {f"{at:03}": np.array(variable) for at, variable in enumerate(model.optimizer.variables)})


def kept_keras_optimizer(model: Any, path: str | Path) -> None:
    """Gives a compiled model's optimizer the state that `keep_keras_optimizer` wrote; where there is none, that of a new one."""
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    if Path(path).exists():
        state = [array for _, array in sorted(read(path).items())]
    else:
        new = type(optimizer).from_config(optimizer.get_config())
        new.build(model.trainable_variables)
        state = [np.array(variable) for variable in new.variables]
    if len(state) != len(optimizer.variables):
        raise ValueError(f"{path} holds {len(state)} arrays, and this optimizer has {len(optimizer.variables)}: it is another one's")
    for variable, array in zip(optimizer.variables, state):
        variable.assign(array)


def from_sklearn(estimator: Any) -> Arrays:
    """Coefficients of a fitted linear model: `coef` and `intercept`."""
    parts = {"coef": estimator.coef_, "intercept": estimator.intercept_}
    return {name: np.atleast_1d(np.asarray(part, dtype=np.float32)) for name, part in parts.items()}


def into_sklearn(estimator: Any, arrays: Mapping[str, np.ndarray], classes: int = 2) -> None:
    """Puts coefficients into a linear model, as if it had been fitted."""
    estimator.coef_ = np.asarray(arrays["coef"], dtype=np.float64)
    estimator.intercept_ = np.asarray(arrays["intercept"], dtype=np.float64)
    estimator.classes_ = np.arange(classes)
    estimator.n_features_in_ = estimator.coef_.shape[-1]


def flower(make: Callable[[Job], Any], names: list[str]) -> Callable[[Job], "Arrays | tuple[Arrays, float]"]:
    """`train` of a Flower `NumPyClient`, which `make` gives for a job; `names` are those of its parameters, in its order.

    The client's `fit` is told `round` and `seed` beside the study's settings; a metric `loss` that it gives is passed on.
    """

    def train(job: Job) -> "Arrays | tuple[Arrays, float]":
        config = {"round": job.round, "seed": job.seed, **job.settings}
        parameters, _, metrics = make(job).fit([job.model[name] for name in names], config)
        if len(parameters) != len(names):
            raise ValueError(f"the client gave {len(parameters)} parameters, and {len(names)} have names: {', '.join(names)}")
        arrays = dict(zip(names, parameters))
        return (arrays, float(metrics["loss"])) if "loss" in metrics else arrays

    return train
