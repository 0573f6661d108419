"""Options of `load` that a source cannot have: refused, never passed over in silence."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from trainwell.data.dataset import Task
from trainwell.data.raw import Corrupt, RawData, Reading
from trainwell.errors import DataError


def refuse_unknown_options(task: Any, corrupt: Any) -> None:
    """Stops at a value that no source can have.

    Raises:
        DataError: Names those that there are.
    """
    if task is not None:
        _refuse_unknown("task", task, get_args(Task))
    _refuse_unknown("corrupt", corrupt, get_args(Corrupt))


def refuse_unused_options(raw: RawData, reading: Reading, where: str) -> None:
    """Stops where the reader could not do as it was told.

    Raises:
        DataError: The targets are of another task, or there are no columns to choose from.
    """
    refuse_target(reading.target, raw.target, where)
    # Two classes are binary, whatever they are called.
    allowed = {raw.task, "multiclass"} if raw.task == "binary" else {raw.task}
    if reading.task is not None and reading.task not in allowed:
        raise DataError(
            f"its targets are for {raw.task}, not for {reading.task}",
            where=where,
            remedy=f"Leave the task out, or give {raw.task}",
        )


def refuse_target(asked: str | None, chosen: str, where: str) -> None:
    """Stops where a column is named that was not the one to be predicted.

    Raises:
        DataError: The source has no columns to choose from.
    """
    if asked is not None and asked != chosen:
        raise DataError(
            f"there is no column {asked!r} to predict: only tables have columns to choose from",
            where=where,
            remedy="Leave the target out",
        )


def _refuse_unknown(option: str, value: Any, known: Sequence[str]) -> None:
    if value in known:
        return
    near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise DataError(
        f"there is no {option} {value!r}", remedy=f"{hint}Known: {', '.join(map(repr, known))}"
    )
