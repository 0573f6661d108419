"""Turns the numbers of a ledger into readings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from trainwell.watching.readings import (
    UNKNOWN,
    InputReading,
    LayerReading,
    NormReading,
    OutputReading,
    ParameterReading,
    Reading,
)
from trainwell.watching.updates import Tracked

Numbers = Mapping[str, Sequence[float]]


def assemble(
    taken: Mapping[int, Numbers],
    tracked: Sequence[Tracked],
    without_gradient: Mapping[int, Sequence[int]],
) -> list[Reading]:
    """Readings in the order of their steps.

    Args:
        taken: What a ledger gave: numbers by step and label.
        tracked: The parameters in the order of their numbers.
        without_gradient: By step, which of them had none.
    """
    return [
        Reading(
            step=step,
            layers=tuple(_layers(numbers)),
            parameters=tuple(_parameters(numbers, tracked, without_gradient.get(step, ()))),
            norms=tuple(_norms(numbers)),
            inputs=_inputs(numbers),
            outputs=_outputs(numbers),
            kept_gradient=_kept(numbers),
            cosine=_cosine(numbers.get("cosine")),
            turn=_cosine(numbers.get("turn")),
        )
        for step, numbers in sorted(taken.items())
    ]


def _layers(numbers: Numbers) -> list[LayerReading]:
    rows: list[LayerReading] = []
    for label, values in numbers.items():
        if label.startswith("layer|"):
            _, kind, name = label.split("|", 2)
            rows.append(LayerReading(name, kind, *values))
    return rows


def _parameters(
    numbers: Numbers, tracked: Sequence[Tracked], without: Sequence[int]
) -> list[ParameterReading]:
    if "gradients" not in numbers:
        return []
    blank = [UNKNOWN] * len(tracked)
    changes, slices = numbers.get("changes", blank), numbers.get("slices", blank)
    above, below = _split_signs(numbers.get("signs"), len(tracked))
    rows: list[ParameterReading] = []
    for k, (name, parameter) in enumerate((t.name, t.parameter) for t in tracked):
        root = math.sqrt(parameter.numel())
        rows.append(
            ParameterReading(
                name=name,
                size=parameter.numel(),
                is_weight=parameter.ndim > 1,
                fan_in=parameter[0].numel() if parameter.ndim > 1 else 0,
                gradient=UNKNOWN if k in without else numbers["gradients"][k] / root,
                weight=numbers["weights"][k] / root,
                has_gradient=k not in without,
                update_ratio=changes[k] / (slices[k] + 1e-12),
                above=above[k],
                below=below[k],
            )
        )
    return rows


def _split_signs(
    values: Sequence[float] | None, count: int
) -> tuple[Sequence[float], Sequence[float]]:
    """How many numbers of each parameter's gradient are above and below 0."""
    if values is None:
        return [UNKNOWN] * count, [UNKNOWN] * count
    sums = values[:count], values[count:]
    parts = ([after - before for before, after in pairwise((0.0, *part))] for part in sums)
    above, below = parts
    return above, below


def _cosine(values: Sequence[float] | None) -> float:
    if values is None:
        return UNKNOWN
    product, one, other = values
    return product / (one * other) if one * other > 0 else UNKNOWN


def _norms(numbers: Numbers) -> list[NormReading]:
    rows: list[NormReading] = []
    for label, values in numbers.items():
        if label.startswith("norm|"):
            _, rest = label.split("|", 1)
            name, count, training, momentum, call = rest.rsplit("|", 4)
            rows.append(
                NormReading(
                    name=name,
                    values=int(count),
                    mean_gap=values[0],
                    variance_gap=values[1],
                    training=training == "1",
                    momentum=float(momentum),
                    call=int(call),
                )
            )
    return rows


def _inputs(numbers: Numbers) -> InputReading | None:
    for label, values in numbers.items():
        if label.startswith("inputs|"):
            return InputReading(int(label.split("|")[1]), *values)
    return None


def _outputs(numbers: Numbers) -> OutputReading | None:
    for label, values in numbers.items():
        if label.startswith("outputs|"):
            rows, columns = (int(part) for part in label.split("|")[1:])
            named: dict[str, Any] = dict(
                zip(("minimum", "maximum", "std", "spread", "row_sum_error"), values, strict=True)
            )
            named["slope"] = numbers.get("slope", (UNKNOWN,))[0]
            named["pairing"], named["in_line"] = numbers.get("pairing", (UNKNOWN, UNKNOWN))
            named["moved"], named["told"] = numbers.get("moved", (UNKNOWN, UNKNOWN))
            named["idle"] = frozenset(k for k, v in enumerate(numbers.get("idle", ())) if v > 0)
            whole = "whole targets" in numbers
            counts: dict[str, Any] = {}
            if "classes" in numbers:
                named |= _classes(numbers["classes"])
                counts = _counts(numbers)
            for one, key in ((True, "numbers|1"), (False, "numbers|0")):
                if key in numbers:
                    found, counts = _numbers(numbers[key], one)
                    named |= found
            return OutputReading(rows, columns, whole_targets=whole, **named, **counts)
    return None


def _classes(values: Sequence[float]) -> dict[str, float]:
    names = ("accuracy", "standard_loss", "misfits", "label_runs")
    found = dict(zip(names, values, strict=False))
    return found | _scale(values[4:])


def _counts(numbers: Numbers) -> dict[str, tuple[float, ...]]:
    """Examples of each class, those that are right, and those that are given the class."""
    if "confusion" in numbers:
        flat = numbers["confusion"]
        size = math.isqrt(len(flat))
        rows = [flat[k * size : (k + 1) * size] for k in range(size)]
        return {
            "target_counts": tuple(map(sum, rows)),
            "right_counts": tuple(rows[k][k] for k in range(size)),
            "predicted_counts": tuple(map(sum, zip(*rows, strict=True))),
        }
    values = numbers.get("counts", ())
    third = len(values) // 3
    return {
        "target_counts": tuple(values[:third]),
        "right_counts": tuple(values[third : 2 * third]),
        "predicted_counts": tuple(values[2 * third :]),
    }


def _numbers(
    values: Sequence[float], one_column: bool
) -> tuple[dict[str, Any], dict[str, tuple[float, ...]]]:
    standard, std, mean, binary, right, runs, near, misfits = values[:8]
    found: dict[str, Any] = {"standard_loss": standard, "target_std": std, "target_mean": mean}
    found["binary"] = binary == 1.0
    found |= {"target_low": values[14], "target_high": values[15], "row_std": values[16]}
    counts: dict[str, tuple[float, ...]] = {}
    if binary == 1.0 and one_column:
        ones, zeros, ones_right, zeros_right, said_one, said_zero = values[8:14]
        found |= {"accuracy": right, "label_runs": runs, "misfits": misfits}
        counts = {
            "target_counts": (zeros, ones),
            "right_counts": (zeros_right, ones_right),
            "predicted_counts": (said_zero, said_one),
        }
    else:
        found["label_runs"] = near
    return found | _scale(values[17:]), counts


def _scale(values: Sequence[float]) -> dict[str, float]:
    """The factor between both gradients, where they point along one line."""
    if len(values) != 2:
        return {}
    known = {"alignment": values[1]}
    return known | ({"scale": values[0]} if abs(values[1]) > 0.98 else {})


def _kept(numbers: Numbers) -> bool | None:
    if "kept" not in numbers:
        return None
    return numbers["kept"][0] > 0
