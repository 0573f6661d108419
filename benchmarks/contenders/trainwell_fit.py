"""trainwell, with the settings of the hand-written loop and with its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import trainwell
from benchmarks.questions import Question
from benchmarks.turns import Turn
from trainwell import Recipe
from trainwell.training.observer import Progress

CHECKPOINT_SECONDS = 300.0
"""Ten times the default: the clock also runs while the other contenders have their turns."""


def train_like_the_loop(question: Question, turn: Turn) -> Tensor:
    recipe = Recipe(
        epochs=question.epochs,
        batch_size=question.batch_size,
        optimizer="sgd",
        learning_rate=question.learning_rate,
        momentum=question.momentum,
        weight_decay=0.0,
        schedule="constant",
        warmup=0.0,
        precision="float32",
        compile=False,
        augment=(),
        seed=question.seed,
        checkpoint_seconds=CHECKPOINT_SECONDS,
    )
    return fit(question, turn, recipe)


def train_by_default(question: Question, turn: Turn) -> Tensor:
    recipe = Recipe(
        epochs=question.epochs, seed=question.seed, checkpoint_seconds=CHECKPOINT_SECONDS
    )
    return fit(question, turn, recipe)


def train_compiled(question: Question, turn: Turn) -> Tensor:
    """As by default, and compiled: what the defaults do in a training of ten minutes or more."""
    recipe = Recipe(
        epochs=question.epochs,
        seed=question.seed,
        checkpoint_seconds=CHECKPOINT_SECONDS,
        compile=True,
    )
    return fit(question, turn, recipe)


def fit(question: Question, turn: Turn, recipe: Recipe) -> Tensor:
    """Trains into a run folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="trainwell-bench-") as folder:
        run = trainwell.fit(
            question.model,
            question.data,
            recipe,
            out=Path(folder) / "run",
            observers=[TurnTaker(turn)],
        )
        resolved = run.about["resolved"]
        turn.note = f"computed in {resolved['precision']}, {resolved['memory_format']}"
        turn.note += ", compiled" if resolved["compiled"] else ""
        inputs = question.data.split("test").inputs
        return torch.as_tensor(run.predict_outputs(inputs)).argmax(1)


class TurnTaker:
    """Tells a turn what trainwell tells its observers.

    Args:
        turn: Of this contender.
    """

    def __init__(self, turn: Turn) -> None:
        self.turn = turn

    def started(self, progress: Progress) -> None:
        self.turn.start()

    def stepped(self, reading: Mapping[str, Any]) -> None:
        self.turn.trained()

    def epoch_ended(self, reading: Mapping[str, Any]) -> None:
        self.turn.epoch_ended()

    def ended(self, reason: str) -> None:
        pass
