"""Validation inputs that are scaled otherwise than the training inputs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainwell.checks.data.class_numbers import name_column
from trainwell.checks.data.first_weights import looks_up_tokens
from trainwell.checks.data.sampling import affordable
from trainwell.checks.subject import Part, Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding

SAMPLE, ROWS = 1000, 20_000
FEWEST = 8
SPREAD, SHIFT = 1.6, 1.0
"""In most columns: ratio of deviations, and difference of means in deviations."""
COLUMN_SPREAD, COLUMN_SHIFT = 10.0, 10.0
"""In a single column."""


def check_split_scale(subject: Subject) -> list[Verdict]:
    """Whether mean and deviation of the validation inputs are those of the training inputs."""
    if subject.valid is None or len(subject.valid) < FEWEST:
        return []
    train, valid = _columns(subject, subject.train), _columns(subject, subject.valid)
    if looks_up_tokens(subject, subject.train.inputs[:1]) or train.shape[1] != valid.shape[1]:
        return []
    moving = train.std(0) > 1e-5 * train.std().clamp(min=1e-30)
    if not bool(moving.any()):
        return []
    shift, spread = compare_scales(train[:, moving], valid[:, moving])
    middle_shift, middle_spread = float(shift.abs().median()), float(spread.median())
    seen = (
        f"deviations {math.exp(middle_spread):.2f} times, means {middle_shift:.2f} deviations off"
    )
    finding = None
    slack = 1 + 3 / math.sqrt(len(valid))
    if abs(middle_spread) > math.log(SPREAD * slack) or middle_shift > SHIFT * slack:
        finding = _all_otherwise(train, valid, middle_shift, math.exp(middle_spread))
    elif not subject.is_prepared:
        # The deviation of a column that is mostly zero hangs on a few examples.
        dense = (train != train.median(0).values).double().mean(0)[moving] > 0.5
        columns = moving.nonzero().flatten()[dense]
        finding = _find_column(subject, columns, shift[dense], spread[dense], len(valid))
    expected = "1.00 times, 0.00 deviations"
    return [Verdict("scale of validation", seen, expected, (finding,) if finding else ())]


def compare_scales(train: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """How far columns of two splits differ.

    Args:
        train, valid: `(N, F)` and `(M, F)`.

    Returns:
        Difference of means in deviations of `train`, and logarithm of the ratio of deviations,
        `(F,)` each.
    """
    deviation = train.std(0).clamp(min=1e-30)
    shift = (valid.mean(0) - train.mean(0)) / deviation
    return shift, (valid.std(0) / deviation).clamp(min=1e-12).log()


def _columns(subject: Subject, part: Part) -> Tensor:
    inputs, _ = subject.examples(affordable(subject, part, SAMPLE, "scale of splits"))
    values = inputs.movedim(1, -1).flatten(0, -2) if inputs.ndim == 4 else inputs
    values = values.flatten(0, -2) if inputs.ndim == 3 else values
    values = values.reshape(len(values), -1)
    return values[:: -(-len(values) // ROWS)].double()


def _all_otherwise(train: Tensor, valid: Tensor, shift: float, spread: float) -> Finding:
    return Finding(
        "dtype_scale",
        "error",
        where="valid",
        evidence={"spread_ratio": spread, "mean_shift": shift},
        cause=f"Validation inputs are scaled otherwise than training inputs: mean "
        f"{float(valid.mean()):.3g} and deviation {float(valid.std()):.3g} against "
        f"{float(train.mean()):.3g} and {float(train.std()):.3g}. The validation figures tell of "
        "inputs that the model was not trained for.",
        remedy="Apply the same function to both splits, with the mean and deviation of the "
        "training split.",
        reference="Hastie, Tibshirani & Friedman (2009), section 7.10.2",
    )


def _find_column(
    subject: Subject, columns: Tensor, shift: Tensor, spread: Tensor, count: int
) -> Finding | None:
    """A single column in another unit: many times more spread, or far off."""
    if count < 30 or not len(columns) or len(columns) > 500 or subject.train.inputs.ndim != 2:
        return None
    excess = torch.maximum(spread.abs() / math.log(COLUMN_SPREAD), shift.abs() / COLUMN_SHIFT)
    worst = int(excess.argmax())
    if float(excess[worst]) < 1:
        return None
    name = name_column(subject, int(columns[worst]))
    return Finding(
        "dtype_scale",
        "warning",
        where=name,
        evidence={"spread_ratio": float(spread[worst].exp()), "mean_shift": float(shift[worst])},
        cause=f"In validation, {name} has {float(spread[worst].exp()):.3g} times the deviation "
        f"that it has in training, and a mean {float(shift[worst]):.3g} deviations away: another "
        "unit, or another preparation.",
        remedy="Prepare this column alike in both splits.",
    )
