"""Learning-rate schedules: the rate of a step as a share of the recipe's rate.

A schedule is a pure function of how far the training is, so it has no state to save and cannot be
stepped at the wrong unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """The same rate throughout."""
    return 1.0


def linear(progress: float) -> float:
    """Falls in a straight line to zero."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """Falls along half a cosine to zero (Loshchilov & Hutter 2017)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def step(progress: float) -> float:
    """Divided by ten at half and at three quarters of the training (He et al. 2015)."""
    return 0.1 ** ((progress >= 0.5) + (progress >= 0.75))


def exponential(progress: float) -> float:
    """a0 · e^(−kt), with k such that the rate ends a hundred times lower."""
    return math.exp(-math.log(100.0) * progress)


def inverse_time(progress: float) -> float:
    """a0 / (1 + kt), with k such that the rate ends a hundred times lower."""
    return 1.0 / (1.0 + 99.0 * progress)


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "step": step,
    "exponential": exponential,
    "inverse_time": inverse_time,
}


def rate_at(step: int, total_steps: int, schedule: Schedule, warmup: float) -> float:
    """The share of the recipe's rate with which update number `step` is made.

    Args:
        step: Updates made before this one, from 0.
        total_steps: Updates of the whole training.
        schedule: Of progress after the warm-up, from 0 to 1.
        warmup: Share of the training in which the rate rises linearly from near zero
            (Goyal et al. 2017), from 0 to 1.
    """
    warmup_steps = round(warmup * total_steps)
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return schedule((step - warmup_steps) / max(1, total_steps - warmup_steps))
