"""How a loss moves: where it began, where it is, and what of its movement is noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median


@dataclass(frozen=True)
class Trend:
    """A summary of a series of losses.

    Attributes:
        count: Of finite losses.
        broken: Whether a loss was not finite.
        start: Mean of the first few, or the very first if that is lower.
        last: Median of the last tenth.
        best: Lowest smoothed loss.
        best_at: Where that was, as a share of the series.
        worst: Highest loss after the first few.
        noise: Median absolute difference of neighbours.
        fall: Share of `start` that is gone at the end; negative when the loss rose.
        late_fall: (third quarter's mean − last quarter's mean) over `start`.
        steadiness: Of the differences between the means of twenty blocks, the share that is
            negative, from 0 to 1.
        level: `last` over the loss of the best constant prediction; not-a-number where unknown.
    """

    count: int = 0
    broken: bool = False
    start: float = math.nan
    last: float = math.nan
    best: float = math.nan
    best_at: float = 0.0
    worst: float = math.nan
    noise: float = math.nan
    fall: float = 0.0
    late_fall: float = 0.0
    steadiness: float = 0.0
    level: float = math.nan


def measure_trend(losses: Sequence[float], chance: float = math.nan) -> Trend:
    """Summarises a series.

    Args:
        losses: In order, of steps or of epochs.
        chance: Loss of the best constant prediction.
    """
    values = [loss for loss in losses if math.isfinite(loss)]
    broken = len(values) < len(losses)
    if not values:
        return Trend(broken=broken)
    count = len(values)
    few = max(1, min(3, count // 10))
    start = min(values[0], fmean(values[:few]))
    last = median(values[-max(1, count // 10) :])
    blocks = average_blocks(values, 20)
    lowest = min(range(len(blocks)), key=blocks.__getitem__)
    quarters = average_blocks(values, 4)
    scale = abs(start) or 1.0
    steps = [b - a for a, b in pairwise(blocks)]
    return Trend(
        count=count,
        broken=broken,
        start=start,
        last=last,
        best=blocks[lowest],
        best_at=(lowest + 1) / len(blocks),
        worst=max(values[few:], default=start),
        noise=median([abs(b - a) for a, b in pairwise(values)] or [0.0]),
        fall=(start - last) / scale,
        late_fall=(quarters[-2] - quarters[-1]) / scale if len(quarters) == 4 else 0.0,
        steadiness=sum(s < 0 for s in steps) / len(steps) if steps else 0.0,
        level=last / chance if chance > 0 else math.nan,
    )


def average_blocks(values: Sequence[float], blocks: int) -> list[float]:
    """Means of so many blocks of nearly equal length, fewer where there are fewer values."""
    blocks = max(1, min(blocks, len(values)))
    edges = [k * len(values) // blocks for k in range(blocks + 1)]
    return [fmean(values[a:b]) for a, b in pairwise(edges)]
