"""Whether a model in evaluation mode gives the same outputs twice, and sees only what it may."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainwell.tracing.tensors import first_tensor

ROWS = 64


@torch.no_grad()
def measure_variation(model: nn.Module, x: Tensor) -> float:
    """How much outputs differ between two passes of the same inputs, over their own deviation.

    Args:
        model: In evaluation mode.
        x: `(N, ...)`.

    Returns:
        0 for a model without chance; not-a-number where it does not take the inputs.
    """
    try:
        first, again = (first_tensor(model(x[:ROWS])) for _ in range(2))
    except Exception:  # examples that were kept need not be what the model takes
        return math.nan
    if first is None or again is None or first.shape != again.shape or len(first) < 2:
        return math.nan
    return _differ(first.float(), again.float())


@torch.no_grad()
def measure_foresight(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """How much outputs of a model of next symbols change with the very symbols they are to predict.

    Args:
        model: In evaluation mode.
        x: `(N, T)` or `(N, T, F)`.
        y: Of each position the next one's input, `(N, T)` or `(N, T, F)`; else nothing is measured.

    Returns:
        The change of all outputs but the last position's when the last input is exchanged with
        another sequence's, over their deviation. Not-a-number where it does not apply.
    """
    x, y = x[:ROWS], y[:ROWS]
    if not _is_next(x, y):
        return math.nan
    other = x.clone()
    other[:, -1] = x[:, -1].roll(1, 0)
    try:
        before, after = (first_tensor(model(values)) for values in (x, other))
    except Exception:
        return math.nan
    if before is None or after is None or before.ndim < 2:
        return math.nan
    length = x.shape[1]
    axis = next((k for k in range(before.ndim - 1, 0, -1) if before.shape[k] == length), None)
    if axis is None or list(before.shape).count(length) > 1:
        return math.nan
    earlier = slice(None), *[slice(None)] * (axis - 1), slice(0, length - 1)
    return _differ(before[earlier].float(), after[earlier].float())


def _is_next(x: Tensor, y: Tensor) -> bool:
    """Whether targets are the inputs of the following positions."""
    if x.ndim < 2 or x.shape[1] < 3 or len(x) < 8 or x.shape[:2] != y.shape[:2]:
        return False
    if x[0, 0].numel() != y[0, 0].numel():
        return False
    following, targets = x[:, 1:].flatten(2 if x.ndim > 2 else 1), y[:, :-1]
    same = (following.reshape(targets.shape) == targets).float().mean()
    varies = bool((x[:, -1] != x[:, -1].roll(1, 0)).any())
    return bool(same > 0.9) and varies


def _differ(a: Tensor, b: Tensor) -> float:
    size = float(a.std())
    return float((a - b).square().mean().sqrt()) / size if size > 0 else math.nan
