"""Which numbers of a tensor are not finite, and to which rows of a batch they belong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

MOST_ROWS = 10


def iterate_tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in a tensor, or in tuples, lists and mappings of such, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from iterate_tensors(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from iterate_tensors(part)


def first_tensor(value: Any) -> Tensor | None:
    """The tensor in what a model takes or gives: itself, or the first in a tuple, list or dict."""
    if isinstance(value, Mapping) and isinstance(value.get("logits"), Tensor):
        return value["logits"]
    return next(iterate_tensors(value), None)


def is_finite(values: Tensor) -> bool:
    """Whether all numbers are; whole numbers always are."""
    if not (values.is_floating_point() or values.is_complex()) or values.is_sparse:
        return True
    return bool(torch.isfinite(values.detach()).all())


def has_nan(values: Tensor) -> bool:
    """Whether a number is NaN, and not only infinite."""
    return values.is_floating_point() and bool(torch.isnan(values.detach()).any())


def count_rows(value: Any) -> int:
    """Examples in a batch, as its first tensor says; 0 where there is none."""
    tensor = first_tensor(value)
    return len(tensor) if tensor is not None and tensor.ndim else 0


def find_bad_rows(values: Tensor, batch: int) -> tuple[int, ...]:
    """Rows of a batch whose numbers are not finite.

    Args:
        values: `(N, ...)`, `(N · k, ...)` with k numbers of each example, or `(k, N, ...)`.
        batch: N.

    Returns:
        Empty where values have another shape, and where all rows are bad: then it is not a
        matter of rows.
    """
    if values.ndim == 0 or batch < 2 or not values.numel():
        return ()
    bad = ~torch.isfinite(values.detach().float())
    if len(values) % batch == 0:
        bad = bad.reshape(batch, -1)
    elif values.ndim > 1 and values.shape[1] == batch:
        bad = bad.transpose(0, 1).reshape(batch, -1)
    else:
        return ()
    rows = bad.any(1).nonzero().reshape(-1).tolist()
    return tuple(rows) if len(rows) < batch else ()
