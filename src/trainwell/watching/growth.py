"""Whether weights and losses had grown before they overflowed: by how much, since when."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import torch
from torch import nn

CLEARLY = 30.0
"""Times the usual loss."""


@dataclass(frozen=True)
class Growth:
    """What grew.

    Attributes:
        since: Step after which every loss was above the usual ones.
        usual: Loss before.
        last: The last finite loss.
        parameter: That grew most; empty where none did.
        factor: By which.
    """

    since: int
    usual: float
    last: float
    parameter: str = ""
    factor: float = math.nan


def measure_growth(losses: Sequence[tuple[int, float]]) -> Growth | None:
    """The growth of a loss before it was not finite; None where it had not grown.

    Args:
        losses: `(step, loss)` in order.
    """
    finite = [(step, abs(loss)) for step, loss in losses if math.isfinite(loss)]
    if len(finite) < 2:
        return None
    usual = min(finite[0][1], median(loss for _, loss in finite))
    last = finite[-1][1]
    if not last > CLEARLY * max(usual, 1e-12):
        return None
    since = finite[0][0]
    for (_, loss), (following, _) in pairwise(finite):
        if loss <= 2 * usual:
            since = following
    return Growth(since, usual, last)


@torch.no_grad()
def find_grown_parameter(model: nn.Module, first: Mapping[str, float]) -> tuple[str, float]:
    """The parameter whose root mean square grew most, and by which factor; empty and 1 if none.

    Args:
        model: As it was before it broke.
        first: Root mean square of each parameter at the start.
    """
    grown = [("", 1.0)]
    for name, parameter in model.named_parameters():
        if parameter.numel() and first.get(name, 0.0) > 0:
            size = float(parameter.double().square().mean().sqrt())
            grown.append((name, size / first[name]))
    return max(grown, key=lambda item: item[1])
