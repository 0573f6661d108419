"""Features that give the target away, though not for every example or not exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.watching.neighbours import vote

MOST_FEATURES = 512


def find_dividing_feature(x: Tensor, y: Tensor) -> tuple[int, float, float]:
    """The feature that tells two classes apart best by one limit.

    Args:
        x: `(N, F)`.
        y: Class numbers 0 and 1, `(N,)`.

    Returns:
        Its number (−1 for none), its skill and that of the ten nearest neighbours by all other
        features: 0 for the commonest class everywhere, 1 for no error.
    """
    base = max(float(y.float().mean()), 1 - float(y.float().mean()))
    if not 2 <= x.shape[1] <= MOST_FEATURES or base > 0.98 or len(x) < 100:
        return -1, 0.0, 0.0
    values, order = x.sort(0)
    ones = y[order].cumsum(0)
    zeros = torch.arange(1, len(x) + 1).unsqueeze(1) - ones
    # Below the limit one class, above it the other.
    right = torch.maximum(zeros + ones[-1] - ones, ones + zeros[-1] - zeros)[:-1]
    right[values[1:] == values[:-1]] = 0
    best = right.amax(0)
    column = int(best.argmax())
    skill = (float(best[column]) / len(x) - base) / (1 - base)
    if skill < 0.9:
        return column, skill, 0.0
    others = torch.cat([x[:, :column], x[:, column + 1 :]], 1)
    agreeing = float((vote(others, y).commonest == y).float().mean())
    return column, skill, (agreeing - base) / (1 - base)


def find_copied_feature(x: Tensor, y: Tensor) -> tuple[int, float]:
    """The feature that is the very target in most examples, and in how many.

    Args:
        x: `(N, F)`.
        y: Numbers `(N,)`, hardly any of which comes twice; else nothing is said.
    """
    if x.shape[1] < 2 or len(y.unique()) < 0.5 * len(y):
        return -1, 0.0
    same = (x == y.unsqueeze(1)).float().mean(0)
    column = int(same.argmax())
    return column, float(same[column])


def find_class_code(x: Tensor, y: Tensor) -> tuple[int, float]:
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


def find_correlated_feature(x: Tensor, y: Tensor) -> tuple[int, float]:
    """The feature `(N, F)` most correlated with the numbers `(N,)`, and how strongly."""
    centred = x - x.mean(0)
    target = y - y.mean()
    size = centred.norm(dim=0) * target.norm()
    correlation = (centred.T @ target).abs() / (size + 1e-12)
    best = int(correlation.argmax())
    return best, float(correlation[best])
