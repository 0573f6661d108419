"""States of a model from before, to roll back to when a loss is not finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainwell.tracing.tensors import is_finite
from trainwell.watching.undisturbed import MOST_PARAMETERS, count_parameters

State = Mapping[str, Tensor]
FEW_PARAMETERS = 2_000_000
"""Larger models are copied ever more rarely."""


class Snapshots:
    """A small ring: states that were good, and the newest.

    Args:
        model: Is copied from, never changed.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._parameters = count_parameters(model)
        self._asked = 0
        self._kept: list[State] = []

    def take(self) -> None:
        """Keeps the state of now; of those since the last `approve`, only the newest.

        Of a large model only at the first, second, fourth, eighth time and so on; of one that is
        too large to be run again, never.
        """
        self._asked += 1
        is_turn = self._parameters <= FEW_PARAMETERS or self._asked.bit_count() == 1
        if is_turn and self._parameters <= MOST_PARAMETERS:
            state = {
                name: value.detach().clone()
                for name, value in self._model.state_dict().items()
                if isinstance(value, Tensor)
            }
            self._kept = [*self._kept[:2], state]

    def approve(self) -> None:
        """All losses so far were finite: older states are not needed."""
        self._kept = self._kept[-2:]

    @torch.no_grad()
    def newest_whole(self) -> State | None:
        """The newest state no more spoilt than the first one; None where none is kept.

        A model may hold −inf in a buffer, as a mask, or NaN in a table from elsewhere.
        """
        spoilt = [count_spoilt(state) for state in self._kept]
        good = [
            state for state, count in zip(self._kept, spoilt, strict=True) if count <= spoilt[0]
        ]
        return good[-1] if good else None


def count_spoilt(state: State) -> int:
    """Numbers in a state that are not finite."""
    return sum(
        0 if is_finite(values) else int((~torch.isfinite(values)).sum())
        for values in state.values()
    )
