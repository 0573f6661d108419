"""A short look at the examples: what their values and labels say before any training.

Looks once, at no more than a few thousand examples. `trainwell.checks` does this thoroughly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.data.copies import coincide_by_chance, hash_rows
from trainwell.watching.arrays import spread
from trainwell.watching.giveaways import (
    find_class_code,
    find_copied_feature,
    find_correlated_feature,
    find_dividing_feature,
)
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
from trainwell.watching.shared_examples import count_shared
from trainwell.watching.target_facts import (
    are_class_numbers,
    as_classes,
    measure_agreeing,
    measure_commonest,
    measure_commonest_near,
    measure_contradicted,
    one_hot,
)

_SHARES_OF_WHOLE_NUMBERS = ((0.683, 0.272, 0.043, 0.003), (0.383, 0.483, 0.121, 0.012))
"""Of 0, ±1, ±2 and ±3 in a standard normal distribution that is cut, and in one that is rounded."""
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
        cut_columns: Share of the features that look like standard normal ones made whole numbers.
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
    cut_columns: float = 0.0
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
        "cut_columns": _measure_cut_columns(x),
    }
    if valid is not None:
        v = _rows(valid[0])
        v_std, v_mean = torch.std_mean(v, correction=0)
        found |= {
            "valid_mean": float(v_mean),
            "valid_std": float(v_std),
            "valid_examples": len(v),
            "shared": count_shared(x, v),
        }
    if y is not None and len(y) == len(x) and len(x) >= 20:
        if not classes:
            found |= _look_at_numbers(x, y)
        elif are_class_numbers(y):
            found |= _look_at_classes(x, as_classes(y))
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


def _measure_cut_columns(x: Tensor) -> float:
    """Features with the shares of whole numbers that a cast leaves of normal ones, or rounding."""
    whole = (x == x.round()).all(0)
    shares = torch.stack([(x.abs() == size).float().mean(0) for size in range(4)])
    found = torch.zeros_like(whole)
    for expected in _SHARES_OF_WHOLE_NUMBERS:
        gaps = (shares - torch.tensor(expected)[:, None]).abs()
        found |= (gaps < torch.tensor([0.08, 0.08, 0.04, 0.02])[:, None]).all(0)
    both = (x.amin(0) < -1) & (x.amax(0) > 1)
    return float((whole & found & both).float().mean())


def _look_at_classes(x: Tensor, y: Tensor) -> dict[str, Any]:
    counts = torch.bincount(y)
    column, strength = find_class_code(x, y)
    found: dict[str, Any] = {
        "class_counts": tuple(counts.tolist()),
        "leak_column": column,
        "leak_strength": strength,
        "contradicted": measure_contradicted(x, y),
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
        "association": _associate(x, one_hot(y), near),
        "spacing": compare_spacing(x),
    }


def _look_at_numbers(x: Tensor, y: Tensor) -> dict[str, Any]:
    y = y.reshape(len(y), -1).float()
    std, mean = torch.std_mean(y, correction=0)
    found: dict[str, Any] = {
        "target_std": float(std),
        "target_mean": float(mean),
        "commonest_target": measure_commonest(y),
        "distinct_targets": len(y.unique(dim=0)) / len(y),
        "agreeing": measure_agreeing(x, y),
    }
    near = find_nearest(x) if len(x) >= ENOUGH else None
    # Several numbers are a reconstruction more often than a target that a feature gives away.
    if y.shape[1] == 1:
        column, strength = find_correlated_feature(x, y[:, 0])
        place, share = find_copied_feature(x, y[:, 0])
        found |= {"leak_column": column, "leak_strength": strength}
        if strength > 0.95 and x.shape[1] > 1:
            found["others_skill"] = explain(torch.cat([x[:, :column], x[:, column + 1 :]], 1), y)
        found |= {"copied_column": place, "copied_share": share}
        if near is not None:
            found["commonest_near"] = measure_commonest_near(y[:, 0], near)
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
    if not (are_class_numbers(y) and are_class_numbers(w)):
        return {}
    y, w = as_classes(y), as_classes(w)
    count = int(max(y.max(), w.max())) + 1
    near = measure_nearest(x, NEIGHBOURS, v)[1]
    most, common = torch.nn.functional.one_hot(y[near], count).sum(1).max(1)
    return {
        "valid_misplaced": float(((most >= 0.7 * NEIGHBOURS) & (common != w)).float().mean()),
        "valid_counts": tuple(torch.bincount(w, minlength=count).tolist()),
        "valid_association": _associate(v[few], one_hot(w)[few]),
        "valid_spacing": compare_spacing(x, v),
    }
