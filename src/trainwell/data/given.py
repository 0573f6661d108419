"""What a reader gives, checked before it is trained on: a given split must match the training's."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from trainwell.data.raw import RawData
from trainwell.errors import DataError


def check_raw(raw: RawData, name: str) -> RawData:
    """The same data, with its given splits in the numbers that the training split is held in.

    Args:
        raw: As a reader gave it.
        name: Of the data set, for messages.

    Raises:
        DataError: Examples without values, inputs that are not finite, another number of targets
            than of inputs, or a given split that is empty, of another shape or with other classes.
    """
    _refuse_impossible(raw, name)
    given = {
        split: _match(part, raw, f"{name}, {split} split")
        for split in ("valid", "test")
        if (part := getattr(raw, split)) is not None
    }
    return replace(raw, **given)


def _match(given: RawData, train: RawData, where: str) -> RawData:
    _refuse_impossible(given, where)
    shape, expected = tuple(given.inputs.shape[1:]), tuple(train.inputs.shape[1:])
    if shape != expected:
        raise DataError(
            f"its examples have the shape {shape}, those of the training split {expected}",
            where=where,
            remedy="Give all splits the same form",
        )
    if given.targets.shape[1:] != train.targets.shape[1:]:
        raise DataError(
            f"its targets have the shape {tuple(given.targets.shape)}, those of the training split "
            f"{tuple(train.targets.shape)}",
            where=where,
            remedy="Give all splits the same form",
        )
    if train.classes:
        _refuse_unknown_classes(given.targets, len(train.classes), where)
    return replace(given, inputs=_in_same_numbers(given.inputs, train.inputs, where))


def _refuse_impossible(raw: RawData, where: str) -> None:
    if len(raw.inputs) != len(raw.targets):
        raise DataError(
            f"{len(raw.inputs)} inputs but {len(raw.targets)} targets",
            where=where,
            remedy="Give one target for each example",
        )
    if len(raw.inputs) == 0:
        raise DataError("there are no examples: it is empty", where=where, remedy="Give some")
    if raw.inputs[0].numel() == 0:
        raise DataError(
            f"an example has no values: its shape is {tuple(raw.inputs.shape[1:])}",
            where=where,
            remedy="Give examples with at least one value",
        )
    _refuse_non_finite(raw, where)
    if raw.targets.is_floating_point() and not bool(torch.isfinite(raw.targets).all()):
        row = int(torch.nonzero(~torch.isfinite(raw.targets))[0, 0])
        raise DataError(
            f"the target in row {row} is not finite in 32 bits",
            where=where,
            remedy="Correct it, or divide the targets by a constant",
        )


def _refuse_non_finite(raw: RawData, where: str) -> None:
    if not raw.inputs.is_floating_point():
        return
    # An empty cell of a table is NaN, and is filled in.
    bad = torch.isinf(raw.inputs) if raw.columns else ~torch.isfinite(raw.inputs)
    if not bool(bad.any()):
        return
    row, *column = torch.nonzero(bad)[0].tolist()
    raise DataError(
        f"{int(bad.sum())} inputs are not finite, the first in row {row}, column "
        f"{', '.join(map(str, column))}",
        where=where,
        remedy="Fill them in or remove these rows",
    )


def _refuse_unknown_classes(targets: Tensor, classes: int, where: str) -> None:
    bad = (targets < 0) | (targets >= classes)
    if bool(bad.any()):
        row = int(torch.nonzero(bad)[0, 0])
        raise DataError(
            f"row {row} has the class number {int(targets[row])}, the training split has "
            f"{classes} classes",
            where=where,
            remedy="Correct the label, or add examples of it to the training split",
        )


def _in_same_numbers(inputs: Tensor, train: Tensor, where: str) -> Tensor:
    if inputs.dtype == train.dtype:
        return inputs
    converted = inputs.to(train.dtype)
    both_float = inputs.is_floating_point() and train.is_floating_point()
    if both_float or torch.equal(converted.to(inputs.dtype), inputs):
        return converted
    raise DataError(
        f"its inputs are {inputs.dtype}, those of the training split {train.dtype}".replace(
            "torch.", ""
        ),
        where=where,
        remedy="Give all splits in the same unit: bytes from 0 to 255, or numbers with a fraction",
    )
