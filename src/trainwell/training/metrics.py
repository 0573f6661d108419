"""Sums of loss and score that stay on the device until somebody wants to see them."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.data.dataset import Task


class Totals:
    """Sums over examples since the last `clear`; adding never waits for the device.

    Args:
        task: Decides the score: right answers of a classification, squared error otherwise.
        device: Where the sums are kept.
    """

    def __init__(self, task: Task, device: torch.device) -> None:
        self.task: Task = task
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)
        self.newest_loss = torch.zeros((), device=device)
        self.examples = 0

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Adds a batch.

        Args:
            loss: Mean over the batch, a scalar.
            outputs: `(N, outputs)`.
            targets: `(N, ...)`.
        """
        count = len(targets)
        self.newest_loss = loss
        self.sums[0].add_(loss, alpha=count)
        if is_classification(self.task):
            self.sums[1].add_(count_right(outputs, targets))
        self.examples += count

    def read(self, prefix: str) -> dict[str, float]:
        """Mean loss and, for a classification, accuracy; waits for the device."""
        loss, right = (self.sums / max(1, self.examples)).tolist()
        means = {f"{prefix}_loss": loss}
        if is_classification(self.task):
            means[f"{prefix}_accuracy"] = right
        return means

    def move_to(self, other: Totals) -> None:
        """Adds these sums to others of the same kind, and starts again from zero."""
        other.sums.add_(self.sums)
        other.examples += self.examples
        self.clear()

    def clear(self) -> None:
        """Starts again from zero."""
        self.sums.zero_()
        self.examples = 0


def is_classification(task: Task) -> bool:
    """Whether the task's targets are class numbers."""
    return task in ("multiclass", "binary")


def count_right(outputs: Tensor, targets: Tensor) -> Tensor:
    """How many of `(N, outputs)` logits name the class in `targets` `(N,)`; stays on the device."""
    return (predict_classes(outputs) == targets).sum()


def predict_classes(outputs: Tensor) -> Tensor:
    """Class numbers `(N,)` of logits `(N, classes)`, or of `(N, 1)` or `(N,)` for two classes."""
    if outputs.ndim == 1 or outputs.shape[1] == 1:
        return (outputs.reshape(-1) > 0).long()
    return outputs.argmax(1)
