"""Extra work that leaves no trace: random generators as they were, and a copy of the model."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

MOST_PARAMETERS = 20_000_000
"""Larger models are not copied."""


@contextlib.contextmanager
def untouched_randomness() -> Iterator[None]:
    """Whatever is drawn inside, the global generators are afterwards as they were."""
    python, array = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)


def count_parameters(model: nn.Module) -> int:
    """Numbers in it; those that are only made by the first pass do not count yet."""
    made = (p for p in model.parameters() if not isinstance(p, nn.UninitializedParameter))
    return sum(p.numel() for p in made)


def copy_loss(loss_fn: Any) -> Any:
    """A copy of a loss that may learn or remember; None where it has none, as without a loss."""
    try:
        return copy.deepcopy(loss_fn)
    except Exception:  # what holds graphs, files or locks has no copy
        return None


def replicate(model: nn.Module) -> nn.Module | None:
    """A copy without the watcher's hooks; None for a model that is too large or has no copy."""
    if count_parameters(model) > MOST_PARAMETERS:
        return None
    try:
        return copy.deepcopy(model)
    except Exception:  # models that hold graphs, files or locks have no copy
        return None
