"""Momentum that remembers too much."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import is_poor, skill
from trainwell.watching.trend import average_blocks


def find_high_momentum(history: History) -> Iterable[Finding]:
    """Each step sums up more gradients than the training can bear."""
    momentum = history.facts.momentum
    if momentum < 0.97:
        return
    trend = history.trend
    swings = _count_swings([loss for _, loss in history.losses])
    bad = history.diverged or is_poor(history) or trend.worst > 2 * max(trend.start, 1e-12)
    # Gradients of a fifth of the training or more are in each step.
    remembers = 1 / max(1 - momentum, 1e-6) > 0.2 * trend.count and skill(history) < 0.9
    bad = bad or (momentum >= 0.99 and remembers)
    if not (bad or swings >= 3):
        return
    if not bad and momentum < 0.99:
        return
    yield Finding(
        code="momentum_too_high",
        severity="error" if bad else "warning",
        step=history.step,
        evidence={"momentum": momentum, "loss_worst": trend.worst, "swings": swings},
        cause=f"A momentum of {momentum:g} sums up about {1 / max(1 - momentum, 1e-6):.0f} "
        f"gradients: the loss swings past its minimum (from {trend.start:.3g} to "
        f"{trend.last:.3g}, with peaks of {trend.worst:.3g}).",
        remedy="Use a momentum of 0.9, or divide the learning rate by ten.",
        reference="Sutskever et al. 2013",
    )


def _count_swings(losses: Sequence[float]) -> int:
    """How often the smoothed loss turns up again by a fifth or more."""
    blocks = average_blocks([x for x in losses if math.isfinite(x)] or [0.0], 40)
    swings, low, high, rising = 0, blocks[0], blocks[0], False
    for value in blocks[1:]:
        if rising:
            high = max(high, value)
            if value < 0.8 * high:
                rising, low = False, value
        else:
            low = min(low, value)
            if value > 1.2 * low:
                rising, high = True, value
                swings += 1
    return swings
