"""From what a reader gives to a `Dataset`: split, checked, preprocessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.data.dataset import Dataset, Split
from trainwell.data.given import check_raw
from trainwell.data.naming import name_some
from trainwell.data.preprocess import fit_preprocess
from trainwell.data.raw import RawData
from trainwell.data.splits import cut
from trainwell.errors import DataError


@dataclass(frozen=True)
class SplitPlan:
    """How data is split where it does not come split.

    Attributes:
        valid_fraction: Share of the training rows.
        test_fraction: Share of all rows.
        seed: The same seed splits alike.
    """

    valid_fraction: float = 0.1
    test_fraction: float = 0.2
    seed: int = 0


def assemble(
    raw: RawData,
    plan: SplitPlan,
    *,
    name: str,
    origin: Mapping[str, Any],
    preprocess: Sequence[str] | None = None,
) -> Dataset:
    """A data set ready to be trained on.

    Raises:
        DataError: Too few rows, a split that would be empty or does not match the training split,
            or a single class.
    """
    _refuse_too_few(raw, name)
    raw = check_raw(raw, name)
    train, valid, test = split_raw(raw, plan)
    notes = [
        *gather_notes(raw),
        *describe_duplicates(train, {"validation": valid, "test": test}),
        *describe_missing_classes(raw, train),
    ]
    assert isinstance(train.inputs, Tensor)
    counts = {i: len(c.categories) for i, c in enumerate(raw.columns) if c.kind == "category"}
    fitted = fit_preprocess(
        train.inputs,
        train.targets,
        kind=raw.kind,
        task=raw.task,
        steps=preprocess,
        category_counts=counts,
        is_table=bool(raw.columns),
    )
    return Dataset(
        name=name,
        task=raw.task,
        kind=raw.kind,
        train=train,
        valid=valid,
        test=test,
        classes=raw.classes,
        preprocess=fitted,
        columns=tuple(column.name for column in raw.columns),
        schema=tuple(column.to_dict() for column in raw.columns),
        origin=origin,
        notes=tuple(notes),
    )


def split_raw(raw: RawData, plan: SplitPlan) -> tuple[Split, Split, Split]:
    """Training, validation and test split; those that are given are kept as they are."""
    ids = torch.arange(len(raw.targets))
    if raw.test is not None:
        test = _whole(raw.test, "test")
    else:
        ids, positions = cut(raw.targets, plan.test_fraction, seed=plan.seed, purpose="test")
        test = take(raw, positions)
    if raw.valid is not None:
        return take(raw, ids), _whole(raw.valid, "valid"), test
    kept, positions = cut(raw.targets[ids], plan.valid_fraction, seed=plan.seed, purpose="valid")
    return take(raw, ids[kept]), take(raw, ids[positions]), test


def take(raw: RawData, ids: Tensor) -> Split:
    """The examples of those rows."""
    return Split(raw.inputs[ids], raw.targets[ids], ids)


def gather_notes(raw: RawData) -> list[str]:
    """What the reader noted, also of the splits that are given."""
    given = {"validation": raw.valid, "test": raw.test}
    of_given = [
        f"{split} split: {note}"
        for split, part in given.items()
        if part is not None
        for note in part.notes
    ]
    return [*raw.notes, *of_given]


def describe_duplicates(train: Split, others: Mapping[str, Split]) -> list[str]:
    """A note for each other split with examples that stand in the training split bit for bit."""
    assert isinstance(train.inputs, Tensor)
    seen = set(_row_bytes(train.inputs))
    notes = []
    for name, split in others.items():
        assert isinstance(split.inputs, Tensor)
        rows = [int(split.ids[i]) for i, row in enumerate(_row_bytes(split.inputs)) if row in seen]
        if rows:
            named = name_some([str(row) for row in rows])
            notes.append(
                f"{len(rows)} {name} examples also stand in the training split (rows {named})"
            )
    return notes


def describe_missing_classes(raw: RawData, train: Split) -> list[str]:
    """A note where the training split lacks a class.

    Raises:
        DataError: It has a single one.
    """
    if not raw.classes:
        return []
    counts = torch.bincount(train.targets, minlength=len(raw.classes))
    missing = [raw.classes[i] for i in torch.nonzero(counts == 0).flatten().tolist()]
    if int((counts > 0).sum()) < 2:
        raise DataError("the training split has examples of a single class", where="splits")
    if not missing:
        return []
    return [f"{len(missing)} classes have no example in the training split: {name_some(missing)}"]


def _whole(raw: RawData, source: str) -> Split:
    return Split(raw.inputs, raw.targets, torch.arange(len(raw.targets)), source)


def _refuse_too_few(raw: RawData, name: str) -> None:
    count = len(raw.targets)
    if raw.test is not None and len(raw.test.targets) == 0:
        raise DataError("the test split is empty", where=name, remedy="Give it some examples")
    if raw.valid is not None and len(raw.valid.targets) == 0:
        raise DataError("the validation split is empty", where=name, remedy="Give it some examples")
    if raw.classes and count < 2 * len(raw.classes):
        raise DataError(
            f"there are {count} examples but {len(raw.classes)} classes",
            where=name,
            remedy="Give more examples, or task='regression' if the target is a quantity",
        )
    if count < 5:
        raise DataError(
            f"{count} examples are too few for a training, a validation and a test split",
            where=name,
            remedy="Give at least 5, better hundreds",
        )


def _row_bytes(inputs: Tensor) -> list[bytes]:
    rows = inputs.reshape(len(inputs), -1).contiguous().view(torch.uint8).numpy()
    return [row.tobytes() for row in rows]
