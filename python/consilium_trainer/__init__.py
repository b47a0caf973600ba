"""Runs a trainer of one's own for Consilium's worker: `run(train, predict)`.

The worker starts the program once for a study, writes a job into files, and names it in a line of standard input. This module
reads the files, calls `train` or `predict`, writes what they give, and answers in a line of standard output. Nothing but numpy
and safetensors is needed; see docs/external.md for the files themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Mapping

import numpy as np

from .arrays import Arrays, read, write

__all__ = ["Arrays", "Job", "Stopped", "run", "read", "write"]

VERSION = 1


class Stopped(SystemExit):
    """Raised where the worker has asked the program to end (SIGTERM): a chance to keep what is worth it."""


@dataclass
class Job:
    """One thing that is asked for."""

    kind: str
    """`train` or `predict`."""
    model: Arrays
    """All tensors: the merged ones, this site's own, and those that never change."""
    x: np.ndarray
    """Rows: float32, `[rows, *inputs]`. Read-only. Of rows that are files, `[rows, 0]`: see `files`."""
    y: np.ndarray
    """Labels: int64, `[rows]`, or `[rows, labels]` of several labels, -1 for one that is not known.
    In `predict`, none are to be looked at."""
    x_validation: np.ndarray
    """Rows to stop early by; none in `predict`."""
    y_validation: np.ndarray
    """Their labels."""
    round: int
    """Of the study, from 1; 0 in `predict`."""
    seed: int
    """Of this site and round: what chance is to follow from."""
    outputs: int
    """Logits of a row."""
    task: str
    """`binary`, `classes` or `labels`."""
    training: Mapping[str, Any]
    """The study's [training]: `epochs`, `batches`, `batch_size`, `optimizer` and so on."""
    settings: Mapping[str, Any]
    """The study's [model.external.settings]."""
    state: Path
    """A folder that stays from round to round."""
    files: list[Path] = field(default_factory=list)
    """The file that each row is, in a study whose rows are files (`kind = "files"`); else empty. To be read alone."""
    files_validation: list[Path] = field(default_factory=list)
    """Those of the rows to stop early by."""
    send: Callable[[dict[str, Any]], None] = field(repr=False, default=lambda said: None)

    def progress(self, share: float) -> None:
        """Tells the worker how much is done, from 0 to 1."""
        self.send({"progress": float(share)})

    def batches(self) -> list[np.ndarray]:
        """The rows of each of the round's steps: whole epochs in an order drawn from the seed, `batches` steps where the study says so."""
        size, rows = int(self.training["batch_size"]), len(self.x)
        steps, epochs = int(self.training.get("batches", 0)), int(self.training.get("epochs", 0))
        draw, parts = np.random.default_rng(self.seed), []
        while len(parts) < steps if steps else epochs > 0:
            order = draw.permutation(rows)
            parts += [order[at : at + size] for at in range(0, rows, size)]
            epochs -= 1
        return parts[:steps] if steps else parts


Train = Callable[[Job], "Arrays | tuple[Arrays, float]"]
Predict = Callable[[Job], np.ndarray]


def run(train: Train, predict: Predict, initial: Callable[[], Arrays] | None = None) -> None:
    """Serves the worker until it has no more jobs.

    `train` gives the tensors after a round's training (what it leaves out stays as it was), perhaps with the last epoch's mean
    loss; `predict` gives logits, `[rows, outputs]`, the same ones for the same rows and model. `initial` gives the tensors
    that a study begins with: `python3 trainer.py --initial FILE` writes them.
    """
    arguments = argparse.ArgumentParser(description="A trainer; started without arguments by Consilium's worker.")
    arguments.add_argument("--initial", metavar="FILE", help="write the file that a study begins with, and end")
    file = arguments.parse_args().initial
    if file is not None:
        if initial is None:
            raise SystemExit("this trainer gives no initial tensors: make the file as its author says")
        write(file, initial())
        return
    _Server(train, predict).serve()


class _Server:
    def __init__(self, train: Train, predict: Predict) -> None:
        self.train, self.predict = train, predict
        # what the program prints must not be taken for an answer
        self.answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self.rows: dict[str, Arrays] = {}
        self.frozen: Arrays | None = None
        self.model: tuple[str, Arrays] | None = None
        signal.signal(signal.SIGTERM, self.stop)

    @staticmethod
    def stop(*_: object) -> None:
        raise Stopped(0)

    def send(self, said: dict[str, Any]) -> None:
        self.answers.write(json.dumps(said, allow_nan=False) + "\n")
        self.answers.flush()

    def serve(self) -> None:
        self.send({"ready": VERSION})
        for line in sys.stdin:
            try:
                told = json.loads(Path(json.loads(line)["job"]).read_text())
                self.send({"done": self.work(told)})
            except MemoryError:
                traceback.print_exc()
                self.send({"failed": {"code": "memory", "why": "out of memory"}})
            except FloatingPointError as error:
                traceback.print_exc()
                self.send({"failed": {"code": "not_finite", "why": str(error)[:2000]}})
            except Exception as error:  # whatever a trainer may raise is told to the worker, and ends this job only
                traceback.print_exc()
                self.send({"failed": {"code": "internal", "why": str(error)[:2000]}})

    def load(self, path: str | None) -> tuple[np.ndarray, np.ndarray]:
        if path is None:
            return np.zeros((0, 1), np.float32), np.zeros(0, np.int64)
        if path not in self.rows:
            self.rows = {kept: rows for kept, rows in self.rows.items() if Path(kept).exists() and "once-" not in kept}
            rows = read(path)
            for array in rows.values():
                array.setflags(write=False)
            self.rows[path] = rows
        return self.rows[path]["x"], self.rows[path]["y"]

    @staticmethod
    def listed(told: Mapping[str, Any], side: str) -> list[Path]:
        """The files of a side's rows; none where rows are numbers."""
        path = told.get("files", {}).get(side)
        return [] if path is None else [Path(name) for name in json.loads(Path(path).read_text())]

    def work(self, told: Mapping[str, Any]) -> dict[str, Any]:
        if told["version"] != VERSION:
            raise ValueError(f"version {told['version']} of a job is unknown; this package knows {VERSION}")
        own = list(told["merged"]) + list(told["local"])
        if self.frozen is None:
            self.frozen = {name: array for name, array in read(told["initial"]).items() if name not in own}
            # one that was changed in place would be another in the next round, at this site alone
            for array in self.frozen.values():
                array.setflags(write=False)
        if self.model is None or self.model[0] != told["model_name"]:
            self.model = (told["model_name"], read(told["model"]))
        training = told["kind"] == "train"
        if training:
            # whatever becomes of it: what comes after a training is another model, or is read again
            (_, model), self.model = self.model, None
        else:
            model = {name: array.copy() for name, array in self.model[1].items()}
        x, y = self.load(told["rows"]["training" if training else "predict"])
        x_validation, y_validation = self.load(told["rows"].get("validation"))
        job = Job(
            kind=told["kind"], model={**self.frozen, **model}, x=x, y=y, x_validation=x_validation, y_validation=y_validation,
            round=told.get("round", 0), seed=told.get("seed", 0), outputs=told["outputs"], task=told["task"],
            training=told["training"], settings=told["settings"], state=Path(told["state"]), send=self.send,
            files=self.listed(told, "training" if training else "predict"), files_validation=self.listed(told, "validation"),
        )
        if not training:
            logits = np.asarray(self.predict(job), dtype=np.float32).reshape(len(x), told["outputs"])
            write(told["output"], {"logits": logits})
            return {}
        given = self.train(job)
        arrays, loss = given if isinstance(given, tuple) else (given, None)
        # else a misspelt name would look like a tensor that stays as it was
        unknown = sorted(set(arrays) - set(job.model))
        if unknown:
            raise ValueError(f"train gave {', '.join(unknown)}, which the model has not; it has {', '.join(sorted(job.model))}")
        merged = {name: np.asarray(arrays.get(name, job.model[name])) for name in own}
        update = {name: array.astype(job.model[name].dtype, copy=False) for name, array in merged.items()}
        write(told["output"], update)
        return {} if loss is None or not np.isfinite(loss) else {"loss": float(loss)}
