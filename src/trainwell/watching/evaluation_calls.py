"""What a model calls in evaluation mode although it belongs to training.

`functional.dropout(x)` drops by default, whatever the mode of the module that calls it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trainwell.tracing.calling_line import find_calling_line
from trainwell.watching.facts import BATCH_NORM

_DROPOUTS = (
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    functional.dropout3d,
    functional.alpha_dropout,
    functional.feature_alpha_dropout,
)
_ATTENTION = functional.scaled_dot_product_attention


@dataclass(frozen=True)
class EvaluationCalls:
    """What was seen in one pass in evaluation mode.

    Attributes:
        dropout: The largest probability of a function that dropped; 0 without.
        batch_statistics: Whether a function normalised with the statistics of what it got. Layers
            that are made so (`track_running_stats=False`) do not count.
        line: File and line of the user's code that made the first such call; empty where unknown.
    """

    dropout: float = 0.0
    batch_statistics: bool = False
    line: str = ""


NOTHING_HEARD = EvaluationCalls()


def listen_in_evaluation(model: nn.Module, inputs: Tensor) -> EvaluationCalls:
    """Sends inputs `(N, ...)` through a model that is in evaluation mode.

    Args:
        model: May be changed by the pass as any pass changes it.
        inputs: What it takes; a model that fails on them tells nothing.
    """
    listener = _Listener(model)
    try:
        with torch.no_grad(), contextlib.suppress(Exception), listener:
            model(inputs)
    finally:
        listener.release()
    return EvaluationCalls(listener.dropout, listener.batch_statistics, listener.line)


class _Listener(TorchFunctionMode):
    """Hears the functions that a model calls, and knows whether a layer of torch's calls them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.dropout, self.batch_statistics, self.line = 0.0, False, ""
        self._model = model
        self._inside = 0
        self._handles: list[Any] = []
        for module in model.modules():
            if isinstance(module, BATCH_NORM):
                self._handles += [
                    module.register_forward_pre_hook(self._enter),
                    module.register_forward_hook(self._leave, always_call=True),
                ]

    def release(self) -> None:
        """Takes the hooks away."""
        for handle in self._handles:
            handle.remove()

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        named = kwargs or {}
        if func in _DROPOUTS and _argument(args, named, 2, "training", True):
            self._hear_dropout(_argument(args, named, 1, "p", 0.5))
        elif func is _ATTENTION:
            self._hear_dropout(_argument(args, named, 4, "dropout_p", 0.0))
        elif func is functional.batch_norm and _argument(args, named, 5, "training", False):
            self._hear_batch_norm()
        return func(*args, **named)

    def _hear_dropout(self, probability: float) -> None:
        if 0 < probability < 1:
            self.line = self.line or find_calling_line(self._model)
            self.dropout = max(self.dropout, float(probability))

    def _hear_batch_norm(self) -> None:
        if not self._inside:
            self.line = self.line or find_calling_line(self._model)
            self.batch_statistics = True

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._inside += 1

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._inside -= 1


def _argument(
    args: tuple[Any, ...], named: Mapping[str, Any], place: int, name: str, default: Any
) -> Any:
    """An argument of a function, wherever it was given."""
    return named.get(name, args[place] if len(args) > place else default)
