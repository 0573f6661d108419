"""How often each class comes: a single one, one that is rare, one that only validation has."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.checks.data.class_numbers import class_numbers, name_class
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding, Severity

RAREST = 1 / 20
"""Of the most frequent class; rarer ones are looked at."""
HARDLY = 1 / 50
FEWEST = 3
MAJORITY = 0.9
REFERENCE = "He & Garcia (2009), Learning from imbalanced data"


def check_balance(subject: Subject) -> list[Verdict]:
    """Whether every class has examples enough to matter in the loss."""
    numbers = class_numbers(subject, subject.train)
    if numbers is None:
        return []
    counts = torch.bincount(numbers)
    present = counts[counts > 0]
    seen = f"{len(present)} classes, from {int(present.min()):,} to {int(present.max()):,} examples"
    finding = _find_single(subject, counts) or _find_rare(subject, counts)
    findings = [finding] if finding else []
    findings += _find_unknown(subject, counts)
    return [Verdict("class balance", seen, "none rarer than 1 in 20", tuple(findings))]


def _find_single(subject: Subject, counts: Tensor) -> Finding | None:
    if int((counts > 0).sum()) > 1 or int(counts.sum()) < FEWEST:
        return None
    return Finding(
        "class_imbalance",
        "error",
        where=name_class(subject, int(counts.argmax())),
        evidence={"classes": 1.0, "examples": float(counts.sum())},
        cause=f"All {int(counts.sum()):,} training examples are of class "
        f"{name_class(subject, int(counts.argmax()))}: always saying so has no loss, and nothing "
        "is learnt.",
        remedy="Add examples of the other classes; see how the labels are read and split.",
        reference=REFERENCE,
    )


def _find_rare(subject: Subject, counts: Tensor) -> Finding | None:
    present = torch.where(counts > 0, counts, counts.max() + 1)
    rarest, majority = int(present.argmin()), float(counts.max() / counts.sum())
    ratio = float(counts[rarest] / counts.max())
    if ratio >= RAREST:
        return None
    severity = _severity(subject, ratio, majority)
    return Finding(
        "class_imbalance",
        severity,
        where=name_class(subject, rarest),
        evidence={
            "rarest": float(counts[rarest]),
            "largest": float(counts.max()),
            "ratio": ratio,
            "majority_accuracy": majority,
        },
        cause=f"Class {name_class(subject, rarest)} has {int(counts[rarest])} examples, class "
        f"{name_class(subject, int(counts.argmax()))} {int(counts.max()):,}: always saying the "
        f"latter is right in {majority:.1%}, and the rare class hardly counts in the loss.",
        remedy="Weight the loss by class, draw rare classes more often, and look at the recall of "
        "each class instead of the accuracy.",
        reference=REFERENCE,
    )


def _severity(subject: Subject, ratio: float, majority: float) -> Severity:
    weights = getattr(subject.loss, "weight", None), getattr(subject.loss, "pos_weight", None)
    if any(weight is not None for weight in weights):
        return "note"
    return "warning" if majority >= MAJORITY or ratio < HARDLY else "note"


def _find_unknown(subject: Subject, counts: Tensor) -> list[Finding]:
    """Classes of the validation split without a training example, in a good part of it."""
    numbers = None if subject.valid is None else class_numbers(subject, subject.valid)
    if numbers is None or subject.task == "binary":
        return []
    known = torch.zeros(max(len(counts), int(numbers.max()) + 1), dtype=torch.bool)
    known[: len(counts)] = counts > 0
    unknown = ~known[numbers]
    share = float(unknown.float().mean())
    if not share:
        return []
    names = [name_class(subject, int(number)) for number in numbers[unknown].unique()[:5]]
    return [
        Finding(
            "class_imbalance",
            "warning" if share > 0.01 else "note",
            where=", ".join(names),
            evidence={"examples": float(unknown.sum()), "share": share},
            cause=f"{int(unknown.sum())} of {len(numbers):,} validation examples are of classes "
            f"without a training example ({', '.join(names)}): the splits were cut in the order of "
            "the classes, or the labels are numbered otherwise.",
            remedy="Shuffle before splitting, by class (stratified), and number the labels once.",
            reference=REFERENCE,
        )
    ]
