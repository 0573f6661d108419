"""Augmentation that destroys what the labels rest on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import accuracy, column, middle, recent, skill


def find_bad_augmentation(history: History) -> Iterable[Finding]:
    """Training inputs are changed so much that little can be learned from them."""
    if not any(r.inputs is not None for r in history.readings):
        return
    shift, lead = _measure_shift(history), _lead(history)
    if skill(history) > 0.75:
        yield from _elsewhere(history, shift, lead)
    elif _is_augmented(history) and (
        shift.grown > 1.5
        or shift.grown < 0.67
        or shift.moved > 0.6
        or _spoils(history)
        or _is_changed_all_over(history)
        or (lead > 0.25 and skill(history) < 0.6 and history.facts.dropout < 0.3)
    ):
        yield _report(history, shift, lead)


@dataclass(frozen=True)
class Shift:
    """Of the training inputs against what the model sees without gradients; may be unknown.

    Attributes:
        grown: Their deviation over the other.
        moved: How far apart the means are, in deviations.
    """

    grown: float = math.nan
    moved: float = math.nan


def _measure_shift(history: History) -> Shift:
    plain = _plain_scale(history)
    if plain is None or not plain[1] > 0:
        return Shift()
    inputs = [r.inputs for r in history.readings if r.inputs is not None]
    std, mean = middle(r.std for r in inputs), middle(r.mean for r in inputs)
    return Shift(std / plain[1], abs(mean - plain[0]) / plain[1])


def _is_augmented(history: History) -> bool:
    """As far as is known."""
    return history.data is None or not history.data.changed < 0.05


def _is_changed_all_over(history: History) -> bool:
    data = history.data
    known = data is not None and data.changed > 0.5
    return known and skill(history) < 0.4 and _matches(history)


def _spoils(history: History) -> bool:
    """Whether the unchanged examples would tell more than is learned from the changed ones."""
    data = history.data
    if data is None or not data.changed > 0.3:
        return False
    if history.trend.late_fall >= 0.05:
        return False
    if history.is_classification:
        return data.neighbours - accuracy(history) > 0.2
    if history.facts.task == "reconstruction" or history.outputs[-1].columns == data.features:
        return False  # what is to be restored is changed on purpose
    return data.neighbour_fit - (1 - history.trend.level) > 0.5


def _report(history: History, shift: Shift, lead: float) -> Finding:
    return Finding(
        code="bad_augmentation",
        severity="warning",
        step=history.step,
        evidence={
            "valid_minus_train_accuracy": lead,
            "input_std_over_data": shift.grown,
            "input_shift": shift.moved,
        },
        cause="The inputs in training are others than those in validation (standard deviation "
        f"{shift.grown:.2g} times theirs), and the model learns little from them: the "
        "augmentation destroys what the labels rest on.",
        remedy="Look at augmented examples; weaken the augmentation until a person can tell the "
        "targets.",
        reference="Krizhevsky et al. 2012; Cubuk et al. 2019",
    )


def _elsewhere(history: History, shift: Shift, lead: float) -> Iterable[Finding]:
    """All training inputs are moved away from those of the validation, where little is right."""
    everywhere = history.data is not None and history.data.changed > 0.9
    if everywhere and shift.moved > 0.6 and lead < -0.1:
        yield Finding(
            code="bad_augmentation",
            severity="warning",
            step=history.step,
            evidence={"input_shift": shift.moved, "valid_minus_train_accuracy": lead},
            cause=f"The training inputs lie {shift.moved:.2g} standard deviations from those of "
            f"the validation, where the accuracy is {-100 * lead:.0f} points lower: every one is "
            "changed in a way that the validation's are not.",
            remedy="Change some training inputs and leave others as they are.",
            reference="Krizhevsky et al. 2012",
        )


def _lead(history: History) -> float:
    train, valid = column(history, "train_metric"), column(history, "valid_metric")
    if len(train) < 2 or not valid or max(train + valid) > 1 or min(train + valid) < 0:
        return math.nan
    return recent(valid) - recent(train)


def _plain_scale(history: History) -> tuple[float, float] | None:
    """Mean and deviation of what the model sees without gradients."""
    if not history.eval_inputs:
        return None
    return (
        middle(mean for mean, _ in history.eval_inputs),
        middle(std for _, std in history.eval_inputs),
    )


def _matches(history: History) -> bool:
    """Whether the training data given is scaled as what the model sees."""
    data, plain = history.data, _plain_scale(history)
    if history.facts.embeds:
        return history.trend.late_fall < 0.05  # symbols have no scale
    if data is None or plain is None or not plain[1] > 0:
        return False
    return 0.8 < data.train_std / plain[1] < 1.25
