"""Targets as one class number, or as one row of numbers, for each example."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.checks.subject import Part, Subject


def class_numbers(subject: Subject, part: Part) -> Tensor | None:
    """Class numbers `(N,)` from 0; None where an example has not one class.

    Args:
        subject: Says what is predicted.
        part: Targets may be class numbers `(N,)` or `(N, 1)`, of two classes also 0 and 1 or −1 and
            1 as floats, or one probability for each class `(N, C)`.
    """
    if subject.task not in ("binary", "multiclass"):
        return None
    targets = part.targets
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.is_floating_point() and not bool(torch.isfinite(targets).all()):
        return None
    if targets.ndim == 2 and subject.task == "multiclass":
        # Whole numbers that do not sum to one are classes of the parts of an example.
        is_one = targets.is_floating_point() or bool((targets.sum(1) == 1).all())
        return targets.argmax(1) if is_one else None
    if targets.ndim != 1:
        return None
    if subject.task == "binary":
        values = targets.double()
        return (values > (values.min() + values.max()) / 2).long()
    numbers = targets.round().long() if targets.is_floating_point() else targets.long()
    return numbers if int(numbers.min()) >= 0 else None


def target_columns(subject: Subject, part: Part) -> Tensor | None:
    """Targets of a regression as `(N, K)` float64; None where there are none, or not finite."""
    if subject.task != "regression" or not part.targets.numel():
        return None
    values = part.targets.reshape(len(part.targets), -1).double()
    return values if bool(torch.isfinite(values).all()) else None


def name_class(subject: Subject, number: int) -> str:
    """The class's name, its number where it has none."""
    return subject.classes[number] if number < len(subject.classes) else str(number)


def name_column(subject: Subject, column: int) -> str:
    """The column's name, its number where it has none."""
    return subject.columns[column] if column < len(subject.columns) else f"column {column}"
