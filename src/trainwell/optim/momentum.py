"""Momentum as it was first written, with the rate inside the velocity.

Torch's SGD keeps b = mu · b + g and moves by −rate · b: the same at a constant rate. When the rate
falls, torch's old gradients count for less at once; here they keep the rate of their time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainwell.optim.foreach import ForeachOptimizer, Tensors


class ClassicMomentum(ForeachOptimizer):
    """v ← mu · v − rate · g;  w ← w + v  (Polyak 1964; Rumelhart, Hinton & Williams 1986).

    Args:
        params: Parameters or groups.
        lr: Learning rate, at least 0.
        momentum: mu, in [0, 1).
        weight_decay: Added to the gradient, times the weights.

    Raises:
        ValueError: A setting outside its range.
    """

    averages = ("velocity",)

    def __init__(
        self, params: Any, lr: float = 0.1, momentum: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        _require_momentum(momentum)
        super().__init__(params, lr, weight_decay, momentum=momentum)

    def update(
        self, group: dict[str, Any], parameters: Tensors, gradients: Tensors, *averages: Tensors
    ) -> None:
        """See the class."""
        (velocities,) = averages
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, gradients, alpha=-group["lr"])
        torch._foreach_add_(parameters, velocities)


class LookaheadNesterov(ForeachOptimizer):
    """v ← mu · v − rate · g(w + mu · v);  w ← w + v  (Nesterov 1983; Sutskever et al. 2013).

    The parameters hold the look-ahead points w + mu · v, where the gradient is asked for; so a step
    costs one gradient, as any other's. `positions` gives w. At a constant rate the points are
    those of torch's Nesterov momentum, whose buffer is −v / rate (Bengio et al. 2013).

    Args:
        params: Parameters or groups.
        lr: Learning rate, at least 0.
        momentum: mu, in [0, 1).
        weight_decay: Added to the gradient, times the weights.

    Raises:
        ValueError: A setting outside its range.
    """

    averages = ("velocity",)

    def __init__(
        self, params: Any, lr: float = 0.1, momentum: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        _require_momentum(momentum)
        super().__init__(params, lr, weight_decay, momentum=momentum)

    def update(
        self, group: dict[str, Any], parameters: Tensors, gradients: Tensors, *averages: Tensors
    ) -> None:
        """See the class."""
        (velocities,) = averages
        momentum = group["momentum"]
        torch._foreach_add_(parameters, velocities, alpha=-momentum)
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, gradients, alpha=-group["lr"])
        torch._foreach_add_(parameters, velocities, alpha=1.0 + momentum)

    @torch.no_grad()
    def positions(self) -> list[Tensor]:
        """The w of every parameter, in the order of the groups."""
        return [
            p - group["momentum"] * self.state[p]["velocity"] if self.state[p] else p.clone()
            for group in self.param_groups
            for p in group["params"]
        ]


def _require_momentum(momentum: float) -> None:
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be at least 0 and below 1, not {momentum}")
