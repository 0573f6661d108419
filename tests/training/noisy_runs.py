"""A small training in a process of its own, which tests kill."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import torch

import trainwell as tw
from trainwell.training.journal import read_rows

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


def outcome(folder: Path) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """What must be equal to the bit: weights, metrics, and what the report shows."""
    run = tw.load_run(folder, model=Noisy())
    rows = [row.fields for row in read_rows(folder / "metrics.jsonl")[0]]
    return run.weights_sha256, rows, run.run_folder.read_json("evaluation.json")
