"""Stretches in the order of the examples in which labels do not belong to their inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

LAGS = (1, -1, 2, -2, 3, -3)
ORDERS = 40
"""Random orders to which the order found is compared."""
SHORTEST = 15


@dataclass(frozen=True)
class Stretch:
    """Neighbouring examples whose labels are not theirs.

    Attributes:
        first, last: Among the examples looked at.
        lag: How many examples further on the labels come from; 0: not known.
        agreement: Of a probe with the labels within.
        shifted_agreement: With the labels so much further on; where the lag is not known, with the
            labels outside.
    """

    first: int
    last: int
    lag: int
    agreement: float
    shifted_agreement: float


def find_shift(scores: Tensor, every: Tensor, rows: Tensor, is_classes: bool) -> Stretch | None:
    """A stretch in which a probe is right for the labels a little further on.

    Args:
        scores: `(N, K)` of the probe, of examples in their order.
        every: `(M, K)` labels of the whole split.
        rows: `(N,)` where the examples stand in it.
        is_classes: Whether columns are classes.
    """
    own = _agreement(scores, every[rows], is_classes)
    best: Stretch | None = None
    for lag in LAGS:
        inside = (rows + lag >= 0) & (rows + lag < len(every))
        other = torch.zeros_like(own)
        other[inside] = _agreement(scores, every[(rows + lag) % len(every)], is_classes)[inside]
        found = _heaviest(other - own)
        if found is None:
            continue
        part = slice(found[0], found[1] + 1)
        stretch = Stretch(*found, lag, float(own[part].mean()), float(other[part].mean()))
        # Within it the probe must be as right for the shifted labels as it is elsewhere.
        gain = stretch.shifted_agreement - stretch.agreement
        is_surer = best is None or gain > best.shifted_agreement - best.agreement
        if stretch.shifted_agreement > 0.7 * float(own.mean()) and gain > 0.2 and is_surer:
            best = stretch
    return best


def find_stretch(scores: Tensor, wanted: Tensor) -> Stretch | None:
    """A stretch in which a probe agrees with the labels no more than by chance.

    Args:
        scores, wanted: `(N, C)` of examples in their order.
    """
    own = _agreement(scores, wanted, is_classes=True)
    shares = wanted.mean(0)
    chance = float((shares * torch.bincount(scores.argmax(1), minlength=len(shares))).sum())
    chance /= len(own)
    # A class that is hard to tell is no stretch, where examples come in the order of classes.
    usual = ((own.unsqueeze(1) * wanted).sum(0) / wanted.sum(0).clamp(min=1))[wanted.argmax(1)]
    if float(own.mean()) < chance + 0.3:
        return None
    found = _heaviest((usual + chance) / 2 - own)
    if found is None or found[1] - found[0] < 2 * SHORTEST:
        return None
    inside = torch.zeros(len(own), dtype=torch.bool)
    inside[found[0] : found[1] + 1] = True
    agreement, elsewhere = float(own[inside].mean()), float(own[~inside].mean())
    if agreement > chance + 0.2 * (elsewhere - chance) or inside.all():
        return None
    return Stretch(*found, 0, agreement, elsewhere)


def _agreement(scores: Tensor, wanted: Tensor, is_classes: bool) -> Tensor:
    if is_classes:
        return (scores.argmax(1) == wanted.argmax(1)).float()
    centred = scores - scores.mean(0)
    # Its mean is the correlation, where numbers wanted are standardised.
    return (centred / centred.std(0).clamp(min=1e-12) * wanted).mean(1)


def _heaviest(steps: Tensor) -> tuple[int, int] | None:
    """The stretch with the largest sum, where no random order of the steps has one nearly as large.

    The largest sum is that of Bentley (1984), Programming pearls: algorithm design techniques.
    """
    weight, first, last = _largest_sum(steps)
    generator = Generator().manual_seed(0)
    by_chance = max(
        _largest_sum(steps[torch.randperm(len(steps), generator=generator)])[0]
        for _ in range(ORDERS)
    )
    if last - first + 1 < SHORTEST or weight < 1.5 * by_chance + 4:
        return None
    return first, last


def _largest_sum(steps: Tensor) -> tuple[float, int, int]:
    sums = torch.cat([torch.zeros(1, dtype=torch.float64), steps.double().cumsum(0)])
    lowest, starts = sums.cummin(0)
    gains = sums - lowest
    last = int(gains.argmax())
    return float(gains[last]), int(starts[last]), last - 1
