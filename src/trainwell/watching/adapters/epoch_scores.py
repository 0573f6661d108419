"""Losses and scores of an epoch, found under the names that trainers and people give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

NAMES = {
    "train_loss": ("train_loss", "train_loss_epoch", "train/loss", "loss"),
    "train_metric": ("train_acc", "train_accuracy", "train/acc", "train/accuracy"),
    "valid_loss": (
        "valid_loss",
        "val_loss",
        "validation_loss",
        "val/loss",
        "valid/loss",
        "eval_loss",
    ),
    "valid_metric": (
        "valid_acc",
        "valid_accuracy",
        "val_acc",
        "val_accuracy",
        "val/acc",
        "val/accuracy",
        "eval_accuracy",
    ),
}
"""For each argument of `Watcher.epoch`, the names under which it is looked for, in order."""


def pick_scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The arguments of `Watcher.epoch` that a trainer's metrics hold.

    Args:
        metrics: Numbers or tensors of one number, by name.
    """
    found: dict[str, float] = {}
    for argument, names in NAMES.items():
        value = next((metrics[name] for name in names if name in metrics), None)
        if (isinstance(value, Tensor) and value.numel() == 1) or isinstance(value, int | float):
            found[argument] = float(value)
    return found
