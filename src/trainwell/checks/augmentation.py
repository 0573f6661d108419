"""Augmentation that destroys the inputs, or makes of one class another."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainwell.checks.class_numbers import class_numbers
from trainwell.checks.sampling import affordable
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding, Severity

SAMPLE = 1000
FARTHEST = 20.0
"""Ratio of the deviations of augmented and plain inputs."""
FEWEST, NEIGHBOURS = 60, 5
LEARNT = 0.2
"""Above chance: less says nothing of what augmentation changes."""
DESTROYED = 0.1
MISLED, MISLED_CLASS = 0.15, 0.35
"""Recall lost by plain examples: in the mean, of what was learnt, and in a single class."""
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
    if numbers is None or len(plain) < FEWEST:
        ratio = _deviation(first) / max(1e-30, _deviation(plain))
        return [Verdict("augmentation", f"deviation {ratio:.2f} times as large", expected)]
    recalls = confusion(plain.cpu().float(), (first.cpu().float(), second.cpu().float()), numbers)
    before, misled, augmented = recalls
    seen = (
        f"neighbours right in {float(before.mean()):.0%}, with it in {float(misled.mean()):.0%}, "
        f"of it in {float(augmented.mean()):.0%} of {len(plain):,} examples"
    )
    findings = _find_changed(before, misled, augmented, 1 / len(before))
    return [Verdict("augmentation", seen, expected, tuple(findings))]


def confusion(
    plain: Tensor, augmented: tuple[Tensor, Tensor], numbers: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """How often nearest neighbours are right, for each class.

    One half of the examples is looked up among the other, and among the other with its augmented
    copies: where these are of another class than they are labelled, they mislead. Augmented
    examples are looked up likewise: where they are destroyed, nothing is found.

    Args:
        plain: `(N, ...)`.
        augmented: The same twice, augmented with different random numbers.
        numbers: Classes `(N,)`.

    Returns:
        Recall of each class, of plain examples among plain ones, of plain ones among both, and of
        augmented ones among both.
    """
    known = torch.arange(len(plain)) % 2 == 0
    first, second = (values.flatten(1) for values in augmented)
    flat = plain.flatten(1)
    both, both_numbers = torch.cat([flat[known], first[known]]), numbers[known].repeat(2)
    asked = numbers[~known]
    return (
        _recall(_look_up(flat[~known], flat[known], numbers[known]), asked),
        _recall(_look_up(flat[~known], both, both_numbers), asked),
        _recall(_look_up(second[~known], both, both_numbers), asked),
    )


def _look_up(asked: Tensor, known: Tensor, numbers: Tensor) -> Tensor:
    nearest = torch.cdist(asked, known).topk(NEIGHBOURS, largest=False).indices
    votes = functional.one_hot(numbers[nearest]).sum(1)
    return votes.argmax(1)


def _recall(said: Tensor, numbers: Tensor) -> Tensor:
    classes = numbers.unique()
    return torch.stack([(said[numbers == c] == c).double().mean() for c in classes])


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
    if before > 0 and (after > FARTHEST * before or after < before / FARTHEST):
        return _finding(
            "error",
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


def _find_changed(
    before: Tensor, misled: Tensor, augmented: Tensor, chance: float
) -> list[Finding]:
    """Neighbours that were right before and are wrong since augmented examples are among them."""
    learnt = float(before.mean()) - chance
    if learnt < LEARNT:
        return []
    if float(augmented.mean()) < chance + DESTROYED * learnt:
        return [
            _finding(
                "error",
                {"before": float(before.mean()), "after": float(augmented.mean())},
                f"Of plain examples neighbours tell the class in {float(before.mean()):.0%}, of "
                f"augmented ones in {float(augmented.mean()):.0%}, {chance:.0%} being chance: "
                "augmentation destroys what the class is seen by.",
                "Augment less.",
            )
        ]
    loss = before - misled
    if float(loss.mean()) > MISLED * learnt or float(loss.amax()) > MISLED_CLASS:
        return [
            _finding(
                "error" if float(loss.mean()) > 2 * MISLED * learnt else "warning",
                {"before": float(before.mean()), "after": float(misled.mean())},
                f"With augmented examples among them, neighbours tell the class in "
                f"{float(misled.mean()):.0%} instead of {float(before.mean()):.0%} (in the worst "
                f"class {float(loss.amax()):.0%} less): augmentation makes of one class what "
                "another looks like, and keeps the label.",
                "Leave out what changes the label, such as turning digits over or mixing examples "
                "without their labels.",
            )
        ]
    return []


def _deviation(values: Tensor) -> float:
    return float(values.float().std())


def _finding(severity: Severity, evidence: dict[str, float], cause: str, remedy: str) -> Finding:
    return Finding(
        "bad_augmentation",
        severity,
        evidence=evidence,
        cause=cause,
        remedy=remedy,
        reference=REFERENCE,
    )
