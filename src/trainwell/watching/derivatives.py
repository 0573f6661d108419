"""The derivative of a backward pass against a centred difference, along one direction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.tracing.tensors import first_tensor


def check_derivative(
    model: nn.Module, x: Tensor, y: Tensor, loss_fn: Callable[..., Any] | None
) -> tuple[float, float]:
    """Relative error of the derivative along a random direction of all weights, in float64.

    Args:
        model: Is made double, and drawn anew where its derivative is nothing or beyond all bounds.
        x: `(N, ...)`.
        y: `(N, ...)`.
        loss_fn: The loss of the training, if known.

    Returns:
        The error and the centred difference; not-a-number where the model cannot be derived.
    """
    error, numeric = _compare(model, x, y, loss_fn)
    if not 1e-10 < abs(numeric) < 1e6:
        _reset(model)
        error, numeric = _compare(model, x, y, loss_fn)
    return error, numeric


def _compare(
    model: nn.Module, x: Tensor, y: Tensor, loss_fn: Callable[..., Any] | None
) -> tuple[float, float]:
    """Once, with the weights as they are."""
    model = model.double()
    few = x[:16].double() if x.is_floating_point() else x[:16]
    generator = torch.Generator().manual_seed(0)
    weights = [p for p in model.parameters() if p.requires_grad]
    directions = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in weights]
    directions = [
        d.to(p.device) * (p.detach().norm() / (d.norm() + 1e-30) + 1e-3)
        for d, p in zip(directions, weights, strict=True)
    ]
    objective = _make_objective(model, few, y[:16], loss_fn, generator)
    try:
        value = objective()
        gradients = torch.autograd.grad(value, weights, allow_unused=True)
    except Exception:
        return math.nan, math.nan
    analytic = sum(
        float((g * d).sum()) for g, d in zip(gradients, directions, strict=True) if g is not None
    )
    errors: list[tuple[float, float]] = []
    for h in (1e-4, 1e-6):
        numeric = (
            _shifted(objective, weights, directions, h)
            - _shifted(objective, weights, directions, -h)
        ) / (2 * h)
        size = max(abs(numeric), abs(analytic))
        errors.append((abs(numeric - analytic) / size if size > 1e-10 else 0.0, numeric))
    return min(errors)


def _reset(model: nn.Module) -> None:
    """Draws the weights anew: where they are lost, no derivative says anything."""
    for module in model.modules():
        draw = getattr(module, "reset_parameters", None)
        if callable(draw):
            draw()


def _make_objective(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    loss_fn: Callable[..., Any] | None,
    generator: torch.Generator,
) -> Callable[[], Tensor]:
    """The loss if it is known and takes these targets, else a random combination of outputs."""
    if loss_fn is not None:
        targets = y.double() if y.is_floating_point() else y

        def loss() -> Tensor:
            return loss_fn(model(x), targets).mean()

        try:
            loss()
            return loss
        except Exception:
            pass
    outputs = first_tensor(model(x))
    assert outputs is not None
    weights = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
    weights = weights.to(outputs.device)

    def combine() -> Tensor:
        out = first_tensor(model(x))
        assert out is not None
        return (out * weights).sum()

    return combine


@torch.no_grad()
def _shifted(
    objective: Callable[[], Tensor], weights: list[Any], directions: list[Tensor], h: float
) -> float:
    kept = [p.detach().clone() for p in weights]
    for p, d in zip(weights, directions, strict=True):
        p.add_(d, alpha=h)
    value = float(objective())
    for p, old in zip(weights, kept, strict=True):
        p.copy_(old)
    return value
