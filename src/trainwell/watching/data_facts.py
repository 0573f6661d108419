"""A short look at the examples: what their values and labels say before any training.

Looks once, at no more than a few thousand examples. `trainwell.checks` does this thoroughly.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.data.copies import coincide_by_chance, hash_rows
from trainwell.watching.arrays import spread, to_arrays
from trainwell.watching.giveaways import find_copied_feature, find_dividing_feature
from trainwell.watching.neighbours import (
    ENOUGH,
    NEIGHBOURS,
    compare_spacing,
    explain,
    explain_by_code,
    find_nearest,
    measure_nearest,
    vote,
)

MOST_CLASSES = 256
MOST_PRODUCTS = 2_000_000_000
"""Of numbers, for the distances between examples."""


@dataclass(frozen=True)
class DataFacts:
    """What was found.

    Attributes:
        examples: Training examples that were looked at.
        features: Numbers in one example.
        shared: Validation examples that are training examples too.
        valid_examples: Validation examples that were looked at.
        leak_column: Number of the feature that gives the target away; −1 for none.
        leak_strength: How well it does, from 0 to 1.
        dividing_column: Number of the feature that tells two classes apart best by one limit.
        dividing_skill: How well it does: 1 without an error, 0 as the commonest class.
        others_skill: How well the nearest neighbours do by all other features.
        copied_column: Number of the feature that is the target itself most often.
        copied_share: In how many examples it is.
        one_neighbour: Share of examples whose nearest other example has the same class.
        neighbours: Share of examples whose class is the commonest one of the nearest ten.
        misplaced: Share of examples whose ten nearest nearly all have one other class.
        neighbour_fit: Share of a regression's variance that the nearest ten explain.
        association: Share of the targets' variance that neighbours or codes explain.
        valid_association: The same within the validation examples.
        spacing: How much denser examples lie among their nearest than further away; about 1.
        valid_misplaced: Share of validation examples whose ten nearest training examples nearly
            all have one other class.
        valid_spacing: The same of validation examples among those of the training.
        distinct_targets: Distinct targets of a regression as a share of the examples.
        distinct: Distinct examples as a share of all.
        coincides: Whether examples can take so few values that some are alike by chance.
        agreeing: Share of the examples that come again whose targets come again with them; 0
            where targets take so few values that this says nothing.
        contradicted: Share of examples that another one of the same inputs and another class
            contradicts.
        commonest_target: Share of the commonest target of a regression.
        commonest_elsewhere: Share of that target among the validation examples.
        commonest_near: Share of that target among the neighbours of examples that have it.
        changed: Share of the examples seen in training that are none of the training data's.
        valid_counts: Validation examples of each class.
        train_mean: Of all training values.
        train_std: Of all training values.
        valid_mean: Of all validation values; not-a-number without.
        valid_std: Of all validation values; not-a-number without.
        class_counts: Examples of each class in the training data; empty for a regression.
        target_std: Of a regression's targets.
        target_mean: Of a regression's targets.
    """

    examples: int = 0
    features: int = 0
    shared: int = 0
    valid_examples: int = 0
    leak_column: int = -1
    leak_strength: float = 0.0
    dividing_column: int = -1
    dividing_skill: float = 0.0
    others_skill: float = 0.0
    copied_column: int = -1
    copied_share: float = 0.0
    one_neighbour: float = float("nan")
    neighbours: float = float("nan")
    misplaced: float = float("nan")
    neighbour_fit: float = float("nan")
    association: float = float("nan")
    valid_association: float = float("nan")
    spacing: float = float("nan")
    valid_spacing: float = float("nan")
    distinct_targets: float = 0.0
    valid_misplaced: float = float("nan")
    distinct: float = 1.0
    coincides: bool = False
    agreeing: float = 0.0
    contradicted: float = 0.0
    commonest_target: float = 0.0
    commonest_elsewhere: float = float("nan")
    commonest_near: float = float("nan")
    changed: float = float("nan")
    valid_counts: tuple[int, ...] = ()
    train_mean: float = float("nan")
    train_std: float = float("nan")
    valid_mean: float = float("nan")
    valid_std: float = float("nan")
    class_counts: tuple[int, ...] = ()
    target_std: float = float("nan")
    target_mean: float = float("nan")


def look_at_data(
    train: tuple[Tensor, Tensor | None], valid: tuple[Tensor, Tensor | None] | None, classes: bool
) -> DataFacts:
    """Facts of training examples `(N, ...)` with targets, and of validation examples.

    Args:
        train: Inputs and targets.
        valid: Likewise; None without.
        classes: Whether the targets are classes.
    """
    train, valid = _thin(train), _thin(valid) if valid is not None else None
    x, y = _rows(train[0]), train[1].detach().cpu() if train[1] is not None else None
    std, mean = torch.std_mean(x, correction=0)
    found: dict[str, Any] = {
        "examples": len(x),
        "features": x.shape[1],
        "train_mean": float(mean),
        "train_std": float(std),
        "distinct": len(hash_rows(train[0]).unique()) / len(x),
        "coincides": coincide_by_chance(x),
    }
    if valid is not None:
        v = _rows(valid[0])
        v_std, v_mean = torch.std_mean(v, correction=0)
        found |= {
            "valid_mean": float(v_mean),
            "valid_std": float(v_std),
            "valid_examples": len(v),
            "shared": _count_shared(x, v),
        }
    if y is not None and len(y) == len(x) and len(x) >= 20:
        if not classes:
            found |= _look_at_numbers(x, y)
        elif _are_class_numbers(y):
            found |= _look_at_classes(x, _as_classes(y))
        if valid is not None and valid[1] is not None and len(valid[1]) == len(valid[0]):
            v, w = _rows(valid[0]), valid[1].detach().cpu()
            found |= _look_at_validation(x, y, v, w, classes)
    return DataFacts(**found)


def _thin(pair: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    """So many examples, evenly spread, that all their distances take some tenths of a second."""
    inputs, targets = pair
    features = max(inputs[0].numel(), 1) if len(inputs) else 1
    rows = spread(len(inputs), max(200, math.isqrt(MOST_PRODUCTS // features)))
    return inputs[rows], targets[rows] if targets is not None else None


def _rows(inputs: Tensor) -> Tensor:
    return inputs.detach().cpu().float().flatten(1)


def _look_at_classes(x: Tensor, y: Tensor) -> dict[str, Any]:
    counts = torch.bincount(y)
    column, strength = _find_class_leak(x, y)
    found: dict[str, Any] = {
        "class_counts": tuple(counts.tolist()),
        "leak_column": column,
        "leak_strength": strength,
        "contradicted": _count_contradicted(x, y),
    }
    if len(counts) == 2:
        place, skill, others = find_dividing_feature(x, y)
        found |= {"dividing_column": place, "dividing_skill": skill, "others_skill": others}
    if len(x) < ENOUGH:
        return found
    near = find_nearest(x)
    said = vote(x, y, near)
    misplaced = (said.agreeing >= 0.7 * NEIGHBOURS) & (said.commonest != y)
    return found | {
        "one_neighbour": float((said.first == y).float().mean()),
        "neighbours": float((said.commonest == y).float().mean()),
        "misplaced": float(misplaced.float().mean()),
        "association": _associate(x, _one_hot(y), near),
        "spacing": compare_spacing(x),
    }


def _look_at_numbers(x: Tensor, y: Tensor) -> dict[str, Any]:
    y = y.reshape(len(y), -1).float()
    std, mean = torch.std_mean(y, correction=0)
    found: dict[str, Any] = {
        "target_std": float(std),
        "target_mean": float(mean),
        "commonest_target": _share_of_commonest(y),
        "distinct_targets": len(y.unique(dim=0)) / len(y),
        "agreeing": _share_of_agreeing(x, y),
    }
    near = find_nearest(x) if len(x) >= ENOUGH else None
    # Several numbers are a reconstruction more often than a target that a feature gives away.
    if y.shape[1] == 1:
        column, strength = _find_number_leak(x, y[:, 0])
        place, share = find_copied_feature(x, y[:, 0])
        found |= {"leak_column": column, "leak_strength": strength}
        if strength > 0.95 and x.shape[1] > 1:
            found["others_skill"] = explain(torch.cat([x[:, :column], x[:, column + 1 :]], 1), y)
        found |= {"copied_column": place, "copied_share": share}
        if near is not None:
            found["commonest_near"] = _share_of_commonest_near(y[:, 0], near)
    if near is None:
        return found
    return found | {
        "neighbour_fit": explain(x, y, near),
        "association": _associate(x, y, near),
        "spacing": compare_spacing(x),
    }


def _associate(x: Tensor, y: Tensor, near: Tensor | None = None) -> float:
    """Share of the variance of targets `(N, K)` that neighbours or codes explain."""
    return max(explain(x, y, near), explain_by_code(x, y))


def count_shared_rows(train: Any, valid: Any) -> tuple[int, int]:
    """Validation examples that are training examples too, and how many were looked at.

    Looks at all examples of arrays that are not too large, since a sample of both would miss most.
    """
    pairs = [to_arrays(data, 50_000) for data in (train, valid)]
    if pairs[0] is None or pairs[1] is None:
        return 0, 0
    x, v = (pair[0].detach().cpu().flatten(1) for pair in pairs if pair is not None)
    if x.dtype != v.dtype or x.numel() + v.numel() > 100_000_000:
        return 0, 0
    return _count_shared(x, v), len(v)


def _count_shared(x: Tensor, v: Tensor) -> int:
    """How many rows of `v` are rows of `x`; rows that are constant do not count."""
    if x.shape[1] != v.shape[1] or x.shape[1] < 2:
        return 0
    known = torch.isin(hash_rows(v), hash_rows(x))
    return int((known & (v.amax(1) > v.amin(1))).sum())


def _find_class_leak(x: Tensor, y: Tensor) -> tuple[int, float]:
    """The feature whose values are a code of the class: constant within, different between."""
    groups = [x[y == k] for k in y.unique().tolist()]
    if len(groups) < 2 or min(map(len, groups)) < 3:
        return -1, 0.0
    means = torch.stack([g.mean(0) for g in groups])
    within = torch.stack([g.std(0, correction=0) for g in groups]).amax(0)
    ordered = means.sort(0).values
    gap = (ordered[1:] - ordered[:-1]).amin(0)
    strength = gap / (gap + within + 1e-12)
    best = int(strength.argmax())
    return best, float(strength[best])


def _find_number_leak(x: Tensor, y: Tensor) -> tuple[int, float]:
    centred = x - x.mean(0)
    target = y - y.mean()
    size = centred.norm(dim=0) * target.norm()
    correlation = (centred.T @ target).abs() / (size + 1e-12)
    best = int(correlation.argmax())
    return best, float(correlation[best])


def _share_of_commonest(y: Tensor) -> float:
    if y.shape[1] != 1:
        return 0.0
    return float(y.unique(return_counts=True)[1].max()) / len(y)


def _share_of_commonest_near(y: Tensor, near: Tensor) -> float:
    """How often the neighbours of examples with the commonest target have it too."""
    values, counts = y.unique(return_counts=True)
    has = y == values[counts.argmax()]
    return float(has[near[has]].float().mean())


def _one_hot(y: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(y).float()


def _are_class_numbers(y: Tensor) -> bool:
    """Whether there is one class for each example, and not too many of them.

    Else they are classes of positions, several labels, or numbers of users or words.
    """
    if y.ndim > 1 and y.numel() > len(y):
        sums = y.float().flatten(1).sum(1)
        return y.ndim == 2 and bool(((sums - 1).abs() < 1e-3).all()) and y.shape[1] <= MOST_CLASSES
    # Classes may be −1 and 1; −100 is no class.
    return int(y.min()) >= -1 and int(y.max()) < MOST_CLASSES


def _as_classes(y: Tensor) -> Tensor:
    y = y.reshape(len(y), -1)
    return y.argmax(1) if y.shape[1] > 1 else y[:, 0].round().long().clamp(min=0)


def _share_of_agreeing(x: Tensor, y: Tensor) -> float:
    if y.shape == x.shape or len(y.unique(dim=0)) < 20:
        return 0.0  # of a reconstruction, or of a handful of values
    _, groups, counts = hash_rows(x).unique(return_inverse=True, return_counts=True)
    both = hash_rows(torch.cat([x, y], 1)).unique(return_inverse=True, return_counts=True)
    again = counts[groups] > 1
    return float((both[2][both[1]] > 1)[again].float().mean()) if bool(again.any()) else 0.0


def _count_contradicted(x: Tensor, y: Tensor) -> float:
    votes: dict[int, Counter[int]] = {}
    for key, label in zip(hash_rows(x).tolist(), y.tolist(), strict=True):
        votes.setdefault(key, Counter())[label] += 1
    return 1 - sum(max(counts.values()) for counts in votes.values()) / len(x)


def _look_at_validation(
    x: Tensor, y: Tensor, v: Tensor, w: Tensor, classes: bool
) -> dict[str, Any]:
    """What the validation examples say of targets, by themselves and beside the training's."""
    if min(len(x), len(v)) < ENOUGH or v.shape[1] != x.shape[1]:
        return {}
    # Of more examples, neighbours lie nearer and explain more.
    few = slice(len(x))
    if not classes:
        w = w.reshape(len(w), -1).float()
        found: dict[str, Any] = {"valid_association": _associate(v[few], w[few])}
        if w.shape[1] == 1:
            values, counts = y.reshape(-1).float().unique(return_counts=True)
            found["commonest_elsewhere"] = float((w == values[counts.argmax()]).float().mean())
        return found | {"valid_spacing": compare_spacing(x, v)}
    if not (_are_class_numbers(y) and _are_class_numbers(w)):
        return {}
    y, w = _as_classes(y), _as_classes(w)
    count = int(max(y.max(), w.max())) + 1
    near = measure_nearest(x, NEIGHBOURS, v)[1]
    most, common = torch.nn.functional.one_hot(y[near], count).sum(1).max(1)
    return {
        "valid_misplaced": float(((most >= 0.7 * NEIGHBOURS) & (common != w)).float().mean()),
        "valid_counts": tuple(torch.bincount(w, minlength=count).tolist()),
        "valid_association": _associate(v[few], _one_hot(w)[few]),
        "valid_spacing": compare_spacing(x, v),
    }
