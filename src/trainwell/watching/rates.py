"""The learning rate of an optimiser, as its first group of parameters has it."""

from __future__ import annotations

import math
from typing import Any


def read_rate(optimizer: Any) -> float:
    """Of now; not-a-number where it has none."""
    return _read(optimizer, "lr")


def read_initial_rate(optimizer: Any) -> float:
    """What a scheduler started from; not-a-number without one."""
    return _read(optimizer, "initial_lr")


def read_top_rate(optimizer: Any) -> float:
    """What a one-cycle schedule is to rise to; not-a-number without one."""
    return _read(optimizer, "max_lr")


def _read(optimizer: Any, key: str) -> float:
    try:
        return float(optimizer.param_groups[0][key])
    except (AttributeError, KeyError, IndexError, TypeError):
        return math.nan


def has_one_schedule(optimizer: Any) -> bool:
    """Whether all groups have the same share of the rate that a scheduler started from."""
    groups = [g for g in getattr(optimizer, "param_groups", []) if g.get("initial_lr")]
    shares = {round(float(group["lr"]) / float(group["initial_lr"]), 9) for group in groups}
    return len(shares) <= 1
