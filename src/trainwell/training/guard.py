"""Stops a training before an update is made from a loss or gradient that is not finite."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from trainwell.optim.optimizers import is_fused


class UpdateGuard:
    """Keeps every update after the first non-finite loss or gradient from being made.

    A fused optimiser is told on the device to skip the update, so nothing waits; the host learns
    of it when it next reads the flag, and all updates in between were skipped too. Other
    optimisers cannot skip on the device, so the flag is read in every step.

    Args:
        optimizer: Whose updates are guarded.
        device: Of its parameters.
    """

    def __init__(self, optimizer: Optimizer, device: torch.device) -> None:
        self.optimizer = optimizer
        self.skips_on_device = is_fused(optimizer)
        self.tripped = torch.zeros((), device=device)
        self.seen: list[Tensor] = []
        if self.skips_on_device:
            # Read by torch's fused optimisers: where it is one, nothing is changed.
            optimizer.found_inf = self.tripped  # pyright: ignore[reportAttributeAccessIssue]

    def inspect(self, loss: Tensor, gradient_norm: Tensor) -> None:
        """Looks at one step's loss and gradient norm; never waits for the device.

        Args:
            loss: Scalar.
            gradient_norm: Over all parameters, a scalar.
        """
        total = loss + gradient_norm
        self.seen.append(total)
        torch.maximum(self.tripped, torch.isfinite(total).logical_not_(), out=self.tripped)

    def may_update(self) -> bool:
        """Whether the optimiser may be called; reads the flag where it cannot skip by itself."""
        return self.skips_on_device or not bool(self.tripped)

    def find_step(self, last_step: int) -> int | None:
        """The first step since the last call whose update was not made, or None.

        Waits for the device.

        Args:
            last_step: The last step that was inspected.
        """
        seen, self.seen = self.seen, []
        if not bool(self.tripped):
            return None
        finite = torch.isfinite(torch.stack(seen)).tolist()
        return last_step - len(seen) + 1 + finite.index(False)


def total_norm(parameters: list[Parameter]) -> Tensor:
    """Euclidean norm of all gradients together, a scalar on the device."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
