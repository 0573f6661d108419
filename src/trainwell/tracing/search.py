"""Finds the origin among recorded operations: back from what is not finite to where it began."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainwell.tracing.operations import Operation, OperationRecorder
from trainwell.tracing.origin import Origin
from trainwell.tracing.tensors import find_bad_rows, has_nan, is_finite, iterate_tensors

_FILLS = frozenset((
    "masked_fill", "fill", "where", "full", "full_like", "new_full", "new_tensor", "tensor",
    "setitem", "masked_scatter", "index_fill", "triu", "tril",
))  # fmt: skip
"""What puts −inf somewhere on purpose."""
_CARRIES = frozenset((
    "add", "sub", "mul", "cat", "stack", "view", "reshape", "expand", "to", "float", "half",
    "transpose", "permute", "unsqueeze", "squeeze", "repeat", "getitem", "get",
    "contiguous", "clone", "detach", "minimum", "maximum", "clamp", "chunk", "split",
    "masked_fill", "where", "max", "amax", "topk", "sort", "log_softmax", "type_as",
    "flatten", "gather", "scatter",
))  # fmt: skip
"""What may pass a −inf on without it being a fault."""

_MEANT = Origin("operation", operation="mask")


class Search:
    """Walks back from one tensor.

    Args:
        recorder: Of the pass.
        named: By the identity of a tensor, what it is: `Origin` of the inputs, the targets or a
            parameter.
        batch: Examples in it.
    """

    def __init__(self, recorder: OperationRecorder, named: Mapping[int, Origin], batch: int):
        self._recorder, self._named, self._batch = recorder, named, batch
        self._known: dict[int, list[tuple[int, Origin]]] = {}

    def trace(self, bad: Tensor) -> Origin | None:
        """The earliest origin of what is not finite in a tensor; None where it is not known."""
        last = self._recorder.find_producer(bad)
        if last is None:
            return self._named.get(id(bad))
        roots = [root for root in self._roots(last) if root[1] is not _MEANT]
        if not roots:  # only what a mask put there, up to the very end
            return self._describe(last, meant=True)
        return min(roots, key=lambda root: root[0])[1]

    def _roots(self, start: Operation) -> list[tuple[int, Origin]]:
        """Number in the pass and origin of each; without recursion, as passes may be long."""
        waiting = [start]
        while waiting:
            operation = waiting[-1]
            missing = [o for o in operation.before if o.number not in self._known]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if operation.number not in self._known:
                self._known[operation.number] = self._judge(operation)
        return self._known[start.number]

    def _judge(self, operation: Operation) -> list[tuple[int, Origin]]:
        roots = [root for earlier in operation.before for root in self._known[earlier.number]]
        roots += [self._leaf(tensor) for tensor in operation.leaves]
        real = {root[0]: root for root in roots if root[1] is not _MEANT}
        if real:
            return list(real.values())
        here = (operation.number, self._describe(operation, meant=bool(roots)))
        if not roots:
            fills = operation.name in _FILLS and not operation.is_nan
            return [(operation.number, _MEANT)] if fills else [here]
        if operation.is_nan or operation.name not in _CARRIES:
            return [here]
        return [(operation.number, _MEANT)]

    def _leaf(self, tensor: Tensor) -> tuple[int, Origin]:
        """A mask may hold −inf; NaN is a mask's never."""
        known = self._named.get(id(tensor))
        is_mask = not has_nan(tensor) and not bool(torch.isposinf(tensor.detach()).any())
        if is_mask and (known is None or known.kind == "parameter"):
            return 0, _MEANT
        return 0, known or Origin("operation", operation="a constant", place="the model")

    def _describe(self, operation: Operation, meant: bool = False) -> Origin:
        result = operation.results[0]
        value, numbers = _values_at(operation, result)
        return Origin(
            "operation",
            operation=operation.name,
            place=operation.place,
            rows=self._rows(operation),
            arguments=numbers,
            value=value,
            line=operation.line,
            repeats=operation.repeats,
            overflows=not meant and _overflows(operation, value, numbers),
            meant=meant,
            half=result.dtype == torch.float16,
        )

    def _rows(self, operation: Operation) -> tuple[int, ...]:
        rows = find_bad_rows(operation.results[0], self._batch)
        same = [o for o in self._recorder.bad if o.key == operation.key]
        # Of a recurrence, one row may be only the first of all.
        is_first_of_all = not find_bad_rows(same[-1].results[0], self._batch)
        return () if len(same) > 1 and is_first_of_all else rows


_BY_ELEMENT = frozenset((
    "log", "log2", "log10", "log1p", "logit", "sqrt", "rsqrt", "exp", "exp2", "expm1",
    "pow", "square", "div", "reciprocal", "add", "sub", "mul", "acos", "asin", "atan2",
    "hypot", "atanh", "acosh", "sinh", "cosh", "tan", "lgamma",
))  # fmt: skip
"""Whose result at one place is made of the arguments at that place."""
_POLES = frozenset((
    "log", "log2", "log10", "log1p", "logit", "rsqrt", "atanh",
))  # fmt: skip
"""Infinite at a finite number, and nowhere else."""


def _values_at(operation: Operation, result: Tensor) -> tuple[float, tuple[float, ...]]:
    """The first bad number, and the numbers that it was made of where they are known."""
    flat = result.detach().reshape(-1)
    place = int((~torch.isfinite(flat)).nonzero()[0])
    value = float(flat[place])
    if operation.name not in _BY_ELEMENT:
        return value, ()
    numbers: list[float] = []
    for given in operation.arguments:
        if isinstance(given, Tensor) and given.is_floating_point():
            spread = torch.broadcast_to(given.detach(), result.shape)
            numbers.append(float(spread.reshape(-1)[place]))
        elif isinstance(given, int | float) and not isinstance(given, bool):
            numbers.append(float(given))
    return value, tuple(numbers[:2])


def _overflows(operation: Operation, value: float, numbers: tuple[float, ...]) -> bool:
    """Whether it was too large a number that gave this, not a pole of the function."""
    name = operation.name
    if name in _POLES or (name in ("div", "reciprocal", "pow") and 0.0 in numbers):
        return False
    return math.isinf(value) or _is_huge(operation)


def _is_huge(operation: Operation) -> bool:
    """Whether an argument is so large that its square is infinite: Inf less Inf gives NaN."""
    limit = math.sqrt(torch.finfo(operation.results[0].dtype).max)
    given = [t for t in iterate_tensors(operation.arguments) if t.is_floating_point() and t.numel()]
    return any(float(t.detach().abs().max()) > limit for t in given)


def name_batch(inputs: Any, targets: Any, batch: int) -> dict[int, Origin]:
    """What the tensors of a batch are; those that were computed with gradients are no data."""
    named: dict[int, Origin] = {}
    for kind, value in (("inputs", inputs), ("targets", targets)):
        for tensor in iterate_tensors(value):
            if tensor.grad_fn is None and not is_finite(tensor):
                rows = find_bad_rows(tensor, batch)
                named[id(tensor)] = Origin(kind, rows=rows)  # pyright: ignore[reportArgumentType]
    return named


def name_parameters(model: torch.nn.Module) -> dict[int, Origin]:
    """What the parameters and buffers of a model are, of those that are not finite."""
    state = [*model.named_parameters(), *model.named_buffers()]
    return {
        id(tensor): Origin("parameter", place=name)
        for name, tensor in state
        if not is_finite(tensor)
    }
