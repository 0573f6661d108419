"""Inputs and targets as tensors, of whatever a user has his examples in."""

from __future__ import annotations

import copy
import time
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST = 2000
MOST_ITEMS = 512
MOST_SECONDS = 0.3
"""For the items of a dataset, which may be read from files."""
_SHARED = (
    Tensor, np.ndarray, list, tuple, dict, set, frozenset, str, bytes, int, float, complex,
    type(None), type, FunctionType, MethodType, ModuleType,
)  # fmt: skip
"""Is read and not drawn from."""


def to_arrays(data: Any, most: int = MOST) -> tuple[Tensor, Tensor | None] | None:
    """Inputs and targets as tensors; None for what cannot be read cheaply.

    Args:
        data: `(X, y)` tensors or arrays, a trainwell `Split`, a `TensorDataset`, or a map-style
            dataset of pairs.
        most: Examples to take, spread evenly.
    """
    if data is None:
        return None
    if hasattr(data, "inputs") and hasattr(data, "targets"):
        data = (data.inputs, data.targets)
    if hasattr(data, "dataset") and hasattr(data, "batch_size"):
        data = data.dataset
    if hasattr(data, "tensors"):
        data = data.tensors
    if isinstance(data, tuple | list) and len(data) == 2 and hasattr(data[0], "shape"):
        inputs, targets = _tensor(data[0]), _tensor(data[1])
    elif isinstance(data, tuple | list) and len(data) == 1 and hasattr(data[0], "shape"):
        inputs, targets = _tensor(data[0]), None
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return _collect(data, min(most, MOST_ITEMS))
    else:
        return None
    if inputs is None or not len(inputs):
        return None
    rows = spread(len(inputs), most)
    return inputs[rows], targets[rows] if targets is not None else None


def is_in_memory(data: Any) -> bool:
    """Whether examples are at hand, not behind the items of a dataset."""
    if hasattr(data, "dataset") and hasattr(data, "batch_size"):
        data = data.dataset
    if hasattr(data, "tensors") or (hasattr(data, "inputs") and hasattr(data, "targets")):
        return True
    return isinstance(data, tuple | list) and bool(data) and hasattr(data[0], "shape")


def spread(count: int, most: int) -> Tensor:
    """Numbers of so many rows, evenly spread."""
    if count <= most:
        return torch.arange(count)
    # In whole numbers: the last of many rows would be rounded beyond the end.
    return torch.arange(most) * (count - 1) // max(most - 1, 1)


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value.detach()
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def _collect(data: Any, most: int) -> tuple[Tensor, Tensor | None] | None:
    """Items of a dataset, in an order that is spread evenly wherever the time ends."""
    try:
        items = _read_items(_copy_lightly(data), most)
    except Exception:  # what cannot be copied, or is no list of items
        return None
    if not items or not all(isinstance(item, tuple | list) and len(item) == 2 for item in items):
        return None
    inputs, targets = _stack([item[0] for item in items]), _stack([item[1] for item in items])
    return (inputs, targets) if inputs is not None and targets is not None else None


def _read_items(data: Any, most: int) -> list[Any]:
    rows = spread(len(data), most)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    end = time.monotonic() + MOST_SECONDS
    pairs: list[tuple[int, Any]] = []
    for row in rows[order].tolist():
        pairs.append((row, data[row]))
        if time.monotonic() > end:
            break
    return [item for _, item in sorted(pairs, key=lambda pair: pair[0])]


def _copy_lightly(value: Any, depth: int = 3) -> Any:
    """A copy whose generators and counters are its own, but not its data.

    Reading an item may draw from a generator of the dataset, which the training needs as it is.
    """
    if isinstance(value, _SHARED) or (callable(value) and not hasattr(value, "__dict__")):
        return value
    if depth == 0 or not hasattr(value, "__dict__"):
        return copy.deepcopy(value)
    own = copy.copy(value)
    for name, part in vars(value).items():
        own.__dict__[name] = _copy_lightly(part, depth - 1)
    return own


def _stack(values: list[Any]) -> Tensor | None:
    """None where they are no numbers, or of several shapes."""
    tensors = [t for t in map(_tensor, values) if t is not None]
    alike = len(tensors) == len(values) and len({t.shape for t in tensors}) == 1
    return torch.stack(tensors) if alike else None
