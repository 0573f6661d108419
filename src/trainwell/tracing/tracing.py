"""Runs a batch again and names where the first value that is not finite comes from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.tracing.gradients import trace_gradient
from trainwell.tracing.operations import OperationRecorder
from trainwell.tracing.origin import Origin
from trainwell.tracing.search import Search, name_batch, name_parameters
from trainwell.tracing.tensors import (
    count_rows,
    find_bad_rows,
    first_tensor,
    is_finite,
    iterate_tensors,
)

MOST_ALONE = 1024
"""Rows of a batch whose own losses are computed, to tell which of them is the cause."""


@dataclass(frozen=True)
class Pass:
    """A forward pass that can be repeated.

    Attributes:
        args: What the model is called with.
        kwargs: Likewise.
        targets: None where unknown.
        loss_fn: Called with outputs and targets; None where unknown.
        context: In which the pass runs, such as that of autocast.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    targets: Any = None
    loss_fn: Callable[..., Any] | None = None
    context: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext

    @property
    def inputs(self) -> tuple[Any, ...]:
        """All that the model is called with."""
        return (*self.args, *self.kwargs.values())

    def run(self, model: nn.Module) -> Any:
        """What the model gives."""
        return model(*self.args, **self.kwargs)

    def measure(self, outputs: Any) -> Tensor | None:
        """The loss of outputs; None where it is not known."""
        if self.loss_fn is None or self.targets is None:
            return None
        try:
            loss = self.loss_fn(outputs, self.targets)
        except (TypeError, AttributeError):  # of a model that gives more than the loss takes
            loss = self.loss_fn(first_tensor(outputs), self.targets)
        return loss.mean() if isinstance(loss, Tensor) and loss.ndim else loss


def trace(model: nn.Module, made: Pass) -> Origin | None:
    """The first operation, parameter or rows whose value is not finite; None: all are finite.

    Forward first; where that is finite, backward.

    Args:
        model: A copy: its gradients and buffers are changed.
        made: The pass to repeat.
    """
    found = Trace(model, made)
    return found.forward or found.trace_backward()


class Trace:
    """A pass that was repeated, and what was found in it.

    Args:
        model: A copy: its buffers are moved by the pass.
        made: The pass to repeat.

    Attributes:
        loss: Scalar, with its graph; None where it is not known.
        forward: The first operation, parameter or rows whose value is not finite; None: the loss
            is finite, or the outputs where the loss is not known.
    """

    def __init__(self, model: nn.Module, made: Pass) -> None:
        self._made, self._batch = made, count_rows(made.inputs)
        self._recorder = OperationRecorder(model)
        try:
            with made.context(), torch.enable_grad(), self._recorder:
                self._outputs = made.run(model)
                self.loss = made.measure(self._outputs)
        finally:
            self._recorder.release()
        with torch.no_grad():
            named = name_parameters(model) | name_batch(made.inputs, made.targets, self._batch)
            search = Search(self._recorder, named, self._batch)
            found = _look_forward(search, self._outputs, self.loss)
            self.forward = self._with_rows(found) if found is not None else None

    def trace_backward(self) -> Origin | None:
        """The first operation whose gradient is not finite; gradients of the model are left.

        That is as in PyTorch's anomaly mode, but Inf, from which NaN follows later, counts too.
        Without a known loss, a random combination of the outputs stands for it.
        """
        loss = self.loss
        if loss is None:
            with torch.enable_grad():
                loss = _combine(self._outputs)
        if loss is None or loss.grad_fn is None:
            return None
        return trace_gradient(loss, self._recorder.nodes, self._batch)

    def _with_rows(self, origin: Origin) -> Origin:
        """Where they are not known: those whose output or own loss is not finite."""
        if origin.rows or origin.kind not in ("operation", "parameter"):
            return origin
        if origin.place != "the loss":
            outputs = first_tensor(self._outputs)
            rows = find_bad_rows(outputs, self._batch) if outputs is not None else ()
            return replace(origin, rows=rows)
        if not 1 < self._batch <= MOST_ALONE:
            return origin
        alone = [
            _is_bad_alone(self._made, self._outputs, row, self._batch) for row in range(self._batch)
        ]
        if None in alone or all(alone):
            return origin
        return replace(origin, rows=tuple(row for row, bad in enumerate(alone) if bad))


def _look_forward(search: Search, outputs: Any, loss: Tensor | None) -> Origin | None:
    results = [loss] if loss is not None else list(iterate_tensors(outputs))
    for result in results:
        if not is_finite(result):
            return search.trace(result)
    return None


def _combine(outputs: Any) -> Tensor | None:
    """A sum of all outputs with random weights."""
    generator = torch.Generator().manual_seed(0)
    total: Tensor | None = None
    for tensor in iterate_tensors(outputs):
        if tensor.grad_fn is not None and tensor.is_floating_point():
            weights = torch.randn(tensor.shape, generator=generator).to(tensor.device)
            part = (tensor.float() * weights).sum()
            total = part if total is None else total + part
    return total


def _is_bad_alone(made: Pass, outputs: Any, row: int, batch: int) -> bool | None:
    """Whether the loss of one example is not finite; None where it cannot be told."""

    def cut(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[row : row + 1] if value.ndim and len(value) == batch else value
        if isinstance(value, tuple | list):
            return tuple(cut(part) for part in value)
        return value

    alone = replace(made, targets=cut(made.targets))
    try:
        with made.context():
            loss = alone.measure(cut(outputs))
    except Exception:  # a loss need not take one example
        return None
    return loss is not None and not is_finite(loss)
