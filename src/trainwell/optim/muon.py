"""Muon for matrices and AdamW for the rest, behind one optimiser."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of Jordan et al. (2024): five iterations bring singular values to between about 0.7 and 1.2."""
ITERATIONS = 5


class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal before they are applied (Jordan et al. 2024).

    B ← mu · B + (1−mu) · G;  O = orthogonal((1−mu) · G + mu · B);
    W ← W − rate · (decay · W + 0.2 · √max(rows, columns) · O), for weights W of two or more
    dimensions. The factor gives updates the size of AdamW's (Liu et al. 2025), so one learning
    rate and decay suit both: biases and scales, which are no matrices, are given to AdamW. A
    convolution's weights are the matrix (outputs, inputs · height · width) that multiplies
    patches, as in Jordan's own CIFAR-10 training.

    Torch's own Muon goes from matrix to matrix, in bfloat16 everywhere and without convolutions.
    Here matrices of one shape are made orthogonal together, in the precision of the weights on
    processors, most of which have no bfloat16. AdamW is torch's; its states are this optimiser's.

    Args:
        params: Parameters or groups.
        lr: Learning rate.
        momentum: mu.
        weight_decay: Decoupled.
        betas: Of AdamW.
        eps: Of AdamW.

    Raises:
        ValueError: A setting outside its range.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, not {momentum}")
        if lr < 0 or weight_decay < 0:
            raise ValueError(f"lr and weight_decay must be at least 0, not {lr}, {weight_decay}")
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "betas": betas, "eps": eps})
        self._open_rest()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Also of `load_state_dict`, of copies and of pickles."""
        super().__setstate__(state)
        self._open_rest()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's optimisers take it."""
        super().add_param_group(param_group)
        if hasattr(self, "rest"):
            self._open_rest()

    def _open_rest(self) -> None:
        """An AdamW for each group that has more than matrices; its states are kept here."""
        self.rest = [_open_adamw(group) for group in self.param_groups]
        for adamw in filter(None, self.rest):
            for parameter in adamw.param_groups[0]["params"]:
                adamw.state[parameter] = self.state[parameter]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Makes one update.

        Args:
            closure: Computes loss and gradients first, where given.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group, adamw in zip(self.param_groups, self.rest, strict=True):
            self._update_matrices(group)
            if adamw is not None:
                adamw.param_groups[0].update(lr=group["lr"], weight_decay=group["weight_decay"])
                adamw.step()
        return loss

    def _update_matrices(self, group: dict[str, Any]) -> None:
        matrices = [p for p in group["params"] if p.ndim >= 2 and p.grad is not None]
        if not matrices:
            return
        gradients = [p.grad for p in matrices]
        averages = [self._average_of(p) for p in matrices]
        torch._foreach_lerp_(averages, gradients, 1.0 - group["momentum"])
        directions = torch._foreach_lerp(gradients, averages, group["momentum"])
        torch._foreach_mul_(matrices, 1.0 - group["lr"] * group["weight_decay"])
        for (rows, columns, _, _), places in _group_alike(matrices).items():
            stacked = torch.stack([directions[k].flatten(1) for k in places])
            chosen = [matrices[k] for k in places]
            updates = [
                update.view(parameter.shape)
                for update, parameter in zip(orthogonalise(stacked), chosen, strict=True)
            ]
            length = 0.2 * math.sqrt(max(rows, columns))
            torch._foreach_add_(chosen, updates, alpha=-group["lr"] * length)

    def _average_of(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        return state["momentum_buffer"]


def orthogonalise(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices, roughly: singular values of about 1, vectors as they are.

    A polynomial of the matrix, five times over (Newton and Schulz; Jordan et al. 2024).

    Args:
        matrices: `(N, rows, columns)`, contiguous.

    Returns:
        As many of the same shape and type, contiguous.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if is_tall else matrices
    # Squares of float16 overflow soon.
    exact = torch.promote_types(found.dtype, torch.float32)
    size = torch.linalg.vector_norm(found, dim=(1, 2), keepdim=True, dtype=exact)
    found = found / size.clamp(min=1e-7)
    if found.device.type != "cpu":
        found = found.bfloat16()
    for _ in range(ITERATIONS):
        squares = found @ found.mT
        powers = torch.baddbmm(squares, squares, squares, beta=b, alpha=c)
        found = torch.baddbmm(found, powers, found, beta=a)
    return (found.mT if is_tall else found).to(matrices.dtype).contiguous()


def _open_adamw(group: dict[str, Any]) -> AdamW | None:
    """AdamW over what is no matrix; None where everything is one."""
    others = [p for p in group["params"] if p.ndim < 2]
    if not others:
        return None
    settings = {name: group[name] for name in ("lr", "weight_decay", "betas", "eps")}
    return AdamW(others, foreach=True, **settings)


Kind = tuple[int, int, torch.device, torch.dtype]


def _group_alike(parameters: list[Tensor]) -> dict[Kind, list[int]]:
    """Places of the parameters by rows and columns of their matrices, device and type."""
    places: defaultdict[Kind, list[int]] = defaultdict(list)
    for place, parameter in enumerate(parameters):
        rows = parameter.shape[0]
        columns = parameter.numel() // max(rows, 1)
        places[rows, columns, parameter.device, parameter.dtype].append(place)
    return places
