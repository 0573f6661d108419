"""The self-organising map (Kohonen 1982)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainwell.models.entry import Entry
from trainwell.nn.losses import Loss
from trainwell.nn.objective import follow

LAST_RADIUS = 0.5


class SelfOrganisingMap(nn.Module):
    """Units on a grid, each with a prototype; the nearest and its neighbours move to the input.

    w_i += alpha · h(i, winner) · (x − w_i), with h a Gaussian of the distance on the grid whose
    radius shrinks. The outputs are the nearest prototypes, the loss shown their squared error.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: The number of values of one example; `(N, outputs)` comes out.
        rows: Of the grid.
        columns: Of the grid.
        shrink_steps: Updates in which the radius falls from half the grid to half a unit.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        rows: int = 8,
        columns: int = 8,
        shrink_steps: int = 500,
    ) -> None:
        super().__init__()
        self.first_radius = max(rows, columns) / 2
        self.shrink_steps = shrink_steps
        self.prototypes = nn.Parameter(0.1 * torch.randn(rows * columns, math.prod(input_shape)))
        places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
        self.register_buffer("distances", torch.cdist(places, places).square())
        self.register_buffer("updates", torch.zeros(()))

    def winners(self, inputs: Tensor) -> Tensor:
        """The unit nearest to each input, `(N,)`, counted along the rows of the grid."""
        return torch.cdist(inputs.flatten(1), self.prototypes).argmin(1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.prototypes[self.winners(inputs)]

    def measure(self, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        values = inputs.flatten(1)
        with torch.no_grad():
            winners = self.winners(inputs)
            nearest = self.prototypes[winners]
        shown = loss(nearest, targets)
        if not self.training:
            return nearest, shown
        with torch.no_grad():
            neighbourhood = self._neighbourhood(winners)
            self.updates += 1  # pyright: ignore[reportOperatorIssue, reportAttributeAccessIssue]
        squares = values.square().sum(1, keepdim=True) + self.prototypes.square().sum(1)
        squares = squares - 2 * values @ self.prototypes.T
        # A mean over the examples that move a unit, so that its step is a share of the way.
        shares = neighbourhood / neighbourhood.sum(0).clamp(min=1.0)
        return nearest, follow(0.5 * (shares * squares).sum(), shown)

    def _neighbourhood(self, winners: Tensor) -> Tensor:
        """H for each example and unit, `(N, units)`."""
        assert isinstance(self.distances, Tensor) and isinstance(self.updates, Tensor)
        share = (self.updates / self.shrink_steps).clamp(max=1.0)
        radius = self.first_radius * (LAST_RADIUS / self.first_radius) ** share
        return torch.exp(-self.distances[winners] / (2 * radius.square()))


ENTRIES = {
    "self_organising_map": Entry(
        SelfOrganisingMap,
        1982,
        "Kohonen",
        "Prototypes on a grid that keeps neighbours together.",
        (1, 8, 8),
        64,
        recipe={
            "optimizer": "sgd",
            "learning_rate": 0.5,
            "momentum": 0.0,
            "weight_decay": 0.0,
            "schedule": "linear",
        },
        task="reconstruction",
    )
}
