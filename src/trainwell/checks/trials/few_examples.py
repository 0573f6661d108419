"""A handful of training examples, and what losses of them mean."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from trainwell.checks.subject import Subject
from trainwell.data.dataset import Task

POOL = 256
"""Examples from which the few are chosen."""
FEWEST, MOST = 8, 20
ENOUGH = 0.05
"""Share of the loss of a constant output."""
SCORES = (1.0, 3.0, 10.0, 30.0, 100.0)
"""By how much the right class wins, of outputs that could hardly be better."""


@dataclass(frozen=True)
class FewExamples:
    """A handful of examples with different inputs.

    Attributes:
        inputs: `(n, ...)` as the model sees them.
        targets: `(n, ...)` as the loss sees them.
        contradictions: Share of the pool whose input also comes with another target.
    """

    inputs: Tensor
    targets: Tensor
    contradictions: float = 0.0

    def __len__(self) -> int:
        return len(self.inputs)

    def blanked(self) -> FewExamples:
        """The same without anything to see: every input is zero."""
        return replace(self, inputs=torch.zeros_like(self.inputs))

    def standardised(self) -> FewExamples:
        """The same with targets of mean 0 and deviation 1."""
        targets = self.targets.double()
        deviation = targets.std().clamp(min=1e-12)
        scaled = (targets - targets.mean()) / deviation
        return replace(self, targets=scaled.to(self.targets.dtype))


@dataclass(frozen=True)
class Levels:
    """Losses to compare with.

    Attributes:
        floor: With the right outputs: above zero where labels are smoothed.
        constant: With the best output that is the same for every example.
    """

    floor: float
    constant: float

    @property
    def enough(self) -> float:
        """The loss of a good fit, at which a training may end."""
        return self.floor + ENOUGH * (self.constant - self.floor)

    def share(self, loss: float) -> float:
        """How much of what a constant output leaves is left: 0 is a perfect fit, 1 is none."""
        return (loss - self.floor) / (self.constant - self.floor)


def choose_few(subject: Subject) -> FewExamples | None:
    """Two or more examples of each class, or 8 examples, all with different inputs.

    Returns:
        None where there are fewer than two different targets to be told apart.
    """
    inputs, targets = subject.batch(POOL, "tiny subset")
    flat = inputs.flatten(1) if inputs.ndim > 1 else inputs[:, None]
    _, groups = torch.unique(flat, dim=0, return_inverse=True)
    first = _first_of_each(groups)
    rows = _balance(targets, first, subject.task)
    few = FewExamples(inputs[rows], targets[rows], _contradictions(groups, targets, subject.task))
    return few if len(rows) > 1 and len(few.targets.unique(dim=0)) > 1 else None


def _first_of_each(groups: Tensor) -> list[int]:
    seen: dict[int, int] = {}
    for row, group in enumerate(groups.tolist()):
        seen.setdefault(group, row)
    return list(seen.values())


def _balance(targets: Tensor, rows: list[int], task: Task) -> list[int]:
    if task not in ("binary", "multiclass") or (targets.ndim > 1 and targets.shape[1] > 1):
        return rows[:FEWEST]
    labels = targets.flatten().tolist()
    by_class: dict[float, list[int]] = {}
    for row in rows:
        by_class.setdefault(labels[row], []).append(row)
    count = min(MOST, max(FEWEST, 2 * len(by_class)))
    each = max(1, count // len(by_class))
    return [row for members in by_class.values() for row in members[:each]][:MOST]


def _contradictions(groups: Tensor, targets: Tensor, task: Task) -> float:
    if task not in ("binary", "multiclass") or targets[0].numel() != 1:
        return 0.0
    labels: dict[int, set[float]] = {}
    for group, label in zip(groups.tolist(), targets.flatten().tolist(), strict=True):
        labels.setdefault(group, set()).add(label)
    return sum(len(labels[group]) > 1 for group in groups.tolist()) / len(groups)


def measure_levels(subject: Subject, few: FewExamples, outputs: Tensor) -> Levels | None:
    """The losses of the right and of a constant output.

    Args:
        subject: Its loss is asked, whether it takes scores, log-probabilities or probabilities.
        few: The examples.
        outputs: `(n, ...)` of the model: for their shape.

    Returns:
        None where the loss is not one whose levels can be told.
    """
    right = _right_outputs(subject.task, few.targets, outputs)
    floor = _lowest_loss(subject, right, few.targets)
    means = [values.mean(0, keepdim=True).expand_as(values) for values in right]
    if subject.task in ("binary", "multiclass"):
        shares = _shares(few.targets, outputs)
        means = [shares, shares.clamp(min=1e-6).log()]
        if width_of(outputs) == 1:
            means = [shares, torch.logit(shares, 1e-6)]
    constant = _lowest_loss(subject, means, few.targets)
    return Levels(floor, constant) if constant > floor and math.isfinite(constant) else None


def width_of(outputs: Tensor) -> int:
    """How many numbers a model puts out for one example."""
    return outputs[0].numel()


def _right_outputs(task: Task, targets: Tensor, outputs: Tensor) -> list[Tensor]:
    """Outputs that could hardly be better, as scores and as probabilities."""
    if task not in ("binary", "multiclass") or (targets.is_floating_point() and targets.ndim > 1):
        fitting = targets.numel() == outputs.numel()
        return [targets.reshape(outputs.shape).to(outputs.dtype)] if fitting else []
    if width_of(outputs) == 1:
        signs = (2 * targets.to(outputs.dtype) - 1).reshape(outputs.shape)
        return [form(k * signs) for k in SCORES for form in (torch.clone, torch.sigmoid)]
    wins = functional.one_hot(targets.flatten().long(), outputs.shape[1]).to(outputs.dtype)
    forms = (functional.log_softmax, functional.softmax)
    return [form(k * wins, dim=1) for k in SCORES for form in forms]


def _shares(targets: Tensor, outputs: Tensor) -> Tensor:
    """How often each class is there, for every example alike."""
    if width_of(outputs) == 1 or (targets.ndim > 1 and targets.shape[1] > 1):
        shares = targets.to(outputs.dtype).mean(0, keepdim=True)
        return shares.reshape(1, -1).expand(len(targets), -1).reshape(outputs.shape)
    wins = functional.one_hot(targets.flatten().long(), outputs.shape[1]).to(outputs.dtype)
    return wins.mean(0, keepdim=True).expand_as(outputs)


def _lowest_loss(subject: Subject, candidates: list[Tensor], targets: Tensor) -> float:
    """Of outputs of several forms; a loss takes one of them, and goes wrong on the others."""
    losses = [_try_loss(subject, outputs, targets) for outputs in candidates]
    return min((loss for loss in losses if loss >= -1e-6), default=math.nan)


def _try_loss(subject: Subject, outputs: Tensor, targets: Tensor) -> float:
    try:
        return float(subject.loss(outputs, targets))
    except (RuntimeError, ValueError, IndexError):
        return math.nan
