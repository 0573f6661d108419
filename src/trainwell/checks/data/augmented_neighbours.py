"""What nearest neighbours say of plain and of augmented examples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

NEIGHBOURS = 5
NEAR, NEARER = 2.0, 0.7
"""Of the usual distance of nearest neighbours, and of that to the nearest of the own class."""


@dataclass(frozen=True)
class Neighbours:
    """Shares of the examples of each class, `(C,)` each.

    Attributes:
        counts: Examples looked up.
        plain: Plain examples rightly told among plain ones.
        misled: Plain examples rightly told among plain and augmented ones.
        augmented: Augmented examples rightly told among plain and augmented ones.
        taken: Augmented examples that look like plain ones of another class, beyond as many as
            plain ones do.
    """

    counts: Tensor
    plain: Tensor
    misled: Tensor
    augmented: Tensor
    taken: Tensor


def ask_neighbours(
    plain: Tensor, augmented: tuple[Tensor, Tensor], numbers: Tensor, generator: Generator
) -> Neighbours:
    """Looks one half of the examples up among the other and its augmented copies.

    Args:
        plain: `(N, ...)`, of at least one class.
        augmented: The same twice, augmented with different random numbers.
        numbers: Classes `(N,)`.
        generator: Of the halves.
    """
    numbers = numbers.unique(return_inverse=True)[1]
    known = torch.randperm(len(plain), generator=generator) % 2 == 0
    flat, first, second = (v.reshape(len(plain), -1).float() for v in (plain, *augmented))
    both, both_numbers = torch.cat([flat[known], first[known]]), numbers[known].repeat(2)
    asked = numbers[~known]
    return Neighbours(
        counts=torch.bincount(asked, minlength=int(numbers.max()) + 1),
        plain=_recall(_look_up(flat[~known], flat[known], numbers[known]), asked),
        misled=_recall(_look_up(flat[~known], both, both_numbers), asked),
        augmented=_recall(_look_up(second[~known], both, both_numbers), asked),
        taken=_taken(flat, first, numbers),
    )


def _look_up(asked: Tensor, known: Tensor, numbers: Tensor) -> Tensor:
    nearest = torch.cdist(asked, known).topk(NEIGHBOURS, largest=False).indices
    return functional.one_hot(numbers[nearest]).sum(1).argmax(1)


def _recall(said: Tensor, numbers: Tensor) -> Tensor:
    return _shares(said == numbers, numbers)


def _shares(true: Tensor, numbers: Tensor) -> Tensor:
    counts = torch.bincount(numbers).clamp(min=1)
    return torch.bincount(numbers, weights=true.double()) / counts


def _taken(plain: Tensor, augmented: Tensor, numbers: Tensor) -> Tensor:
    among = torch.cdist(plain, plain)
    usual = float(among.clone().fill_diagonal_(math.inf).amin(1).median())
    looks = [_looks_of_others(d, numbers, usual) for d in (torch.cdist(augmented, plain), among)]
    return _shares(looks[0], numbers) - _shares(looks[1], numbers)


def _looks_of_others(distances: Tensor, numbers: Tensor, usual: float) -> Tensor:
    """Whether a plain example of another class is as near as neighbours are, and none of its own.

    Its own plain form is left out.
    """
    alike = numbers.unsqueeze(1) == numbers
    others = distances.masked_fill(alike, math.inf).amin(1)
    own = distances.masked_fill(~alike, math.inf).fill_diagonal_(math.inf).amin(1)
    return (others < NEAR * usual) & (others < NEARER * own)
