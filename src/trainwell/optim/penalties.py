"""What keeps weights small: penalties of the loss, and limits on the norms of units.

Only parameters with two or more dimensions are meant: those that multiply inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter


def multiplying(parameters: Iterable[Parameter]) -> list[Parameter]:
    """The parameters that multiply inputs: not biases, nor scales and shifts of normalisation."""
    return [p for p in parameters if p.ndim >= 2]


@dataclass(frozen=True)
class Penalty:
    """l1 · Σ|w| + l2 / 2 · Σw², added to the loss.

    Weight decay is something else where the optimiser scales gradients: AdamW shrinks the weights
    themselves (Loshchilov & Hutter 2019). With plain SGD, l2 and weight decay are the same.

    Attributes:
        weights: That are penalised.
        l1: Of magnitudes; makes weights zero.
        l2: Of squares; makes weights small.
    """

    weights: Sequence[Parameter]
    l1: float = 0.0
    l2: float = 0.0

    def add_gradients(self) -> None:
        """Adds the penalty's gradients, l1 · sign(w) + l2 · w, to those of the weights.

        By themselves instead of through the loss, which need not be summed over every weight for
        it, and once for any number of accumulated batches.
        """
        pairs = [(w.detach(), w.grad) for w in self.weights if w.grad is not None]
        held, gradients = [w for w, _ in pairs], [g for _, g in pairs]
        if self.l2:
            torch._foreach_add_(gradients, held, alpha=self.l2)
        if self.l1:
            torch._foreach_add_(gradients, torch._foreach_sign(held), alpha=self.l1)

    def value(self) -> Tensor:
        """The penalty itself, a scalar on the device."""
        held = [w.detach() for w in self.weights]
        sizes = torch.stack(torch._foreach_norm(held, 1)).sum()
        squares = torch.stack(torch._foreach_norm(held)).square().sum()
        return self.l1 * sizes + 0.5 * self.l2 * squares


@torch.no_grad()
def limit_norms(weights: Iterable[Parameter], most: float) -> None:
    """Scales the incoming weights of every unit down to a norm (Srivastava et al. 2014).

    Args:
        weights: `(out, ...)` each; every row is a unit's.
        most: The largest norm that is left.
    """
    for weight in weights:
        weight.copy_(torch.renorm(weight, 2, 0, most))
