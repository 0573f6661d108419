"""The Hopfield network (Hopfield 1982): remembers patterns and completes spoilt ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from trainwell.models.entry import Entry
from trainwell.models.madaline import sign
from trainwell.nn.losses import Loss
from trainwell.nn.objective import follow

SPOILT = 0.15
MOST_SWEEPS = 10


class Hopfield(nn.Module):
    """Units of ±1 with symmetric weights, W += s sᵀ / F for each pattern (Hebb's rule).

    Inputs count by their sign. The loss shown is the squared error of what is recalled from the
    inputs with 15 % of the units turned over, always the same ones. About 0.14 patterns for each
    unit can be kept.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: The number of values of one example; `(N, outputs)` of ±1 comes out.
        sweeps: Times that all units are updated, one after another, to recall.
    """

    def __init__(
        self, input_shape: tuple[int, ...], outputs: int, sweeps: int = MOST_SWEEPS
    ) -> None:
        super().__init__()
        size = math.prod(input_shape)
        self.sweeps = sweeps
        self.weight = nn.Parameter(torch.zeros(size, size))
        turned = torch.ones(size)
        turned[torch.randperm(size)[: round(SPOILT * size)]] = -1.0
        self.register_buffer("turned", turned)

    def forward(self, inputs: Tensor) -> Tensor:
        """What is recalled from inputs.

        Each unit sees what those before it have become: then the energy never rises, and states
        come to rest. All at once they can go round in a circle of two.
        """
        couplings = self.weight - torch.diag(self.weight.diagonal())
        return _recall(sign(inputs.flatten(1)), couplings, self.sweeps)

    def energy(self, inputs: Tensor) -> Tensor:
        """−½ s·W·s of each example's signs, `(N,)`: recalling never raises it."""
        state = sign(inputs.flatten(1))
        couplings = self.weight - torch.diag(self.weight.diagonal())
        return -0.5 * ((state @ couplings) * state).sum(1)

    def measure(self, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        state = sign(inputs.flatten(1))
        assert isinstance(self.turned, Tensor)
        with torch.no_grad():
            recalled = self(state * self.turned)
        shown = (recalled - state).square().mean()
        return recalled, follow(2 * self.energy(inputs).mean() / state.shape[1], shown)


@torch.no_grad()
def _update_all(state: Tensor, couplings: Tensor, sweeps: int) -> Tensor:
    by_unit = state.T.contiguous()
    for _ in range(sweeps):
        for unit, row in enumerate(couplings.unbind()):
            total = by_unit.T @ row
            # A unit that nothing drives keeps its state.
            by_unit[unit] = torch.where(total == 0, by_unit[unit], sign(total))
    return by_unit.T


# A graph of hundreds of updates takes minutes to compile and is no faster.
_recall = cast("Callable[[Tensor, Tensor, int], Tensor]", torch.compiler.disable(_update_all))


ENTRIES = {
    "hopfield": Entry(
        Hopfield,
        1982,
        "Hopfield",
        "Remembers patterns by Hebb's rule and completes them.",
        (1, 8, 8),
        64,
        recipe={
            "optimizer": "sgd",
            "learning_rate": 1.0,
            "momentum": 0.0,
            "weight_decay": 0.0,
            "schedule": "constant",
            "warmup": 0.0,
            "epochs": 1,
        },
        task="reconstruction",
        suits="patterns",
    )
}
