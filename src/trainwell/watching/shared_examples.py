"""Validation examples that are training examples too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainwell.data.copies import hash_rows
from trainwell.watching.arrays import to_arrays


def count_shared_rows(train: Any, valid: Any) -> tuple[int, int]:
    """Validation examples that are training examples too, and how many were looked at.

    Looks at all examples of arrays that are not too large, since a sample of both would miss most.
    """
    pairs = [to_arrays(data, 50_000) for data in (train, valid)]
    if pairs[0] is None or pairs[1] is None:
        return 0, 0
    x, v = (pair[0].detach().cpu().flatten(1) for pair in pairs if pair is not None)
    if x.dtype != v.dtype or x.numel() + v.numel() > 100_000_000:
        return 0, 0
    return count_shared(x, v), len(v)


def count_shared(x: Tensor, v: Tensor) -> int:
    """How many rows of `v` are rows of `x`; rows that are constant do not count."""
    if x.shape[1] != v.shape[1] or x.shape[1] < 2:
        return 0
    known = torch.isin(hash_rows(v), hash_rows(x))
    return int((known & (v.amax(1) > v.amin(1))).sum())
