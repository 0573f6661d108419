"""Kinks: where the winner of a maximum changes between two evaluations of a function.

A derivative by differences that straddles a kink, such as that of max(0, x), is not the derivative
at the point. Whether one was crossed shows in the winners: each unit's side of a ReLU or of a
hinge, the largest of a pool, the outcome of each comparison. They are read below autograd, where
every function, module and custom `autograd.Function` comes down to the same few operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Winners(TorchDispatchMode):
    """Context that notes the winners of all operations with kinks.

    Attributes:
        noted: In the order of the operations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[Tensor] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled here, and torch would import its compiler first: seconds.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        options = kwargs or {}
        name = func.overloadpacket.__name__.rstrip("_")
        # Before the operation, which may change its input in place.
        if name in SIDES:
            self.noted.append(SIDES[name](*args, **options))
        result = func(*args, **options)
        if name in OUTCOMES and isinstance(result, Tensor):
            self.noted.append(result.clone())
        elif name in INDICES:
            self.noted.append(result[1] if isinstance(result, tuple) else args[0] == result)
        elif name == "_to_copy" and _loses_fractions(args[0], result):
            self.noted.append(result.clone())
        return result


def count_changes(before: Sequence[Tensor], after: Sequence[Tensor]) -> int:
    """How many winners differ between two evaluations of one function."""
    if len(before) != len(after):
        return abs(len(before) - len(after))
    return sum(_count(one, other) for one, other in zip(before, after, strict=True))


def _count(one: Tensor, other: Tensor) -> int:
    if one.shape != other.shape:
        return 1
    return 0 if torch.equal(one, other) else int((one != other).sum())


def _loses_fractions(before: Tensor, after: Tensor) -> bool:
    return before.is_floating_point() and not after.is_floating_point()


def _above(values: Tensor, low: Any, high: Any) -> Tensor:
    """0, 1 or 2: below, between or above the limits, of which either may be None."""
    side = torch.zeros(values.shape, dtype=torch.int8, device=values.device)
    if low is not None:
        side = side + (values > low)
    if high is not None:
        side = side + (values > high)
    return side


def _positive(values: Tensor, *rest: Any, **options: Any) -> Tensor:
    return values > 0


def _larger(one: Tensor, other: Tensor) -> Tensor:
    return one > other


def _threshold(values: Tensor, threshold: Any, value: Any) -> Tensor:
    return values > threshold


def _hardtanh(values: Tensor, low: Any = -1, high: Any = 1) -> Tensor:
    return _above(values, low, high)


def _within_three(values: Tensor) -> Tensor:
    return _above(values, -3, 3)


def _shrink(values: Tensor, size: Any = 0.5) -> Tensor:
    return _above(values, -size, size)


def _clamp(values: Tensor, min: Any = None, max: Any = None) -> Tensor:
    return _above(values, min, max)


def _clamp_max(values: Tensor, max: Any) -> Tensor:
    return _above(values, None, max)


def _largest(values: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return values == values.amax(dim, keepdim=True)


def _smallest(values: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return values == values.amin(dim, keepdim=True)


def _norm(values: Tensor, ord: Any = 2, *rest: Any, **options: Any) -> Tensor:
    if ord == 1:
        return values > 0
    if math.isinf(ord):
        return values.abs() == values.abs().max()
    return values.new_zeros(())


def _margins(scores: Tensor, targets: Tensor, p: Any = 1, margin: Any = 1, *rest: Any) -> Tensor:
    right = scores.gather(-1, targets.unsqueeze(-1))
    return margin - right + scores > 0


def _far(one: Tensor, other: Tensor, reduction: int = 1, limit: float = 1.0) -> Tensor:
    return _above(one - other, -limit, limit)


SIDES: dict[str, Callable[..., Tensor]] = {
    "relu": _positive,
    "leaky_relu": _positive,
    "_prelu_kernel": _positive,
    "rrelu_with_noise": _positive,
    "elu": _positive,
    "abs": _positive,
    "threshold": _threshold,
    "hardtanh": _hardtanh,
    "hardswish": _within_three,
    "hardsigmoid": _within_three,
    "hardshrink": _shrink,
    "softshrink": _shrink,
    "clamp": _clamp,
    "clamp_min": _larger,
    "clamp_max": _clamp_max,
    "maximum": _larger,
    "minimum": _larger,
    "fmax": _larger,
    "fmin": _larger,
    "amax": _largest,
    "amin": _smallest,
    "linalg_vector_norm": _norm,
    "multi_margin_loss": _margins,
    "smooth_l1_loss": _far,
    "huber_loss": _far,
}
"""By operation: the winners, from its arguments."""

OUTCOMES = frozenset(
    {"gt", "ge", "lt", "le", "eq", "ne", "sign", "sgn", "round", "floor", "ceil", "trunc"}
    | {"argmax", "argmin", "bucketize", "searchsorted"}
)
"""Operations that put out nothing but winners."""

INDICES = frozenset(
    {"max", "min", "sort", "topk", "median", "mode", "kthvalue", "cummax", "cummin"}
    | {"max_pool2d_with_indices", "max_pool3d_with_indices"}
    | {"adaptive_max_pool2d", "adaptive_max_pool3d"}
    | {"fractional_max_pool2d", "fractional_max_pool3d"}
)
"""Operations whose second output, or else their only one, tells which won."""
