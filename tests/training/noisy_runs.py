"""A small training in a process of its own, which tests kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import torch

import trainwell as tw
from trainwell.training.checkpoint import list_checkpoints
from trainwell.training.journal import read_rows
from trainwell.training.retention import step_of
from trainwell.training.step import TrainingStep
from trainwell.training.storage import Disk

RECIPE = tw.Recipe(
    epochs=5,
    batch_size=50,
    accumulate=2,
    average=0.9,
    early_stop=4,
    clip_norm=5.0,
    window=4,
    checkpoint_every=3,
    seed=3,
)


class Noisy(torch.nn.Module):
    """Draws from every generator that a run owns, so that a state that is lost shows."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(2, 16)
        self.norm = torch.nn.BatchNorm1d(16)
        self.out = torch.nn.Linear(16, 3)
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(
                    torch.linspace(-0.5, 0.5 + number / 10, parameter.numel()).view_as(parameter)
                )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        import random

        import numpy

        hidden = torch.relu(self.norm(self.hidden(x)))
        hidden = torch.nn.functional.dropout(hidden, 0.2, self.training)
        if self.training:
            hidden = hidden * (1 + 0.01 * random.random() + 0.01 * numpy.random.rand())
        return self.out(hidden)


def train(folder: str) -> None:
    """Starts the training, or goes on with it, whichever the folder calls for."""
    torch.set_num_threads(1)
    if (Path(folder) / "run.json").exists():
        tw.resume(folder, model=Noisy())
    else:
        tw.fit(Noisy(), "blobs", RECIPE, out=folder)


def train_and_die(folder: str, operation: str, count: int) -> None:
    """Trains until it is killed in an operation of the disk in a checkpoint, or in an update.

    Args:
        folder: Of the run.
        operation: A method of `Disk`, or `"update"`.
        count: How many of them are begun; the last is not done.
    """
    home = TrainingStep if operation == "update" else Disk
    name = "_update" if operation == "update" else operation
    plain, done = getattr(home, name), []

    def deadly(self: Any, *rest: Any) -> Any:
        is_counted = operation == "update" or "checkpoints" in rest[0].parts
        done.extend([1] * is_counted)
        if len(done) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, *rest)

    setattr(home, name, deadly)
    train(folder)


def context() -> ForkServerContext:
    """Starts processes that have torch imported already."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["noisy_runs", "trainwell.api", "sklearn.datasets"])
    return found


def start(folder: Path) -> ForkServerProcess:
    """The training in a process of its own."""
    process = context().Process(target=train, args=(str(folder),))
    process.start()
    return process


def start_to_die(folder: Path, operation: str, count: int) -> ForkServerProcess:
    """The training in a process of its own that kills itself; see `train_and_die`."""
    process = context().Process(target=train_and_die, args=(str(folder), operation, count))
    process.start()
    return process


def newest_saved(folder: Path) -> int | None:
    """The step of the newest checkpoint of a run that can be resumed; None while there is none."""
    if not (folder / "run.json").exists():
        return None
    return step_of(list_checkpoints(folder / "checkpoints")[0])


def resumed_steps(folder: Path) -> list[int]:
    """The steps from which a run went on, in order."""
    if not (folder / "events.jsonl").exists():
        return []
    rows = [row.fields for row in read_rows(folder / "events.jsonl")[0]]
    return [row["step"] for row in rows if row["event"] == "resumed"]


def outcome(folder: Path) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """What must be equal to the bit: weights, metrics, and what the report shows."""
    run = tw.load_run(folder, model=Noisy())
    rows = [row.fields for row in read_rows(folder / "metrics.jsonl")[0]]
    return run.weights_sha256, rows, run.run_folder.read_json("evaluation.json")
