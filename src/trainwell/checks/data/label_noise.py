"""Labels that tell nothing of their inputs, or those of other examples: shuffled, shifted, turned.

A probe that knows nothing of the model predicts each label from the other examples. Where it learns
nothing although the inputs have structure, the labels were shuffled; where it is right for the
neighbour's label in one stretch, they were shifted there (after Northcutt, Jiang & Chuang 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainwell.checks.data.class_numbers import class_numbers, target_columns
from trainwell.checks.data.first_weights import looks_up_tokens
from trainwell.checks.data.label_stretches import Stretch, find_shift, find_stretch
from trainwell.checks.data.probe import Probe, best_probe, features_of, forest_probe
from trainwell.checks.data.structure import has_structure
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding, Severity

SAMPLE = 1500
FEWEST, FEWEST_WITHOUT_STRUCTURE = 100, 250
LEARNT, NOTHING = 4.5, 3.0
"""Standard errors: above is surely learnt, below is chance."""
MOST_CLASSES = 50
TURNED = 0.06
REFERENCE = "Northcutt, Jiang & Chuang (2021), Confident learning"


@dataclass(frozen=True)
class Labelled:
    """Some training examples in their order, and the labels of all.

    Attributes:
        rows: `(N,)` where they stand in the training split.
        features: As `probe.features_of` gives them.
        every: `(M, K)` membership of classes or standardised numbers, of the whole split.
        is_classes: Whether columns are classes.
        is_ordered: Whether the order of the inputs can matter within an example, as in sequences.
    """

    rows: Tensor
    features: dict[str, Tensor]
    every: Tensor
    is_classes: bool
    is_ordered: bool

    @property
    def wanted(self) -> Tensor:
        """Labels of the examples, `(N, K)`."""
        return self.every[self.rows]


def check_label_noise(subject: Subject) -> list[Verdict]:
    """What a quick probe learns from the examples, and where it contradicts the labels."""
    labelled = _label(subject)
    if labelled is None:
        return []
    probe = best_probe(labelled.features, labelled.wanted, subject.generator("folds"))
    finding = None
    if probe.sureness < 2 * LEARNT:
        finding = _find_shift_of_all(subject, labelled, probe)
    if finding is None and probe.sureness > LEARNT:
        finding = _find_disorder(labelled, probe)
    elif finding is None and probe.sureness < NOTHING:
        finding = _find_shuffled(subject, labelled, probe)
    seen = (
        f"correlation {probe.skill:.2f}, {probe.sureness:.1f} standard errors ({probe.name}) in "
        f"{len(labelled.rows):,} examples"
    )
    expected = f"{LEARNT} standard errors away from chance or more"
    return [Verdict("labels by a probe", seen, expected, (finding,) if finding else ())]


def _label(subject: Subject) -> Labelled | None:
    numbers, columns = class_numbers(subject, subject.train), target_columns(subject, subject.train)
    if numbers is not None and 2 <= len(numbers.unique()) <= MOST_CLASSES:
        numbers = numbers.unique(return_inverse=True)[1]
        every = functional.one_hot(numbers).float()
    elif columns is not None:
        every = ((columns - columns.mean(0)) / columns.std(0).clamp(min=1e-30)).float()
    else:
        return None
    count = len(subject.train)
    if count < FEWEST:
        return None
    generator = subject.generator("label noise")
    rows = torch.randperm(count, generator=generator)[:SAMPLE].sort().values
    part = subject.train.take(rows)
    is_tokens = looks_up_tokens(subject, part.inputs[:1])
    inputs = part.inputs if is_tokens else subject.examples(part)[0].float()
    inputs = inputs.cpu()
    return Labelled(
        rows=rows,
        features=features_of(inputs, is_tokens),
        every=every.cpu(),
        is_classes=numbers is not None,
        is_ordered=is_tokens or inputs.ndim == 3,
    )


def _find_shuffled(subject: Subject, labelled: Labelled, probe: Probe) -> Finding | None:
    is_structured = has_structure(labelled.features["values"], subject.generator("structure"))
    count = len(labelled.rows)
    # What depends on the order within a sequence may be learnt by a network and by no probe.
    if not is_structured and (labelled.is_ordered or count < FEWEST_WITHOUT_STRUCTURE):
        return None
    if labelled.is_classes and _weight_of_rarest(labelled.wanted) < 25:
        return None
    forest = forest_probe(labelled.features, labelled.wanted, subject.seed)
    if forest.sureness > NOTHING:
        return None
    skill = max(probe.skill, forest.skill)
    severity: Severity = "error" if is_structured and count >= 2 * FEWEST else "warning"
    return _finding(
        severity,
        {"skill": skill, "examples": float(count)},
        f"Neighbours, a linear fit and a forest learn nothing from {count:,} examples: what they "
        f"say correlates with the labels by {skill:.2f}, no more than by chance. The labels look "
        "shuffled against their inputs.",
        "See how inputs and labels are joined: shuffle, sort and filter both together.",
    )


def _weight_of_rarest(wanted: Tensor) -> float:
    """Examples of the second largest class: of so many something could be learnt."""
    return float(wanted.sum(0).topk(2).values[1])


def _find_shift_of_all(subject: Subject, labelled: Labelled, own: Probe) -> Finding | None:
    """Labels of which each belongs to the example before or after."""
    for lag in (1, -1):
        rows = (labelled.rows + lag) % len(labelled.every)
        wanted = labelled.every[rows]
        probe = best_probe(labelled.features, wanted, subject.generator("folds"))
        if probe.sureness > max(2 * LEARNT, 3 * own.sureness):
            return _finding(
                "error",
                {"lag": float(lag), "skill": probe.skill},
                f"The labels are shifted by {abs(lag)} against their inputs: what a probe says "
                f"correlates with an example's own label by {own.skill:.2f}, with that of the "
                f"example {'after' if lag > 0 else 'before'} it by {probe.skill:.2f}.",
                "Look for a header line, or a row that was dropped from one of both only.",
            )
    return None


def _find_disorder(labelled: Labelled, probe: Probe) -> Finding | None:
    shift = find_shift(probe.scores, labelled.every, labelled.rows, labelled.is_classes)
    if shift is not None:
        return _tell_shift(labelled, shift)
    if not labelled.is_classes:
        return None
    stretch = find_stretch(probe.scores, labelled.wanted)
    if stretch is not None:
        return _tell_stretch(labelled, stretch)
    return _find_turned(labelled, probe)


def _tell_shift(labelled: Labelled, shift: Stretch) -> Finding:
    first, last = int(labelled.rows[shift.first]), int(labelled.rows[shift.last])
    return _finding(
        "error" if last - first > 0.1 * len(labelled.every) else "warning",
        {"first": float(first), "last": float(last), "lag": float(shift.lag)},
        f"From about example {first:,} to {last:,} the labels are shifted by {abs(shift.lag)} "
        f"against their inputs: a probe agrees with {shift.agreement:.0%} of them there, and with "
        f"{shift.shifted_agreement:.0%} of the labels {abs(shift.lag)} "
        f"{'further on' if shift.lag > 0 else 'before'}.",
        "Look at how this block was joined: a row dropped from inputs or labels only.",
    )


def _tell_stretch(labelled: Labelled, stretch: Stretch) -> Finding:
    first, last = int(labelled.rows[stretch.first]), int(labelled.rows[stretch.last])
    return _finding(
        "warning",
        {"first": float(first), "last": float(last), "agreement": stretch.agreement},
        f"From about example {first:,} to {last:,} a probe agrees with {stretch.agreement:.0%} of "
        f"the labels, elsewhere with {stretch.shifted_agreement:.0%}: in this block labels do not "
        "belong to their inputs.",
        "Look at how this block was read and joined.",
    )


def _find_turned(labelled: Labelled, probe: Probe) -> Finding | None:
    """A share of wrong labels where the classes are otherwise well apart.

    Where classes overlap, a probe errs less the surer it is; where labels were turned at random, it
    errs as often where it is sure.
    """
    wrong = (probe.scores.argmax(1) != labelled.wanted.argmax(1)).double()
    two = probe.scores.topk(2, 1).values
    surest = (two[:, 0] - two[:, 1]).argsort(descending=True)
    count = len(wrong)
    overall, sure = float(wrong.mean()), float(wrong[surest[: count // 4]].mean())
    error = (sure * (1 - sure) / (count / 4)) ** 0.5
    is_level = sure > 0.75 * overall and sure - 2 * error > TURNED / 2
    chance = 1 - float(labelled.wanted.mean(0).amax())
    if not is_level or overall < TURNED or overall > 0.7 * chance:
        return None
    return _finding(
        "warning",
        {"share": sure, "wrong": overall},
        f"About {sure:.0%} of the labels look turned to another class: a probe contradicts as many "
        f"where it is surest as in all ({overall:.0%}), so that the classes do not just overlap.",
        "Look at the examples that a first model contradicts most surely.",
    )


def _finding(severity: Severity, evidence: dict[str, float], cause: str, remedy: str) -> Finding:
    return Finding(
        "corrupted_labels",
        severity,
        where="train",
        evidence=evidence,
        cause=cause,
        remedy=remedy,
        reference=REFERENCE,
    )
