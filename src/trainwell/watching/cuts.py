"""Where tensors that a forward pass cuts from their graph go on to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from trainwell.tracing.tensors import iterate_tensors

MOSTLY = 0.6
_WHOLE_SEQUENCES = ("rnn_tanh", "rnn_relu", "lstm", "gru")


class Cuts:
    """Tensors that were cut from their graph in a pass, and where they went.

    What is added to a tensor with a graph, as a straight-through estimator is, cuts nothing off.
    """

    def __init__(self) -> None:
        self._open: dict[int, tuple[Tensor, str]] = {}
        self._fed: dict[tuple[str, Any], int] = {}
        self._called: dict[Any, int] = {}

    def count(self) -> int:
        """How often a layer's values were cut and went into weights as all that came before.

        Zero where most calls of the same function got values with their graph, as where a state is
        cut every few steps.
        """
        most = (n for (_, called), n in self._fed.items() if n > MOSTLY * self._called[called])
        return max(most, default=0)

    def open(self, values: Any, layer: str) -> None:
        """They were cut off after a layer."""
        self._open[id(values)] = values, layer  # kept, so that no other tensor gets its number

    def follow(self, function: Any, args: Sequence[Any], result: Any) -> None:
        """A function was called."""
        self._called[function] = self._called.get(function, 0) + 1
        if not self._open or not isinstance(result, Tensor) or not result.is_floating_point():
            return
        tensors = list(iterate_tensors(args))
        cut = next((self._open[id(t)] for t in tensors if id(t) in self._open), None)
        if cut is None:
            return
        name = getattr(function, "__name__", "")
        others = any(t.requires_grad and not t.is_leaf for t in tensors)
        if not result.requires_grad:
            self.open(result, cut[1])
        elif name in _WHOLE_SEQUENCES:
            return  # of many steps, between which states may be cut
        elif not others or name.endswith("_cell"):
            key = cut[1], function
            self._fed[key] = self._fed.get(key, 0) + 1
