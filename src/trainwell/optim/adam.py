"""Adam without the correction of its first steps."""

from __future__ import annotations

from typing import Any

import torch

from trainwell.optim.foreach import ForeachOptimizer, Tensors


class UncorrectedAdam(ForeachOptimizer):
    """m ← b1·m + (1−b1)·g;  v ← b2·v + (1−b2)·g²;  w ← w − rate · m / (√v + epsilon).

    Adam (Kingma & Ba 2015) divides m by 1−b1ᵗ and v by 1−b2ᵗ, as both begin at zero. Without, the
    first steps are (1−b1)/√(1−b2) times as long: about 3 times at 0.9 and 0.999.

    Args:
        params: Parameters or groups.
        lr: Learning rate, at least 0.
        betas: b1 and b2, in [0, 1).
        eps: Added to the root, at least 0.
        weight_decay: Added to the gradient, times the weights.

    Raises:
        ValueError: A setting outside its range.
    """

    averages = ("mean", "mean_square")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not all(0 <= beta < 1 for beta in betas) or eps < 0:
            raise ValueError(f"betas must be in [0, 1) and eps at least 0, not {betas}, {eps}")
        super().__init__(params, lr, weight_decay, betas=betas, eps=eps)

    def update(
        self, group: dict[str, Any], parameters: Tensors, gradients: Tensors, *averages: Tensors
    ) -> None:
        """See the class."""
        means, squares = averages
        beta1, beta2 = group["betas"]
        torch._foreach_lerp_(means, gradients, 1.0 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1.0 - beta2)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_addcdiv_(parameters, means, roots, value=-group["lr"])
