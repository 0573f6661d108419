"""What our first-order optimisers share: all parameters of a group in one call an operation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

Tensors = list[Tensor]


class ForeachOptimizer(Optimizer, ABC):
    """Updates each group of parameters as one list of tensors.

    Weight decay is added to the gradient: the derivative of half the decay times the squared
    weights.

    Args:
        params: Parameters or groups.
        lr: Learning rate, at least 0.
        weight_decay: At least 0.
        settings: Of the optimiser, for every group that has none of its own.

    Raises:
        ValueError: A negative rate or decay.
    """

    averages: ClassVar[tuple[str, ...]]
    """Names of the tensors that are kept for each parameter and begin at zero."""

    def __init__(self, params: Any, lr: float, weight_decay: float, **settings: Any) -> None:
        if lr < 0 or weight_decay < 0:
            raise ValueError(f"lr and weight_decay must be at least 0, not {lr}, {weight_decay}")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **settings})

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
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            gradients: Tensors = [p.grad for p in parameters]
            if group["weight_decay"]:
                decay = group["weight_decay"]
                gradients = list(torch._foreach_add(gradients, parameters, alpha=decay))
            self.update(group, parameters, gradients, *self._averages_of(parameters))
        return loss

    @abstractmethod
    def update(
        self, group: dict[str, Any], parameters: Tensors, gradients: Tensors, *averages: Tensors
    ) -> None:
        """Changes parameters and averages in place.

        Args:
            group: With the rate and the settings.
            parameters: Those that have a gradient.
            gradients: Weight decay is in them; must not be changed.
            averages: For each name in `averages` one tensor a parameter.
        """

    def _averages_of(self, parameters: Tensors) -> list[Tensors]:
        for parameter in parameters:
            if not self.state[parameter]:
                zeros = {name: torch.zeros_like(parameter) for name in self.averages}
                self.state[parameter] = zeros
        return [[self.state[p][name] for p in parameters] for name in self.averages]
