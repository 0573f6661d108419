"""Examples that come more than once, and whether that is chance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOOKED_AT = 1000
MOST_COLUMNS = 200


def hash_rows(inputs: Tensor) -> Tensor:
    """One 64-bit number for each example; equal examples have equal ones.

    Args:
        inputs: `(N, ...)`.
    """
    rows = inputs.detach().cpu().reshape(len(inputs), -1)
    if rows.is_floating_point():
        # Zero has two signs.
        rows = rows + 0.0
        rows = rows.double() if rows.dtype == torch.bfloat16 else rows
    return torch.tensor([hash(row.tobytes()) for row in rows.contiguous().numpy()])


def coincide_by_chance(inputs: Tensor, surely: float = 0.01) -> bool:
    """Whether examples of so few and coarse columns can be alike without being copies.

    Of independent columns, two examples coincide with the product of the columns' chances to; real
    columns depend on each other, for which the square root of the chances makes up.

    Args:
        inputs: `(N, ...)`.
        surely: Expected coincidences of one example with all others that are none.
    """
    flat = inputs[:LOOKED_AT].reshape(min(LOOKED_AT, len(inputs)), -1)
    chance = 0.0
    for column in range(min(flat.shape[1], MOST_COLUMNS)):
        _, counts = flat[:, column].unique(return_counts=True)
        chance += 0.5 * math.log(float((counts / len(flat)).square().sum()))
    return chance + math.log(len(inputs)) > math.log(surely)
