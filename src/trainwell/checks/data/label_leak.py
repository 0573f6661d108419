"""Features that give the label away: copies of it, and marks that each class has for itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainwell.checks.data.class_numbers import class_numbers, name_column, target_columns
from trainwell.checks.data.first_weights import looks_up_tokens
from trainwell.checks.data.sampling import affordable
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding

SAMPLE = 1000
FEWEST = 40
MOST_COLUMNS = 20_000
APART = 6.0
"""Distance of class means in deviations within the classes, from which a feature is a copy."""
ORDINARY = 3.0
COPY, NEAR_COPY = 1 - 1e-6, 0.995
"""Squared correlation with a target."""
REFERENCE = "Kaufman, Rosset, Perlich & Stitelman (2012), Leakage in data mining"


@dataclass(frozen=True)
class Leak:
    """A feature that gives the label away, and how well."""

    column: int
    right: float
    kind: str


def check_label_leak(subject: Subject) -> list[Verdict]:
    """Whether one feature alone predicts the label nearly without a fault, and no other does."""
    part = affordable(subject, subject.train, SAMPLE, "label leak")
    if looks_up_tokens(subject, part.inputs[:1]) or len(part) < FEWEST:
        return []
    inputs = subject.examples(part)[0].reshape(len(part), -1).cpu().float()
    stride = -(-inputs.shape[1] // MOST_COLUMNS)
    inputs = inputs[:, ::stride]
    numbers, targets = class_numbers(subject, part), target_columns(subject, part)
    if inputs.shape[1] < 2 or (numbers is None and targets is None):
        return []
    if numbers is not None:
        half = torch.randperm(len(inputs), generator=subject.generator("halves")) % 2 == 0
        best, leaks = _leaks_of_classes(inputs, numbers, half)
        seen = f"largest distance of classes {best:.3g} deviations"
        expected = f"below {APART:g} in a single feature"
    else:
        assert targets is not None
        best, leaks = _leaks_of_numbers(inputs, targets)
        seen, expected = f"largest squared correlation {best:.4f}", f"below {NEAR_COPY}"
    seen += f" in {len(part):,} examples"
    findings = (_told(subject, leaks, stride),) if leaks else ()
    return [Verdict("label leak", seen, expected, findings)]


def _leaks_of_classes(inputs: Tensor, numbers: Tensor, half: Tensor) -> tuple[float, list[Leak]]:
    """Found on one half, confirmed on the other."""
    numbers = numbers.unique(return_inverse=True)[1]
    if int(numbers.max()) == 0 or len(numbers[half].unique()) <= int(numbers.max()):
        return 0.0, []
    distances = distance_of_classes(inputs[half], numbers[half])
    best = float(distances.amax())
    found = (distances >= APART).nonzero().flatten()
    is_exact = distances >= 1000
    if len(found) and _stand_out(distances, found, is_exact):
        leaks = [
            Leak(int(column), right, "copy")
            for column in found[:5]
            if (right := _nearest_mean_accuracy(inputs[:, column], numbers, half)) >= 0.99
        ]
        if leaks:
            return best, leaks
    return best, _marks(inputs, numbers)


def distance_of_classes(inputs: Tensor, numbers: Tensor) -> Tensor:
    """Least distance of two class means, in deviations within the classes, for each feature.

    Args:
        inputs: `(N, F)`.
        numbers: Classes `(N,)`, each with an example.
    """
    members = functional.one_hot(numbers).to(inputs.dtype)
    counts = members.sum(0).unsqueeze(1)
    means = members.T @ inputs / counts
    within = (inputs - means[numbers]).square().mean(0).sqrt()
    gaps = means.sort(0).values.diff(dim=0).amin(0)
    # What rounding leaves of an exact copy is no deviation.
    return gaps / within.clamp(min=1e-30 + 1e-6 * gaps)


def _stand_out(distances: Tensor, found: Tensor, is_exact: Tensor) -> bool:
    """Whether these are few, and the others ordinary: else the classes are simply well apart."""
    if bool(is_exact[found].any()):
        return True
    if len(distances) < 4 or len(found) > max(1, len(distances) // 10):
        return False
    others = distances[distances < APART]
    return float(others.quantile(0.95)) < max(ORDINARY, float(distances.amax()) / 10)


def _nearest_mean_accuracy(feature: Tensor, numbers: Tensor, half: Tensor) -> float:
    classes = int(numbers.max()) + 1
    means = torch.stack([feature[half & (numbers == c)].mean() for c in range(classes)])
    said = (feature[~half].unsqueeze(1) - means).abs().argmin(1)
    return float((said == numbers[~half]).double().mean())


def _marks(inputs: Tensor, numbers: Tensor) -> list[Leak]:
    """Features that have one value in all examples of a class and in no other example.

    Of many classes nearly all must be marked so; a natural feature may mark one.
    """
    classes = int(numbers.max()) + 1
    counts = torch.bincount(numbers)
    leaks: list[Leak] = []
    spread = inputs.std(0)
    for number in range(classes):
        if int(counts[number]) < 10:
            continue
        members = inputs[numbers == number]
        value = members[0]
        is_marked = ((members - value).abs() <= 1e-3 * spread).double().mean(0) >= 0.99
        candidates = (is_marked & (spread > 0)).nonzero().flatten()
        if not len(candidates):
            continue
        others = inputs[numbers != number][:, candidates]
        shared = ((others - value[candidates]).abs() <= 1e-3 * spread[candidates]).double().mean(0)
        if float(shared.amin()) <= 0.01:
            column = int(candidates[shared.argmin()])
            leaks.append(Leak(column, 1 - float(shared.amin()), "mark"))
    is_enough = len(leaks) >= (1 if classes == 2 else 0.8 * classes)
    return leaks if is_enough else []


def _leaks_of_numbers(inputs: Tensor, targets: Tensor) -> tuple[float, list[Leak]]:
    centred = inputs.double() - inputs.double().mean(0)
    wanted = targets - targets.mean(0)
    power = centred.square().sum(0).unsqueeze(1) * wanted.square().sum(0)
    squared = (centred.T @ wanted).square() / power.clamp(min=1e-300)
    explained = squared.amax(1)
    best = float(explained.amax())
    found = (explained >= NEAR_COPY).nonzero().flatten()
    if not len(found):
        return best, []
    others = explained[explained < NEAR_COPY]
    is_exact = bool((explained[found] >= COPY).any())
    is_alone = len(explained) >= 4 and len(others) > 0 and float(others.amax()) < 0.95
    few = len(found) <= max(1, len(explained) // 10)
    if not (is_exact or (is_alone and few)):
        return best, []
    return best, [Leak(int(column), float(explained[column]), "copy") for column in found[:5]]


def _told(subject: Subject, leaks: list[Leak], stride: int) -> Finding:
    names = ", ".join(name_column(subject, leak.column * stride) for leak in leaks[:5])
    worst = min(leak.right for leak in leaks)
    means = {
        "copy": f"{names} is the label in another form: alone it tells {worst:.1%} of it",
        "mark": f"Examples of a class share a value that no other has ({names}): it tells "
        f"{worst:.1%} of them apart",
    }
    return Finding(
        "label_leak",
        # To tell the class of a sequence by one place may be the very task.
        "note" if subject.train.inputs.ndim == 3 and subject.task != "regression" else "error",
        where=names,
        evidence={"features": float(len(leaks)), "predictability": worst},
        cause=means[leaks[0].kind] + ". The model will learn this and nothing else, and fail where "
        "the label is not known beforehand.",
        remedy="Leave it out of the inputs, unless it is really known when predictions are made.",
        reference=REFERENCE,
    )
