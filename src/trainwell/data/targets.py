"""Targets of any form as class numbers or as numbers to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy
import torch
from torch import Tensor

from trainwell.data.dataset import Task
from trainwell.data.dense import as_dense
from trainwell.errors import DataError

MOST_INTEGER_CLASSES = 1000
LARGEST_SHARE_OF_CLASSES = 0.5
ONE_EACH = "Give one target for each example, as an array, a tensor or a list"
TEXT_OR_NUMBERS = "Give text, true and false, or numbers"


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
    values = as_target_array(raw, where=where)
    chosen = task or _find_task(values)
    if chosen in ("multiclass", "binary"):
        return _encode_classes(values, chosen, given=task is not None, where=where)
    return Targets(_as_quantities(values, where), (), chosen)


def encode_like(raw: Any, classes: Sequence[str], *, where: str) -> Tensor:
    """Targets of a split that came by itself, as those of the training split are.

    Args:
        raw: As for `encode_targets`.
        classes: Of the training split, which number the labels; empty for a regression.
        where: The source, for messages.

    Raises:
        DataError: Missing, not finite, or a label that the training split does not know.
    """
    values = as_target_array(raw, where=where)
    if not classes:
        return _as_quantities(values, where)
    if values.ndim > 1:
        raise DataError(f"classes need targets (N,), these are {values.shape}", where=where)
    return encode_known_classes(values.tolist(), classes, where=where)


def as_target_array(raw: Any, *, where: str) -> numpy.ndarray:
    """Targets `(N,)` or `(N, K)` of booleans, numbers, or objects that are text or numbers.

    Raises:
        DataError: Not one target an example, of another kind, missing or not finite.
    """
    try:
        values = _tensor_to_array(raw, where) if isinstance(raw, Tensor) else numpy.asarray(raw)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"the targets are not one array: {reason}", where=where, remedy=ONE_EACH
        ) from error
    if values.ndim == 0:
        raise DataError(
            f"the targets are a single {type(raw).__name__}", where=where, remedy=ONE_EACH
        )
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind == "S":
        values = numpy.char.decode(values, "utf-8", "replace")
    if values.dtype.kind in "UO":
        values = _as_labels(values.astype(object), where)
    elif values.dtype.kind not in "biuf":
        raise DataError(f"the targets are {values.dtype}", where=where, remedy=TEXT_OR_NUMBERS)
    _refuse_missing(values, where)
    return values


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


def _tensor_to_array(raw: Tensor, where: str) -> numpy.ndarray:
    dense = as_dense(raw, "targets", where=where)
    # NumPy has no bfloat16.
    return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()


def _as_labels(values: numpy.ndarray, where: str) -> numpy.ndarray:
    """Objects that are text or numbers; as numbers where all are."""
    for place, value in enumerate(values.reshape(-1)):
        if not _is_absent(value) and not isinstance(value, str | Real | numpy.bool_):
            raise DataError(
                f"row {place // max(1, values[0].size if values.ndim > 1 else 1)} has the target "
                f"{str(value)[:50]}, which is neither text nor a number",
                where=where,
                remedy=TEXT_OR_NUMBERS,
            )
    are_numbers = all(
        isinstance(v, Real) and not isinstance(v, bool | numpy.bool_) for v in values.reshape(-1)
    )
    return numpy.asarray(values.tolist()) if values.size and are_numbers else values


def _as_quantities(values: numpy.ndarray, where: str) -> Tensor:
    if values.dtype.kind not in "biuf":
        raise DataError(
            f"a regression needs numbers, the targets are {_example(values)}",
            where=where,
            remedy="Give numbers, or task='multiclass'",
        )
    return torch.from_numpy(values.astype(numpy.float32))


def _is_absent(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return value == "" if isinstance(value, str) else bool(value != value)


def _refuse_missing(values: numpy.ndarray, where: str) -> None:
    if values.dtype.kind == "f":
        bad = ~numpy.isfinite(values)
    elif values.dtype == object:
        bad = numpy.array([_is_absent(v) for v in values.reshape(-1)]).reshape(values.shape)
    else:
        return
    bad = bad.reshape(len(bad), -1).any(1) if bad.size else bad
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
