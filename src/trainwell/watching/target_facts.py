"""What targets say by themselves, and together with their inputs and neighbours."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from trainwell.data.copies import hash_rows

MOST_CLASSES = 256


def are_class_numbers(y: Tensor) -> bool:
    """Whether there is one class for each example, and not too many of them.

    Else they are classes of positions, several labels, or numbers of users or words.
    """
    if y.ndim > 1 and y.numel() > len(y):
        sums = y.float().flatten(1).sum(1)
        return y.ndim == 2 and bool(((sums - 1).abs() < 1e-3).all()) and y.shape[1] <= MOST_CLASSES
    # Classes may be −1 and 1; −100 is no class.
    return int(y.min()) >= -1 and int(y.max()) < MOST_CLASSES


def as_classes(y: Tensor) -> Tensor:
    """Class numbers `(N,)` of numbers or of one-hot rows."""
    y = y.reshape(len(y), -1)
    return y.argmax(1) if y.shape[1] > 1 else y[:, 0].round().long().clamp(min=0)


def one_hot(y: Tensor) -> Tensor:
    """Rows `(N, classes)` of class numbers `(N,)`."""
    return torch.nn.functional.one_hot(y).float()


def measure_commonest(y: Tensor) -> float:
    """Share of the commonest number of `(N, 1)`; 0 for several columns."""
    if y.shape[1] != 1:
        return 0.0
    return float(y.unique(return_counts=True)[1].max()) / len(y)


def measure_commonest_near(y: Tensor, near: Tensor) -> float:
    """How often the neighbours of examples with the commonest target have it too."""
    values, counts = y.unique(return_counts=True)
    has = y == values[counts.argmax()]
    return float(has[near[has]].float().mean())


def measure_agreeing(x: Tensor, y: Tensor) -> float:
    """Share of the inputs that come again whose targets come again with them."""
    if y.shape == x.shape or len(y.unique(dim=0)) < 20:
        return 0.0  # of a reconstruction, or of a handful of values
    _, groups, counts = hash_rows(x).unique(return_inverse=True, return_counts=True)
    both = hash_rows(torch.cat([x, y], 1)).unique(return_inverse=True, return_counts=True)
    again = counts[groups] > 1
    return float((both[2][both[1]] > 1)[again].float().mean()) if bool(again.any()) else 0.0


def measure_contradicted(x: Tensor, y: Tensor) -> float:
    """Share of the examples that another one of the same inputs and another class contradicts."""
    votes: dict[int, Counter[int]] = {}
    for key, label in zip(hash_rows(x).tolist(), y.tolist(), strict=True):
        votes.setdefault(key, Counter())[label] += 1
    return 1 - sum(max(counts.values()) for counts in votes.values()) / len(x)
