"""Nearest examples, and what they say of an example's target (Cover & Hart 1967)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

NEIGHBOURS = 10
MOST_COLUMNS = 256
"""Of targets with several numbers; others are left out evenly."""
ENOUGH = 4 * NEIGHBOURS


@dataclass(frozen=True)
class Vote:
    """What the ten nearest other examples say.

    Attributes:
        first: Class of the nearest, `(N,)`.
        commonest: Commonest class of all ten, `(N,)`.
        agreeing: How many have that class, `(N,)`.
    """

    first: Tensor
    commonest: Tensor
    agreeing: Tensor


def find_nearest(x: Tensor, count: int = NEIGHBOURS) -> Tensor:
    """Rows of the nearest other examples, on features of equal scale; `(N, count)`."""
    return measure_nearest(x, count)[1]


def measure_nearest(x: Tensor, count: int, others: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distances to the nearest examples and their rows, both `(N, count)`.

    Args:
        x: `(N, F)`.
        count: How many are looked for.
        others: Examples for which they are; None: those of `x` themselves, which are not their
            own neighbours.
    """
    mean, std = x.mean(0), x.std(0, correction=0) + 1e-6
    scaled = (x - mean) / std
    if others is None:
        distances = torch.cdist(scaled, scaled)
        distances.fill_diagonal_(math.inf)
    else:
        distances = torch.cdist((others - mean) / std, scaled)
    found = distances.topk(count, largest=False)
    return found.values, found.indices


def vote(x: Tensor, y: Tensor, near: Tensor | None = None) -> Vote:
    """Asks the ten nearest examples of each.

    Args:
        x: `(N, F)`, N more than ten.
        y: Class numbers `(N,)`, none below 0.
        near: Their rows, where they are known.
    """
    classes = y[find_nearest(x) if near is None else near]
    votes = torch.nn.functional.one_hot(classes, int(y.max()) + 1).sum(1)
    agreeing, commonest = votes.max(1)
    return Vote(classes[:, 0], commonest, agreeing)


def explain(x: Tensor, y: Tensor, near: Tensor | None = None) -> float:
    """Share of the variance of targets `(N, K)` that the nearest ten explain.

    Not-a-number for fewer than forty examples.
    """
    if len(x) < ENOUGH:
        return math.nan
    y = y[:, :: -(-y.shape[1] // MOST_COLUMNS)]
    guess = y[find_nearest(x) if near is None else near].mean(1)
    # The mean of ten noisy neighbours adds a tenth of the noise's variance.
    residual = (y - guess).square().mean() / (1 + 1 / NEIGHBOURS)
    return float(1 - residual / (y.var(0, correction=0).mean() + 1e-12))


def explain_by_code(x: Tensor, y: Tensor, most: int = 64) -> float:
    """Share of the variance of targets `(N, K)` that the best column of codes explains.

    Codes are whole numbers, each of which comes four times or more. Corrected for their number
    (Olejnik & Algina 2003, epsilon squared); 0 where there is no such column.
    """
    y = y[:, :: -(-y.shape[1] // MOST_COLUMNS)]
    total = y.var(0, correction=1).sum()
    best = 0.0
    for column in x[:, :most].unbind(1):
        if not bool((column == column.round()).all()):
            continue
        _, group, counts = column.unique(return_inverse=True, return_counts=True)
        if not 2 <= len(counts) <= len(x) // 4:
            continue
        sums = torch.zeros(len(counts), y.shape[1]).index_add_(0, group, y)
        residual = (y - (sums / counts.unsqueeze(1))[group]).square().sum()
        within = residual / (len(x) - len(counts))
        best = max(best, float(1 - within / (total + 1e-12)))
    return best


def compare_spacing(x: Tensor, others: Tensor | None = None) -> float:
    """How much denser examples lie among their nearest than among those further away.

    In a cloud of any dimension d, the nearest of ten lies at 0.074 ** (1 / d) of the tenth's
    distance, and the tenth at a tenth ** (1 / d) of the hundredth's. The ratio of both exponents
    is about 1, and much more where examples come in families, as repeated records of one patient.

    Args:
        x: `(N, F)`.
        others: Examples whose neighbours among `x` are looked at; None: those of `x` itself.

    Returns:
        Not-a-number where there are too few examples, or copies.
    """
    if len(x) < 200:
        return math.nan
    distances = measure_nearest(x, 100, others)[0]
    inner = (distances[:, 0] / distances[:, 9].clamp(min=1e-12)).quantile(0.75)
    outer = (distances[:, 9] / distances[:, 99].clamp(min=1e-12)).median()
    if not 0 < inner < 1 or not 0 < outer < 1:
        return math.nan
    return math.log(float(inner)) / math.log(0.074) / (math.log(float(outer)) / math.log(0.1))
