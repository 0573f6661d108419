"""Targets of any form as class numbers or as numbers to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor

from trainwell.data.dataset import Task
from trainwell.errors import DataError

MOST_INTEGER_CLASSES = 1000
LARGEST_SHARE_OF_CLASSES = 0.5


@dataclass(frozen=True)
class Targets:
    """Encoded targets.

    Attributes:
        values: `(N,)` int64 class numbers, or `(N,)` / `(N, K)` float32.
        classes: Class names in the order of their numbers; empty for a regression.
        task: What is predicted.
    """

    values: Tensor
    classes: tuple[str, ...]
    task: Task


def encode_targets(raw: Any, task: Task | None, *, where: str) -> Targets:
    """Targets of any form, with the task found where it is not given.

    Text, true/false and integers are classes; other numbers are a regression. Integers with more
    than `MOST_INTEGER_CLASSES` values, or with more values than half the examples where those are
    not 0, 1, 2, ..., are a regression too.

    Args:
        raw: `(N,)`, `(N, 1)` or `(N, K)`: a tensor, an array or a sequence.
        task: What is predicted; None finds out.
        where: The source, for messages.

    Raises:
        DataError: Missing or not finite (with the row), a single class, or targets that the given
            task cannot have.
    """
    values = _as_array(raw)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    _refuse_missing(values, where)
    chosen = task or _find_task(values)
    if chosen in ("multiclass", "binary"):
        return _encode_classes(values, chosen, given=task is not None, where=where)
    if values.dtype.kind not in "biuf":
        raise DataError(
            f"a regression needs numbers, the targets are {_example(values)}", where=where
        )
    return Targets(torch.from_numpy(values.astype(numpy.float32)), (), chosen)


def encode_known_classes(raw: Sequence[Any], classes: Sequence[str], *, where: str) -> Tensor:
    """Class numbers `(N,)` of labels by name.

    Raises:
        DataError: A label that is not among the classes, with its row.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    names = [_name(value) for value in raw]
    for row, name in enumerate(names):
        if name not in numbers:
            raise DataError(
                f"row {row} has the label {name!r}, which the training did not have",
                where=where,
                remedy=f"Known labels: {', '.join(list(classes)[:20])}",
            )
    return torch.tensor([numbers[name] for name in names], dtype=torch.int64)


def _as_array(raw: Any) -> numpy.ndarray:
    if isinstance(raw, Tensor):
        return raw.detach().cpu().numpy()
    values = numpy.asarray(raw)
    return values.astype(object) if values.dtype.kind in "US" else values


def _refuse_missing(values: numpy.ndarray, where: str) -> None:
    if values.dtype.kind == "f":
        bad = ~numpy.isfinite(values)
        bad = bad.reshape(len(bad), -1).any(1) if len(bad) else bad
    elif values.dtype == object:
        bad = numpy.array([v is None or v != v or v == "" for v in values.reshape(-1)])
    else:
        return
    if bad.any():
        row = int(numpy.argmax(bad))
        raise DataError(
            f"{int(bad.sum())} targets are missing or not finite, the first in row {row}",
            where=where,
            remedy="Remove these rows or fill in their targets",
        )


def _find_task(values: numpy.ndarray) -> Task:
    if values.ndim > 1 or (values.dtype.kind == "f" and not _are_whole(values)):
        return "regression"
    distinct = len(numpy.unique(values)) if values.dtype != object else len(set(values))
    if values.dtype.kind in "iuf":
        is_numbered = values.size > 0 and values.min() == 0 and values.max() == distinct - 1
        many = distinct > MOST_INTEGER_CLASSES
        sparse = not is_numbered and distinct > max(2, LARGEST_SHARE_OF_CLASSES * len(values))
        spread = values.dtype.kind == "f" and distinct > 20
        if many or sparse or spread:
            return "regression"
    return "binary" if distinct == 2 else "multiclass"


def _are_whole(values: numpy.ndarray) -> bool:
    return bool((values == numpy.floor(values)).all())


def _encode_classes(values: numpy.ndarray, task: Task, *, given: bool, where: str) -> Targets:
    if values.ndim > 1:
        raise DataError(f"classes need targets (N,), these are {values.shape}", where=where)
    if values.dtype.kind == "f":
        if not _are_whole(values):
            row = int(numpy.argmax(values != numpy.floor(values)))
            raise DataError(
                f"row {row} has the label {values[row]:g}, which is not a class", where=where
            )
        values = values.astype(numpy.int64)
    _refuse_negative(values, where)
    found, numbers = numpy.unique(
        values if values.dtype != object else numpy.array([_name(v) for v in values]),
        return_inverse=True,
    )
    classes = tuple(_name(value) for value in found)
    if len(classes) < 2:
        raise DataError(
            f"all {len(values)} targets are {classes[0] if classes else 'missing'}: "
            "there is nothing to learn from a single class",
            where=where,
            remedy="Give examples of at least two classes",
        )
    if given and task == "binary" and len(classes) != 2:
        raise DataError(f"a binary task has two classes, these are {len(classes)}", where=where)
    if len(classes) == 2:
        task = "binary"
    return Targets(torch.from_numpy(numbers.astype(numpy.int64)), classes, task)


def _refuse_negative(values: numpy.ndarray, where: str) -> None:
    """-1 beside +1 names two classes; among 0, 1, 2, ... it marks something that is no class."""
    if values.dtype.kind != "i" or not values.size or values.min() >= 0 or values.max() <= 1:
        return
    row = int(numpy.argmax(values < 0))
    raise DataError(
        f"row {row} has the label {values[row]}, which is not a class",
        where=where,
        remedy="Number the classes from 0, or remove these rows",
    )


def _name(value: Any) -> str:
    if isinstance(value, bool | numpy.bool_):
        return "true" if value else "false"
    if isinstance(value, float | numpy.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _example(values: numpy.ndarray) -> str:
    return repr(values.reshape(-1)[0]) if values.size else "empty"
