"""Whether a model in evaluation mode gives the same outputs twice, and sees only what it may."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainwell.tracing.tensors import first_tensor

ROWS = 64


@torch.no_grad()
def measure_variation(model: nn.Module, x: Tensor) -> float:
    """How much outputs differ between two draws of torch's random numbers, over their deviation.

    Args:
        model: In evaluation mode. Seeds of torch are set: to be called where they are put back.
        x: `(N, ...)`.

    Returns:
        0 for a model without chance; not-a-number where it does not take the inputs, or gives
        others with the same random numbers, as one that remembers what it saw.
    """
    first, again, other = (_call(model, x[:ROWS], seed) for seed in (0, 0, 1))
    if first is None or again is None or other is None or first.shape != other.shape:
        return math.nan
    if first.ndim == 0 or len(first) < 2 or not torch.equal(first, again):
        return math.nan
    return _differ(first, other)


@torch.no_grad()
def measure_foresight(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """How much outputs of a model of next symbols change with the very symbols they are to predict.

    Args:
        model: In evaluation mode. Seeds of torch are set: to be called where they are put back.
        x: `(N, T)` or `(N, T, F)`.
        y: Of each position the next one's input, `(N, T)` or `(N, T, F)`; else nothing is measured.

    Returns:
        The change of all outputs but the last position's when the last input is exchanged with
        another sequence's, over their deviation. Not-a-number where it does not apply.
    """
    x, y = x[:ROWS], y[:ROWS].to(x.device)
    if not _is_next(x, y):
        return math.nan
    other = x.clone()
    other[:, -1] = x[:, -1].roll(1, 0)
    before, again, after = (_call(model, values, 0) for values in (x, x, other))
    if before is None or again is None or after is None or before.ndim < 2:
        return math.nan
    length, sizes = x.shape[1], list(before.shape[1:])
    if sizes.count(length) != 1 or not torch.equal(before, again):
        return math.nan
    axis = 1 + sizes.index(length)
    return _differ(*(out.narrow(axis, 0, length - 1) for out in (before, after)))


def _call(model: nn.Module, x: Tensor, seed: int) -> Tensor | None:
    """The first tensor that a model puts out; None where it does not take the inputs."""
    torch.manual_seed(seed)
    try:
        out = first_tensor(model(x))
    except Exception:  # examples that were kept need not be what the model takes
        return None
    return out.float() if out is not None else None


def _is_next(x: Tensor, y: Tensor) -> bool:
    """Whether targets are the inputs of the following positions, where those differ from theirs."""
    if x.ndim < 2 or x.shape[1] < 3 or len(x) < 8 or x.shape[:2] != y.shape[:2]:
        return False
    if x[0, 0].numel() != y[0, 0].numel():
        return False
    inputs, targets = (values.reshape(*values.shape[:2], -1) for values in (x, y))
    changes = (inputs[:, 1:] != inputs[:, :-1]).any(2)
    follows = (targets[:, :-1] == inputs[:, 1:]).all(2)
    if not changes.any():
        return False
    varies = bool((x[:, -1] != x[:, -1].roll(1, 0)).any())
    return float(follows[changes].float().mean()) > 0.9 and varies


def _differ(a: Tensor, b: Tensor) -> float:
    """Root mean square of the difference over the deviation, which rounding may leave at nought."""
    size = max(float(a.std()), 1e-3 * float(a.square().mean().sqrt()))
    return float((a - b).square().mean().sqrt()) / size if size > 0 else math.nan
