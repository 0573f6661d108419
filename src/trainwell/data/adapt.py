"""The same data for another task, or preprocessed in another way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from trainwell.data.dataset import Dataset, Split, Task
from trainwell.data.preprocess import DEFAULT_STEPS, EMPTY, fit_preprocess
from trainwell.errors import DataError


def adapt(
    data: Dataset, task: Task | None = None, preprocess: Sequence[str] | None = None
) -> Dataset:
    """The data as a model needs it, with the same examples in the same splits.

    Args:
        data: Is not changed.
        task: `"reconstruction"` drops the targets: the inputs are what is to be put out. None
            keeps the task.
        preprocess: Steps that the model needs. Only data that is preprocessed as its kind usually
            is gets them; what the user chose is left. None keeps the preprocessing.

    Returns:
        Data whose `origin` loads the same again.

    Raises:
        DataError: The inputs are streamed and cannot be looked at as a whole.
    """
    usual = preprocess is not None and data.preprocess.steps == DEFAULT_STEPS[data.kind]
    steps = tuple(preprocess) if usual and preprocess is not None else None
    if task in (None, data.task) and steps is None:
        return data
    changed = data if task in (None, data.task) else _without_targets(data)
    if steps is not None:
        changed = fit_again(changed, steps)
    return dataclasses.replace(changed, origin=_describe(changed))


def _without_targets(data: Dataset) -> Dataset:
    def drop(split: Split | None) -> Split | None:
        if split is None:
            return None
        return dataclasses.replace(split, targets=split.targets.new_zeros(len(split), 0).float())

    return dataclasses.replace(
        data,
        task="reconstruction",
        train=drop(data.train),
        valid=drop(data.valid),
        test=drop(data.test),
        classes=(),
        preprocess=dataclasses.replace(data.preprocess, target_shift=EMPTY, target_scale=EMPTY),
    )


def fit_again(data: Dataset, steps: Sequence[str]) -> Dataset:
    """The data with these preprocessing steps, fitted on its training split.

    Args:
        data: Is not changed.
        steps: Of `data.preprocess.STEPS`.

    Raises:
        DataError: The inputs are streamed and cannot be looked at as a whole.
    """
    if not isinstance(data.train.inputs, Tensor):
        raise DataError(
            f"the model needs its inputs preprocessed by {', '.join(steps)}, which a stream of "
            "examples is not",
            where=data.name,
            remedy="Do it in the torch Dataset, or give arrays",
        )
    counts = {
        number: len(column["categories"])
        for number, column in enumerate(data.schema)
        if column["kind"] == "category"
    }
    fitted = fit_preprocess(
        data.train.inputs,
        data.train.targets,
        kind=data.kind,
        task=data.task,
        steps=steps,
        category_counts=counts,
        is_table=bool(data.schema),
    )
    return dataclasses.replace(data, preprocess=fitted)


def _describe(data: Dataset) -> Mapping[str, Any]:
    if "options" not in data.origin:
        return data.origin
    options = dict(data.origin["options"])
    options |= {"task": data.task if data.task == "reconstruction" else options["task"]}
    if data.preprocess.steps != DEFAULT_STEPS[data.kind]:
        options |= {"preprocess": list(data.preprocess.steps)}
    return {**data.origin, "options": options}
