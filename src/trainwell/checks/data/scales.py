"""The scale of what the first weights get: bytes, columns wildly apart, far from zero, tiny."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.checks.data.class_numbers import name_column
from trainwell.checks.data.first_weights import find_first_weights
from trainwell.checks.data.sampling import affordable
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Code, Finding, Severity

SAMPLE, ROWS = 512, 4096
BYTES = (64.0, 260.0)
"""Values without a sign that reach between these, in most columns, are bytes."""
LARGEST_WHOLE = 5.0
"""Root mean square above which whole numbers should be standardised."""
LARGEST = 10.0
LARGEST_COLUMN = 30.0
SMALLEST = 0.05
FARTHEST_MEAN = 8.0
WIDEST_RATIO = 300.0
REFERENCE = "LeCun, Bottou, Orr & Müller (1998), Efficient BackProp, section 4.3"


def check_scales(subject: Subject) -> list[Verdict]:
    """Whether the inputs have about zero mean and unit variance where weights multiply them."""
    sample = affordable(subject, subject.train, SAMPLE, "scales")
    inputs, _ = subject.examples(sample)
    first = find_first_weights(subject, inputs)
    expected = "about 1, all columns alike"
    if first.kind == "embedding":
        return [Verdict("scale of inputs", "numbers of tokens", "looked up, not multiplied")]
    if first.kind == "normalisation":
        return [Verdict("scale of inputs", "normalised by the model", expected)]
    columns = _some_rows(subject, first.columns)
    if len(columns) < 3:
        return [Verdict("scale of inputs", f"{len(columns)} examples", expected)]
    size = float(columns.square().mean().sqrt())
    seen = f"root mean square {size:.3g} in {len(sample):,} examples"
    finding = (
        _find_bytes(columns, size)
        or _find_cut_off(columns)
        or _find_unnormalised(subject, columns, size)
    )
    return [Verdict("scale of inputs", seen, expected, (finding,) if finding else ())]


def _some_rows(subject: Subject, columns: Tensor) -> Tensor:
    """Rows drawn at random, such as places of images; without those that are not finite."""
    generator = subject.generator("rows")
    chosen = torch.randint(len(columns), (min(ROWS, len(columns)),), generator=generator)
    rows = columns[chosen.to(columns.device)]
    return rows[torch.isfinite(rows).all(1)]


def _find_bytes(columns: Tensor, size: float) -> Finding | None:
    tops = columns.amax(0)
    whole = bool((columns == columns.round()).all())
    lowest, highest = float(columns.amin()), float(columns.amax())
    in_range = 0 <= lowest < 0.1 * highest and BYTES[0] < highest < BYTES[1]
    alike = float((tops > BYTES[0]).float().mean()) >= 0.3
    if in_range and alike and (columns.shape[1] >= 16 or whole or columns.shape[1] in (1, 3)):
        return _finding(
            "dtype_scale",
            "error",
            {"lowest": lowest, "highest": highest, "rms": size},
            f"The first weights get values from {lowest:.4g} to "
            f"{highest:.4g}: raw bytes, where about zero mean and unit variance are "
            "expected. Activations and gradients are a hundred times too large.",
            "Divide by 255, then subtract the mean and divide by the deviation of the training "
            "split.",
        )
    if whole and size > LARGEST_WHOLE and alike_in_scale(columns):
        return _finding(
            "dtype_scale",
            "warning",
            {"lowest": lowest, "highest": highest, "rms": size},
            f"The first weights get whole numbers from {lowest:.4g} to "
            f"{highest:.4g}, where about zero mean and unit variance are expected.",
            "Subtract the mean and divide by the deviation of the training split.",
        )
    return None


def _find_cut_off(columns: Tensor) -> Finding | None:
    """Standardised values without their fractions."""
    whole = bool((columns == columns.round()).all())
    is_wide = float(columns.amin()) <= -2 and float(columns.amax()) >= 2
    deviation = columns.std(0)
    is_standard = (columns.mean(0).abs() < 0.4) & (deviation > 0.5) & (deviation < 1.5)
    if not (whole and is_wide) or float(is_standard.float().mean()) < 0.8:
        return None
    return _finding(
        "dtype_scale",
        "warning",
        {"lowest": float(columns.amin()), "highest": float(columns.amax())},
        f"The inputs look standardised (mean 0, deviation 1) and are whole numbers from "
        f"{float(columns.amin()):.0f} to {float(columns.amax()):.0f}: fractions were cut off.",
        "Convert to floating point before standardising, and keep that type.",
    )


def alike_in_scale(columns: Tensor) -> bool:
    """Whether no column is ten times larger than the middle one."""
    sizes = columns.square().mean(0).sqrt()
    return bool(sizes.amax() < 10 * sizes[sizes > 0].median()) if bool((sizes > 0).any()) else True


def _find_unnormalised(subject: Subject, columns: Tensor, size: float) -> Finding | None:
    sizes = columns.square().mean(0).sqrt()
    largest = int(sizes.argmax())
    name = name_column(subject, largest)
    if size > LARGEST or float(sizes[largest]) > LARGEST_COLUMN:
        return _finding(
            "unnormalised_inputs",
            "error" if float(sizes[largest]) > 10 * LARGEST_COLUMN else "warning",
            {"rms": size, "largest_column_rms": float(sizes[largest])},
            f"The inputs are not standardised: their root mean square is {size:.3g}, that of "
            f"{name} {float(sizes[largest]):.3g}. The loss surface is as much longer in one "
            "direction than in another, and no learning rate suits both.",
            "Subtract each column's mean and divide by its deviation, of the training split.",
            name,
        )
    moving = columns[:, columns.std(0) > 1e-6 * sizes.clamp(min=1e-30)]
    if not moving.shape[1]:
        return None
    return _find_offset(moving) or _find_apart(moving) or _find_tiny(moving)


def _find_offset(columns: Tensor) -> Finding | None:
    distances = columns.mean(0).abs() / columns.std(0)
    distance = float(distances.median())
    if distance < FARTHEST_MEAN:
        return None
    return _finding(
        "unnormalised_inputs",
        "warning",
        {"mean_over_deviation": distance, "mean": float(columns.mean())},
        f"The inputs lie far from zero: their mean is {distance:.3g} times their deviation. All "
        "examples look alike to the first weights, whose gradients all point the same way.",
        "Subtract the mean of the training split and divide by its deviation.",
    )


def _find_apart(columns: Tensor) -> Finding | None:
    """Columns of a table whose deviations differ; those that are mostly zero do not count."""
    dense = columns[:, (columns != columns.median(0).values).float().mean(0) > 0.5]
    if dense.shape[1] < 2 or dense.shape[1] > 500:
        return None
    deviations = dense.std(0)
    ratio = float(deviations.amax() / deviations.amin())
    if ratio < WIDEST_RATIO:
        return None
    return _finding(
        "unnormalised_inputs",
        "warning",
        {"ratio": ratio, "largest": float(deviations.amax()), "least": float(deviations.amin())},
        f"The deviations of the input columns reach from {float(deviations.amin()):.3g} to "
        f"{float(deviations.amax()):.3g}, {ratio:.0f} times as much: the small ones are hardly "
        "looked at.",
        "Divide each column by its deviation, of the training split.",
    )


def _find_tiny(columns: Tensor) -> Finding | None:
    largest = float(columns.abs().amax())
    if largest > SMALLEST:
        return None
    return _finding(
        "unnormalised_inputs",
        "warning",
        {"largest": largest},
        f"No input is larger than {largest:.2g}: activations and gradients of the first weights "
        "are as small, and they hardly learn.",
        "Divide by the deviation of the training split; see whether bytes were divided twice.",
    )


def _finding(
    code: Code,
    severity: Severity,
    evidence: dict[str, float],
    cause: str,
    remedy: str,
    where: str = "train",
) -> Finding:
    return Finding(
        code,
        severity,
        where=where,
        evidence=evidence,
        cause=cause,
        remedy=remedy,
        reference=REFERENCE,
    )
