"""Tensors of PyTorch modules, Keras models, scikit-learn's linear models and Flower clients, and back.

Nothing is imported here that is not used: each helper takes the object of its own library.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping

import numpy as np

from . import Job
from .arrays import Arrays


def from_torch(module: Any) -> Arrays:
    """A module's state dict: parameters and buffers."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def into_torch(module: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts tensors into a module; all of its state dict must be there."""
    import torch

    module.load_state_dict({name: torch.from_numpy(np.array(arrays[name])) for name in module.state_dict()})


def _keras_names(model: Any) -> list[str]:
    return [f"{at:03}.{weight.name.replace('/', '.')}" for at, weight in enumerate(model.weights)]


def from_keras(model: Any) -> Arrays:
    """A model's weights, named by their place and name."""
    return dict(zip(_keras_names(model), (np.array(array) for array in model.get_weights())))


def into_keras(model: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts weights into a model."""
    model.set_weights([np.asarray(arrays[name]) for name in _keras_names(model)])


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
        arrays = dict(zip(names, parameters))
        return (arrays, float(metrics["loss"])) if "loss" in metrics else arrays

    return train
