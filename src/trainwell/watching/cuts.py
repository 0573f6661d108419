"""States of recurrent cells that a forward pass cuts from their graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from trainwell.tracing.tensors import iterate_tensors

MOSTLY = 0.6
"""Share of a cell's steps; a state that is cut at each second one is meant to be."""


class Cuts:
    """Tensors that were cut from their graph in a pass, and the cells that took them for a state.

    Of anything else, such as a coordinate that is refined, the graph may go on by another way.
    """

    def __init__(self) -> None:
        self._open: dict[int, tuple[Tensor, str]] = {}
        self._fed: dict[str, int] = {}
        self._steps = 0

    def count(self) -> int:
        """How often a layer's values were cut before they became a state.

        Zero where most steps got a state with its graph, as where it is cut every few steps.
        """
        most = max(self._fed.values(), default=0)
        return most if most > MOSTLY * self._steps else 0

    def open(self, values: Tensor, layer: str) -> None:
        """They were cut off after a layer."""
        self._open[id(values)] = values, layer  # kept, so that no other tensor gets its number

    def follow(self, function: Any, args: Sequence[Any], result: Any) -> None:
        """A function was called."""
        if getattr(function, "__name__", "").endswith("_cell"):
            self._take_step(args)
        elif self._open and isinstance(result, Tensor) and not result.requires_grad:
            cut = self._find(args)
            if cut is not None and result.is_floating_point():
                self.open(result, cut)

    def _take_step(self, args: Sequence[Any]) -> None:
        self._steps += 1
        state = list(iterate_tensors(args[1])) if len(args) > 1 else []
        cut = self._find(state)
        if cut is not None and not any(tensor.requires_grad for tensor in state):
            self._fed[cut] = self._fed.get(cut, 0) + 1

    def _find(self, args: Sequence[Any]) -> str | None:
        """The layer after which one of them was cut."""
        known = (self._open.get(id(tensor)) for tensor in iterate_tensors(list(args)))
        return next((found[1] for found in known if found is not None), None)
