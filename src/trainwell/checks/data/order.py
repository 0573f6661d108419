"""The order of the examples: classes in runs make batches that tell of one class only."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainwell.checks.data.class_numbers import class_numbers, target_columns
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding

SURE = 6.0
"""Standard errors above which neighbours are alike by more than chance."""
LIKELY, FATAL = 0.1, 0.5
REFERENCE = "Wald & Wolfowitz (1940); Bottou (2012), Stochastic gradient descent tricks"


def check_order(subject: Subject) -> list[Verdict]:
    """Whether neighbours in the order of training have the same label more often than by chance."""
    numbers, columns = class_numbers(subject, subject.train), target_columns(subject, subject.train)
    if numbers is not None:
        likeness = likeness_of_neighbours(numbers)
    elif columns is not None:
        likeness = correlation_of_neighbours(columns[:, 0])
    else:
        return []
    error = 1 / math.sqrt(max(1, len(subject.train)))
    seen = f"neighbours alike {likeness:+.2f}" + (", shuffled" if subject.shuffles else "")
    expected = "shuffled, or about 0"
    is_ordered = likeness > max(LIKELY, SURE * error)
    if not is_ordered:
        return [Verdict("order", seen, expected)]
    finding = _told_apart(likeness, subject.batch_size)
    if subject.shuffles:
        return [Verdict("order", seen, expected)]
    return [Verdict("order", seen, expected, (finding,))]


def likeness_of_neighbours(numbers: Tensor) -> float:
    """How much more often neighbours are of one class than by chance: 0 none, 1 always.

    Args:
        numbers: Classes `(N,)` in the order of training.
    """
    if len(numbers) < 2:
        return 0.0
    shares = torch.bincount(numbers).double() / len(numbers)
    expected = float(shares.square().sum())
    same = float((numbers[1:] == numbers[:-1]).double().mean())
    return (same - expected) / (1 - expected) if expected < 1 else 0.0


def correlation_of_neighbours(values: Tensor) -> float:
    """The correlation of each value with the next; 0 of values that are all the same."""
    centred = values - values.mean()
    power = float(centred.square().sum())
    return float((centred[1:] * centred[:-1]).sum()) / power if power > 0 else 0.0


def _told_apart(likeness: float, batch_size: int) -> Finding:
    return Finding(
        "no_shuffle",
        "error" if likeness > FATAL else "warning",
        evidence={"likeness": likeness, "batch_size": float(batch_size)},
        cause=f"The examples come in the order in which they are held, and neighbours have the "
        f"same label more often than by chance ({likeness:.2f} of the way to always): a batch of "
        f"{batch_size} tells of few classes, and each undoes what the one before it taught.",
        remedy="Shuffle the training examples in every epoch (DataLoader(..., shuffle=True)).",
        reference=REFERENCE,
    )
