"""Examples that come twice: within the training split, and in training and validation both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.checks.data.class_numbers import class_numbers
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict
from trainwell.data.copies import coincide_by_chance, hash_rows
from trainwell.findings import Finding

LARGEST = 100_000
"""Examples of a split that are looked at; more are sampled."""
LEAK = 0.01
FATAL, SURELY = 0.1, 0.9
FEWEST = 2
"""So many are no more than chance."""
TIMES_NATURAL = 3.0
SURE = 0.05
"""Share of training examples that contradict a copy with another label."""
REFERENCE = "Barz & Denzler (2020), Do we train on test data?; Kapoor & Narayanan (2023)"


@dataclass(frozen=True)
class Copies:
    """How many examples come again.

    Attributes:
        within: Share of training examples that are copies of an earlier one.
        between: Share of validation examples that are in the training split.
        asked: Validation examples looked at.
        contradicting: Share of training examples with a copy that has another label.
        is_natural: Whether so few values can be taken that examples coincide by chance.
    """

    within: float
    between: float
    asked: int
    contradicting: float
    is_natural: bool


def check_duplicates(subject: Subject) -> list[Verdict]:
    """Exact copies, by a hash of each example as it is held."""
    train = subject.train.sample(LARGEST, subject.generator("duplicates"))
    copies = count_copies(subject)
    findings = [f for f in (_find_between(copies), _find_contradiction(copies)) if f is not None]
    if not findings and copies.within > LEAK:
        findings.append(_tell_within(copies))
    between = f", {copies.between:.2%} of validation in training" if subject.valid else ""
    seen = f"{copies.within:.2%} of {len(train):,} come again{between}"
    return [Verdict("duplicates", seen, "none", tuple(findings))]


def count_copies(subject: Subject) -> Copies:
    """Exact copies of a subject's examples."""
    generator = subject.generator("duplicates")
    train = subject.train.sample(LARGEST, generator)
    hashes = hash_rows(train.inputs)
    _, groups, counts = hashes.unique(return_inverse=True, return_counts=True)
    between, asked = 0.0, 0
    if subject.valid is not None:
        # The same numbers in another type are the same example.
        valid = subject.valid.sample(LARGEST, generator).inputs.to(train.inputs.dtype)
        asked = len(valid)
        between = float(torch.isin(hash_rows(valid), hashes).double().mean())
    return Copies(
        within=1 - len(counts) / len(hashes),
        between=between,
        asked=asked,
        contradicting=_contradicting(class_numbers(subject, train), groups, counts),
        is_natural=coincide_by_chance(train.inputs, LEAK),
    )


def _contradicting(numbers: Tensor | None, groups: Tensor, counts: Tensor) -> float:
    if numbers is None or len(counts) == len(groups):
        return 0.0
    low = torch.full((len(counts),), 1 << 40).scatter_reduce(0, groups, numbers, "amin")
    high = torch.full((len(counts),), -1).scatter_reduce(0, groups, numbers, "amax")
    return float(counts[low != high].sum() / len(groups))


def _find_between(copies: Copies) -> Finding | None:
    rate = copies.between
    few = FEWEST / max(1, copies.asked)
    if rate <= max(LEAK, few):
        return None
    natural = max(TIMES_NATURAL * copies.within, LEAK) + few
    is_expected = copies.is_natural and rate < min(natural, SURELY)
    cause = (
        f"{rate:.1%} of the validation examples are in the training split as well: there the "
        "validation tells how well they are remembered, not how well the model generalises."
    )
    if is_expected:
        cause = (
            f"{rate:.1%} of the validation examples have the same values as one of the training "
            f"split, of which {copies.within:.1%} come again: with so few values that is natural."
        )
    severity = "error" if rate > FATAL else "warning"
    return Finding(
        "train_val_leak",
        "note" if is_expected else severity,
        where="valid",
        evidence={"between": rate, "within": copies.within},
        cause=cause,
        remedy="Remove copies before the examples are split, and keep what belongs together (the "
        "same person, picture or day) in one split.",
        reference=REFERENCE,
    )


def _find_contradiction(copies: Copies) -> Finding | None:
    if copies.contradicting < SURE or copies.is_natural:
        return None
    return Finding(
        "corrupted_labels",
        "warning",
        where="train",
        evidence={"contradicting": copies.contradicting},
        cause=f"{copies.contradicting:.1%} of the training examples have a copy with another "
        "label: at most one of them can be learnt.",
        remedy="See how labels are joined to inputs, and give each example one label.",
        reference=REFERENCE,
    )


def _tell_within(copies: Copies) -> Finding:
    return Finding(
        "train_val_leak",
        "note",
        where="train",
        evidence={"within": copies.within},
        cause=f"{copies.within:.1%} of the training examples are copies of another: they count "
        "more than others, and leak when they are split at random.",
        remedy="Remove them, unless they are repeated on purpose.",
        reference=REFERENCE,
    )
