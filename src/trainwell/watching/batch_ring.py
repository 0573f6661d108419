"""The last few batches by reference, to be run again when a loss is not finite."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainwell.tracing.tracing import Pass
from trainwell.watching.passes import Call

KEPT = 2
"""The batch whose loss is not finite, and the one whose update may have spoilt the weights."""


@dataclass(slots=True)
class SeenBatch:
    """A batch by reference.

    Attributes:
        step: In which it was used, from 0.
        call: What the model was called with.
        targets: None where unknown.
        versions: How often each of its tensors had been written to; of nested ones not.
    """

    step: int
    call: Call
    targets: Any
    versions: list[int]

    @property
    def is_unchanged(self) -> bool:
        """Whether no tensor was written to since, as a buffer that is used again is."""
        return self.versions == _read_versions(self.call, self.targets)

    def as_pass(self, loss_fn: Callable[..., Any] | None) -> Pass:
        """The pass, to be repeated."""
        return Pass(
            _detach(self.call.args),
            _detach(dict(self.call.kwargs)),
            _detach(self.targets),
            loss_fn,
            partial(_autocast, self.call.autocast),
        )


class BatchRing:
    """Keeps the last batches."""

    def __init__(self) -> None:
        self._kept: deque[SeenBatch] = deque(maxlen=KEPT)

    def keep(self, step: int, call: Call, inputs: Any, targets: Any) -> None:
        """Remembers a batch, from its hook or as it was told.

        Args:
            step: From 0.
            call: As the hook saw it; without arguments where it saw nothing.
            inputs: As told; None: not told.
            targets: Likewise.
        """
        if not call.args and not call.kwargs and inputs is not None:
            call = Call(inputs if isinstance(inputs, tuple) else (inputs,))
        self._kept.append(SeenBatch(step, call, targets, _read_versions(call, targets)))

    def newest_first(self) -> Iterator[SeenBatch]:
        """Those that are still as they were used."""
        return (batch for batch in reversed(self._kept) if batch.is_unchanged)


def _read_versions(call: Call, targets: Any) -> list[int]:
    # Not of what is nested: this runs on every step.
    everything = (*call.args, *call.kwargs.values(), targets)
    try:
        return [t._version for t in everything if isinstance(t, Tensor)]
    except RuntimeError:  # tensors of inference mode count no writes
        return []


def _detach(value: Any) -> Any:
    """The same without graphs, which belong to the training."""
    if isinstance(value, Tensor):
        return value.detach() if value.grad_fn is not None else value
    if type(value) in (tuple, list):
        return type(value)(_detach(part) for part in value)
    if type(value) is dict:
        return {name: _detach(part) for name, part in value.items()}
    return value


def _autocast(
    found: tuple[str, torch.dtype] | None,
) -> contextlib.AbstractContextManager[object]:
    return torch.autocast(*found) if found is not None else contextlib.nullcontext()
