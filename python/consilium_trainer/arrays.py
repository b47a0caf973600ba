"""Named arrays as safetensors files, and the roles they have in a study."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Mapping

import numpy as np
from safetensors.numpy import load_file, save_file

Arrays = dict[str, np.ndarray]


def read(path: str | Path) -> Arrays:
    """The arrays of a safetensors file, by name."""
    return load_file(str(path))


def write(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays, whole or not at all."""
    path = Path(path)
    unfinished = path.with_name(path.name + ".unfinished")
    # safetensors 0.8 would write a view's neighbours in memory in place of its numbers (findings/safetensors-other-cells.sh);
    # not `ascontiguousarray`, which gives a single number one dimension
    save_file({name: np.asarray(value, order="C") for name, value in arrays.items()}, str(unfinished))
    os.replace(unfinished, path)
