"""Sums of loss and score that stay on the device until somebody wants to see them."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.data.dataset import Task

FOLD = 8


class Totals:
    """Sums over examples since the last `clear`; adding never waits for the device.

    Args:
        task: Decides the score: a classification counts right answers.
        device: Where the sums are kept.
    """

    def __init__(self, task: Task, device: torch.device) -> None:
        self.counts_right = is_classification(task)
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.right = torch.zeros((), dtype=torch.int64, device=device)
        self.newest_loss = torch.zeros((), device=device)
        self.examples = 0
        self.not_counted: list[tuple[Tensor, Tensor]] = []

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Adds a batch.

        Args:
            loss: Mean over the batch, a scalar.
            outputs: `(N, outputs)`.
            targets: `(N, ...)`.
        """
        count = len(targets)
        self.newest_loss = loss
        self.loss.add_(loss, alpha=count)
        self.examples += count
        if self.counts_right:
            # Counting is exact in any grouping, and cheaper for several batches at once.
            self.not_counted.append((outputs, targets))
            if len(self.not_counted) == FOLD:
                self.fold()

    def fold(self) -> None:
        """Counts the right answers of the batches that were only kept so far."""
        if self.not_counted:
            outputs, targets = zip(*self.not_counted, strict=True)
            self.right.add_(count_right(torch.cat(outputs), torch.cat(targets)))
            self.not_counted = []

    def read(self, prefix: str) -> dict[str, float]:
        """Mean loss and, for a classification, accuracy; waits for the device."""
        self.fold()
        count = max(1, self.examples)
        means = {f"{prefix}_loss": self.loss.item() / count}
        if self.counts_right:
            means[f"{prefix}_accuracy"] = self.right.item() / count
        return means

    def move_to(self, other: Totals) -> None:
        """Adds these sums to others of the same kind, and starts again from zero."""
        self.fold()
        other.loss.add_(self.loss)
        other.right.add_(self.right)
        other.examples += self.examples
        self.clear()

    def clear(self) -> None:
        """Starts again from zero."""
        self.loss.zero_()
        self.right.zero_()
        self.examples = 0
        self.not_counted = []


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
