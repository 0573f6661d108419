"""Augmentation that destroys the inputs, or makes of one class another."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.checks.data.augmented_neighbours import Neighbours, ask_neighbours
from trainwell.checks.data.class_numbers import class_numbers, name_class
from trainwell.checks.data.first_weights import looks_up_tokens
from trainwell.checks.data.sampling import affordable
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding, Severity

SAMPLE = 800
FARTHEST, FAR = 20.0, 2.5
"""Ratio of the deviations of augmented and plain inputs that destroys, and that harms."""
FEWEST, FEWEST_OF_CLASS = 60, 15
LEARNT, WELL_LEARNT = 0.2, 0.7
"""Recall above chance: less says nothing of what augmentation changes."""
DESTROYED = 0.22
"""Share of what was learnt that is left of augmented examples."""
MISLED, MISLED_CLASS = 0.15, 0.35
"""Recall lost by plain examples: in the mean, of what was learnt, and in a single class."""
TAKEN, FEWEST_TAKEN = 0.12, 40
"""Of the augmented examples of a class that look like another."""
REFERENCE = "Shorten & Khoshgoftaar (2019), A survey on image data augmentation"


def check_augmentation(subject: Subject) -> list[Verdict]:
    """Whether augmented examples are still examples, and of the same class."""
    if subject.augment is None:
        return []
    part = affordable(subject, subject.train, SAMPLE, "augmentation")
    plain = subject.examples(part)[0]
    first, second = (subject.augmented(plain.clone(), f"augmentation {n}") for n in (1, 2))
    destroyed = _find_destroyed(plain, first)
    expected = "about as before"
    if destroyed is not None:
        return [Verdict("augmentation", "inputs destroyed", expected, (destroyed,))]
    numbers = class_numbers(subject, part)
    if numbers is None or len(plain) < FEWEST or looks_up_tokens(subject, plain):
        ratio = _deviation(first) / max(1e-30, _deviation(plain))
        return [Verdict("augmentation", f"deviation {ratio:.2f} times as large", expected)]
    told = ask_neighbours(
        plain.cpu(), (first.cpu(), second.cpu()), numbers.cpu(), subject.generator("halves")
    )
    seen = (
        f"neighbours right in {float(told.plain.mean()):.0%}, with it in "
        f"{float(told.misled.mean()):.0%}, of it in {float(told.augmented.mean()):.0%} of "
        f"{len(plain):,} examples"
    )
    finding = _find_nothing_left(told) or _find_changed(subject, told)
    return [Verdict("augmentation", seen, expected, (finding,) if finding else ())]


def _find_destroyed(plain: Tensor, augmented: Tensor) -> Finding | None:
    if augmented.shape != plain.shape:
        return _finding(
            "error",
            {"dimensions": float(augmented.ndim)},
            f"Augmentation makes of inputs {tuple(plain.shape[1:])} such of "
            f"{tuple(augmented.shape[1:])}.",
            "Let it keep the shape.",
        )
    bad = float((~torch.isfinite(augmented.float())).double().mean())
    if bad:
        return _finding(
            "error",
            {"not_finite": bad},
            f"{bad:.1%} of the values are NaN or infinite after augmentation.",
            "See what it divides by.",
        )
    before, after = _deviation(plain), _deviation(augmented)
    if before > 0 and (after > FAR * before or after < before / FARTHEST):
        return _finding(
            "warning" if before / FARTHEST <= after < FARTHEST * before else "error",
            {"before": before, "after": after},
            f"Augmented inputs have a deviation of {after:.3g}, plain ones of {before:.3g}: what "
            "is trained on has nothing to do with what is predicted.",
            "Augment in the range that the inputs have: before or after they are standardised.",
        )
    distance = abs(float(augmented.float().mean()) - float(plain.float().mean()))
    if before > 0 and distance > FARTHEST / 4 * before:
        return _finding(
            "error",
            {"mean_shift": distance / before},
            f"Augmentation moves the mean of the inputs by {distance / before:.3g} deviations.",
            "Augment in the range that the inputs have: before or after they are standardised.",
        )
    return None


def _find_nothing_left(told: Neighbours) -> Finding | None:
    before, after, chance = float(told.plain.mean()), float(told.augmented.mean()), _chance(told)
    if before - chance < LEARNT or after > chance + DESTROYED * (before - chance):
        return None
    return _finding(
        "error",
        {"before": before, "after": after},
        f"Of plain examples neighbours tell the class in {before:.0%}, of augmented ones in "
        f"{after:.0%}, {chance:.0%} being chance: augmentation destroys what a class is seen by, "
        "or gives inputs to the labels of others.",
        "Augment less, and keep the order of the examples in the batch.",
    )


def _find_changed(subject: Subject, told: Neighbours) -> Finding | None:
    """Neighbours that are wrong since augmented examples are among them, or look like them."""
    learnt = float(told.plain.mean()) - _chance(told)
    if learnt < LEARNT:
        return None
    is_enough = told.counts >= FEWEST_OF_CLASS
    lost = torch.where(is_enough, told.plain - told.misled, 0.0)
    taken = torch.where(2 * told.counts >= FEWEST_TAKEN, told.taken, 0.0)
    share = float((told.plain - told.misled).mean()) / learnt
    is_taken = float(taken.amax()) > TAKEN and learnt > WELL_LEARNT
    if share < MISLED and float(lost.amax()) < MISLED_CLASS and not is_taken:
        return None
    worst = int(taken.argmax()) if is_taken else int(lost.argmax())
    return _finding(
        "error" if share > 2 * MISLED else "warning",
        {
            "before": float(told.plain.mean()),
            "after": float(told.misled.mean()),
            "taken": float(taken.amax()),
        },
        f"Augmentation makes of one class what another looks like, and keeps the label: with "
        f"augmented examples among them, neighbours tell the class in "
        f"{float(told.misled.mean()):.0%} instead of {float(told.plain.mean()):.0%}, and "
        f"{float(taken.amax()):.0%} of an augmented class look like plain examples of another.",
        "Leave out what changes the label, such as turning digits over, or mixing examples "
        "without their labels.",
        name_class(subject, worst),
    )


def _chance(told: Neighbours) -> float:
    return 1 / len(told.plain)


def _deviation(values: Tensor) -> float:
    return float(values.float().std())


def _finding(
    severity: Severity, evidence: dict[str, float], cause: str, remedy: str, where: str = ""
) -> Finding:
    return Finding(
        "bad_augmentation",
        severity,
        where=where,
        evidence=evidence,
        cause=cause,
        remedy=remedy,
        reference=REFERENCE,
    )
