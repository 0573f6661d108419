"""Newton's method and BFGS with whole matrices, for small models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainwell.errors import ModelError
from trainwell.optim.line_search import backtrack, search_wolfe

MOST_PARAMETERS = 4096
"""A matrix of all pairs has 64 MiB in float32 then, and a factorisation takes about a second."""

ROWS_AT_ONCE = 64
ATTEMPTS = 60


class WholeMatrixOptimizer(Optimizer):
    """What both share: all parameters as one vector, and few enough of them.

    Args:
        params: Parameters, or one group of them.
        settings: Of the group.

    Raises:
        ModelError: More than `MOST_PARAMETERS` numbers.
        ValueError: Several groups, or a negative rate.
    """

    def __init__(self, params: Any, **settings: Any) -> None:
        super().__init__(params, settings)
        if len(self.param_groups) != 1:
            raise ValueError("all parameters must be in one group")
        if settings["lr"] < 0:
            raise ValueError(f"lr must be at least 0, not {settings['lr']}")
        self.parameters: list[Tensor] = self.param_groups[0]["params"]
        count = sum(p.numel() for p in self.parameters)
        if count > MOST_PARAMETERS:
            raise ModelError(
                f"the model has {count:,} parameters; a matrix of all their pairs is kept, so "
                f"{MOST_PARAMETERS:,} is the most",
                where=type(self).__name__,
                remedy="Use lbfgs, which keeps a few vectors instead",
            )

    def _read(self) -> Tensor:
        """All weights, a copy `(P,)`."""
        return _flatten(self.parameters)

    def _write(self, weights: Tensor) -> None:
        """Sets all weights from `(P,)`."""
        sizes = [p.numel() for p in self.parameters]
        parts = zip(weights.split(sizes), self.parameters, strict=True)
        torch._foreach_copy_(self.parameters, [part.view_as(p) for part, p in parts])


class Newton(WholeMatrixOptimizer):
    """w ← w − t · (H + λI)⁻¹ · g, with the Hessian H of the loss.

    λ is the damping (Levenberg 1944); where H + λI is not positive definite, λ is raised until it
    is (Nocedal & Wright 2006, algorithm 3.3). t begins at the learning rate and is halved until the
    loss falls enough, so far from a minimum too no step makes it rise. It keeps no state.

    Args:
        params: Parameters, or one group of them, of at most `MOST_PARAMETERS` numbers.
        lr: The step that is tried first; 1 is Newton's.
        damping: λ, at least 0. Above 0 it keeps still what the loss does not depend on, such as a
            number added to all outputs before a softmax.

    Raises:
        ModelError: Too many parameters.
        ValueError: A setting outside its range.
    """

    def __init__(self, params: Any, lr: float = 1.0, damping: float = 1e-4) -> None:
        if damping < 0:
            raise ValueError(f"damping must be at least 0, not {damping}")
        super().__init__(params, lr=lr, damping=damping)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # pyright: ignore
        """Makes one update.

        Args:
            closure: Gives the loss, a scalar, without calling `backward`: the gradient too is
                differentiated.

        Returns:
            The loss before the update.
        """
        with torch.enable_grad():
            loss = closure()
            gradient, hessian = _differentiate_twice(loss, self.parameters)
        group = self.param_groups[0]
        direction = newton_direction(hessian, gradient, group["damping"])
        slope, weights = float(gradient @ direction), self._read()

        def loss_at(length: float) -> float:
            self._write(weights + length * direction)
            return float(closure())

        if not backtrack(loss_at, float(loss), slope, group["lr"]):
            self._write(weights)
        return loss.detach()


def newton_direction(hessian: Tensor, gradient: Tensor, damping: float) -> Tensor:
    """−(H + λI)⁻¹ · g, with λ large enough that it points downhill.

    Args:
        hessian: Symmetric, `(P, P)`.
        gradient: `(P,)`.
        damping: The least λ.
    """
    identity = torch.eye(len(gradient), dtype=hessian.dtype, device=hessian.device)
    least = 1e-6 * float(hessian.diagonal().abs().max()) or 1e-6
    for _ in range(ATTEMPTS):
        factor, failed = torch.linalg.cholesky_ex(hessian + damping * identity)
        if not failed:
            return -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
        damping = max(10 * damping, least)
    return -gradient


def _differentiate_twice(loss: Tensor, parameters: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Gradient `(P,)` and symmetric Hessian `(P, P)`."""
    found = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
    gradient = _flatten(found)
    count = len(gradient)
    if not gradient.requires_grad:
        return gradient, gradient.new_zeros(count, count)
    rows = [
        _differentiate(gradient, parameters, basis)
        for basis in torch.eye(count, dtype=loss.dtype, device=loss.device).split(ROWS_AT_ONCE)
    ]
    hessian = torch.cat(rows)
    return gradient.detach(), (hessian + hessian.T) / 2


def _differentiate(gradient: Tensor, parameters: list[Tensor], basis: Tensor) -> Tensor:
    """Rows of the Hessian, `(R, P)`: one for each row of the basis `(R, P)`."""
    found = torch.autograd.grad(
        gradient, parameters, basis, retain_graph=True, is_grads_batched=True, allow_unused=True
    )
    rows = [
        basis.new_zeros(len(basis), p.numel()) if part is None else part.reshape(len(basis), -1)
        for part, p in zip(found, parameters, strict=True)
    ]
    return torch.cat(rows, 1)


class BFGS(WholeMatrixOptimizer):
    """w ← w − t · B · g, with an inverse Hessian B learnt from gradients.

    With the step s, the change of gradient y and r = 1/(s·y) it becomes
    B ← (I − r·s·yᵀ) · B · (I − r·y·sᵀ) + r·s·sᵀ (Broyden, Fletcher, Goldfarb, Shanno 1970),
    first from (s·y)/(y·y) · I (Nocedal & Wright 2006, equation 6.20). t fulfils Wolfe's conditions.
    Where no such t is found the weights stay, and B is forgotten.

    Args:
        params: Parameters, or one group of them, of at most `MOST_PARAMETERS` numbers.
        lr: The step that is tried first; 1 suits a quasi-Newton method.

    Raises:
        ModelError: Too many parameters.
        ValueError: A setting outside its range.
    """

    def __init__(self, params: Any, lr: float = 1.0) -> None:
        super().__init__(params, lr=lr)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # pyright: ignore
        """Makes one update.

        Args:
            closure: Clears the gradients, computes loss and gradients, and gives the loss.

        Returns:
            The loss before the update.
        """
        closure = torch.enable_grad()(closure)
        loss, weights = closure(), self._read()
        gradient, state = self._gradient(), self.state[self.parameters[0]]
        inverse = state.pop("inverse_hessian", None)
        direction = -gradient if inverse is None else -(inverse @ gradient)
        slope = float(gradient @ direction)
        if not slope < 0:
            return loss

        def at(length: float) -> tuple[float, float]:
            self._write(weights + length * direction)
            return float(closure()), float(self._gradient() @ direction)

        first = 1.0 if inverse is not None else min(1.0, 1.0 / float(gradient.abs().sum()))
        if search_wolfe(at, float(loss), slope, first * self.param_groups[0]["lr"]):
            step, change = self._read() - weights, self._gradient() - gradient
            state["inverse_hessian"] = update_inverse(inverse, step, change)
        else:
            self._write(weights)
        return loss

    def _gradient(self) -> Tensor:
        return _flatten(
            [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        )


def update_inverse(inverse: Tensor | None, step: Tensor, change: Tensor) -> Tensor:
    """The inverse Hessian of BFGS after one more step.

    Args:
        inverse: Before, `(P, P)`; None: a multiple of the identity.
        step: Of the weights, `(P,)`.
        change: Of the gradient, `(P,)`; its product with the step is above 0.
    """
    product = step @ change
    if inverse is None:
        inverse = torch.eye(len(step), dtype=step.dtype, device=step.device)
        inverse *= product / (change @ change)
    moved = inverse @ change
    cross = torch.outer(moved, step)
    growth = (product + change @ moved) / product**2
    return inverse + growth * torch.outer(step, step) - (cross + cross.T) / product


def _flatten(tensors: Any) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])
