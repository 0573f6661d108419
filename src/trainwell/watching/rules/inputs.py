"""Scale and type of what the model sees."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import middle, skill, weighted_layers


def judge_inputs(history: History) -> Iterable[Finding]:
    """Raw bytes, wrong scales, features of different scales, targets of a large scale."""
    facts = history.facts
    rows = [r.inputs for r in history.readings if r.inputs is not None]
    yield from _validation_scale(history)
    if len(rows) < 3 or facts.embeds:
        return
    mean, std = middle(r.mean for r in rows), middle(r.std for r in rows)
    low, high = min(r.minimum for r in rows), max(r.maximum for r in rows)
    whole = middle(r.whole for r in rows)
    seen = {"mean": mean, "std": std, "lowest": low, "highest": high}
    if std == 0:
        yield _scale_finding(
            history,
            "error",
            seen,
            "All inputs are the same number.",
            "Look at what is done to the inputs before they reach the model.",
        )
    elif facts.normalises_inputs or _are_normalised_inside(history):
        return
    elif _are_bytes(history) and whole > 0.999 and low >= 0 and 100 < high <= 255 and std > 15:
        yield _scale_finding(
            history, "warning", seen,
            f"The model sees raw bytes: whole numbers from {low:g} to {high:g}.",
            "Divide by 255, then subtract the mean and divide by the standard deviation of the "
            "training data.",
        )  # fmt: skip
    elif max(abs(low), abs(high)) < 0.02:
        yield _scale_finding(
            history, "warning", seen,
            f"The inputs are tiny ({low:.2g} to {high:.2g}): maybe they were scaled twice.",
            "Scale the inputs once, to mean 0 and standard deviation 1.",
        )  # fmt: skip
    elif std < 0.03 and mean < -20 * std:
        yield _scale_finding(
            history, "warning", seen,
            f"The inputs hardly differ (mean {mean:.3g}, standard deviation {std:.2g}): maybe they "
            "were scaled twice before the mean was taken away.",
            "Scale the inputs once, to mean 0 and standard deviation 1.",
        )  # fmt: skip
    else:
        yield from _features(history, seen, mean, std)
    yield from _targets(history)
    yield from _cut_to_integers(history)


def _are_bytes(history: History) -> bool:
    """Whether there are as many numbers as in the smallest picture, as far as is known."""
    return history.data is None or history.data.features >= 16


def _are_normalised_inside(history: History) -> bool:
    """Whether the first layer answers as to inputs of a usual scale: the model scales them itself.

    Weights that suit their fan-in give outputs of about the inputs' size.
    """
    if history.facts.recurrent:  # its states are bounded, whatever it gets
        return skill(history) > 0.8
    inputs = [r.inputs.std for r in history.readings[:4] if r.inputs is not None]
    first = [layers[0].std for r in history.readings[:4] if (layers := weighted_layers(r))]
    return len(first) >= 2 and middle(first) < min(3.0, 0.02 * middle(inputs))


def _cut_to_integers(history: History) -> Iterable[Finding]:
    """What is left of fractions that were stored as whole numbers."""
    data = history.data
    if data is None or data.examples < 50:
        return
    if data.distinct < 0.1 and data.contradicted > 0.03 and data.features > 1:
        yield _scale_finding(
            history, "warning",
            {"distinct_share": data.distinct, "contradicted_share": data.contradicted},
            f"Only {100 * data.distinct:.1f} % of the training inputs are distinct, and "
            f"{100 * data.contradicted:.0f} % contradict another one of the same values: the "
            "inputs were cut to a few values, as by a cast to integers.",
            "Keep inputs as floating point numbers from reading to model.",
        )  # fmt: skip
    # Levels that are whole by nature, as of copies of a gene, are learned well as they are.
    if data.cut_columns >= 0.4 and data.cut_columns * data.features >= 3 and skill(history) < 0.7:
        yield _scale_finding(
            history, "warning", {"share_of_features": data.cut_columns},
            f"{100 * data.cut_columns:.0f} % of the features are whole numbers with the shares "
            "that a cast to integers leaves of standardised ones.",
            "Keep inputs as floating point numbers from reading to model.",
        )  # fmt: skip
    if not history.is_classification and data.commonest_target > 0.9 and _is_single(history):
        yield _scale_finding(
            history, "error", {"share_of_one_target": data.commonest_target},
            f"{100 * data.commonest_target:.0f} % of the targets of the regression are the same "
            "number: fractions were cut to integers.",
            "Keep targets as floating point numbers.",
        )  # fmt: skip


def _is_single(history: History) -> bool:
    return bool(history.outputs) and history.outputs[-1].columns == 1


def _features(
    history: History, seen: dict[str, float], mean: float, std: float
) -> Iterable[Finding]:
    rows = [r.inputs for r in history.readings if r.inputs is not None]
    widest, narrowest = middle(r.widest for r in rows), middle(r.narrowest for r in rows)
    offset = middle(r.offset for r in rows)
    uneven = widest > 8 and widest > 50 * narrowest
    large = std > 8 and not (math.isfinite(widest) and widest < 4)
    shifted = abs(mean) > 8 * max(std, 1e-12) and abs(mean) > 5
    shifted = shifted or (offset > 30 and max(abs(seen["lowest"]), abs(seen["highest"])) > 20)
    if not (uneven or large or shifted):
        return
    if uneven:
        cause = (
            f"The features have standard deviations from {narrowest:.2g} to {widest:.2g}: the "
            "widest rules the gradient."
        )
    elif large:
        cause = f"The inputs have mean {mean:.3g} and standard deviation {std:.3g}."
    else:
        cause = f"The inputs lie far from zero (mean {mean:.3g}, standard deviation {std:.3g})."
    yield Finding(
        code="unnormalised_inputs",
        severity="warning",
        step=history.step,
        evidence={**seen, "widest_std": widest, "narrowest_std": narrowest},
        cause=cause,
        remedy="Subtract each feature's mean and divide by its standard deviation, both from the "
        "training data.",
        reference="LeCun et al. 1998 (Efficient BackProp)",
    )


def _targets(history: History) -> Iterable[Finding]:
    known = [o for o in history.outputs if math.isfinite(o.target_std) and not o.target_counts]
    if len(known) < 3 or history.is_classification:
        return
    std, mean = middle(o.target_std for o in known), middle(o.target_mean for o in known)
    if (std > 30 or abs(mean) > 100) and skill(history) < 0.7:
        yield _scale_finding(
            history, "warning", {"target_mean": mean, "target_std": std},
            f"The targets have mean {mean:.3g} and standard deviation {std:.3g}; outputs begin "
            "near 0 with a scale of 1.",
            "Standardise the targets with the mean and deviation of the training data.",
        )  # fmt: skip


def _validation_scale(history: History) -> Iterable[Finding]:
    rows = [r.inputs for r in history.readings if r.inputs is not None]
    if len(rows) < 3 or history.facts.embeds:
        return
    std = middle(r.std for r in rows)
    mean = middle(r.mean for r in rows)
    other = [(m, s) for m, s in history.eval_inputs if s > 0]
    if not other or not std > 0:
        return
    valid_mean, valid_std = middle(m for m, _ in other), middle(s for _, s in other)
    data = history.data
    if data is not None and data.changed > 0.5 and 0.8 < data.train_std / valid_std < 1.25:
        return  # the training inputs are augmented, not scaled
    if data is not None and data.valid_std > 0 and 0.8 < data.train_std / std < 1.25:
        valid_mean, valid_std = data.valid_mean, data.valid_std  # what it saw may be both
    tail = max(max(abs(r.minimum), abs(r.maximum)) for r in rows) / std
    if tail > 20:
        return  # a few large numbers make the deviation what it is
    ratio = valid_std / std
    shift = abs(valid_mean - mean) / std
    if ratio > 4 or ratio < 0.25 or shift > 4:
        yield _scale_finding(
            history, "error",
            {"mean": mean, "std": std, "valid_mean": valid_mean, "valid_std": valid_std},
            f"Validation inputs have mean {valid_mean:.3g} and standard deviation "
            f"{valid_std:.3g}, training inputs {mean:.3g} and {std:.3g}: they are prepared "
            "differently.",
            "Prepare both in the same way, with the training data's mean and deviation.",
        )  # fmt: skip


def _scale_finding(
    history: History, severity: str, evidence: dict[str, float], cause: str, remedy: str
) -> Finding:
    return Finding(
        code="dtype_scale",
        severity="error" if severity == "error" else "warning",
        step=history.step,
        evidence=evidence,
        cause=cause,
        remedy=remedy,
        reference="LeCun et al. 1998 (Efficient BackProp)",
    )
