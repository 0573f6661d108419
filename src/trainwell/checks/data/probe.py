"""A quick probe: what nearest neighbours and a linear fit can tell of the labels, out of fold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

NEIGHBOURS = 10
FOLDS = 5
DIRECTIONS = 64
PIXELS = 14
MOST_TOKENS = 2000


@dataclass(frozen=True)
class Probe:
    """What a probe says of examples that it has not seen.

    Attributes:
        scores: `(N, K)`, as the wanted columns.
        skill: Correlation of scores and what was wanted, over all columns.
        sureness: The same in standard errors of what comes by chance.
        name: Of the features and the fit.
    """

    scores: Tensor
    skill: float
    sureness: float
    name: str


def features_of(inputs: Tensor, is_tokens: bool) -> dict[str, Tensor]:
    """Few numbers for each example, float32 with about unit variance in all.

    Args:
        inputs: `(N, ...)` as the model sees them.
        is_tokens: Whether these are numbers of tokens.

    Returns:
        `values`; of images and sequences also their `spectrum`, which does not change when they are
        moved. Each `(N, F)`.
    """
    if is_tokens:
        return {"values": _reduce(_count_tokens(inputs.reshape(len(inputs), -1)))}
    if inputs.ndim == 4:
        pooled = functional.adaptive_avg_pool2d(inputs, _at_most(inputs.shape[2:], PIXELS))
        grey = functional.adaptive_avg_pool2d(inputs, _at_most(inputs.shape[2:], 32)).mean(1)
        spectrum = torch.fft.rfft2(grey - grey.mean((1, 2), keepdim=True)).abs()
        return {"values": _reduce(pooled.flatten(1)), "spectrum": _reduce(_logarithm(spectrum))}
    if inputs.ndim == 3:
        spectrum = torch.fft.rfft(inputs - inputs.mean(1, keepdim=True), dim=1).abs()
        return {"values": _reduce(inputs.flatten(1)), "spectrum": _reduce(_logarithm(spectrum))}
    values = inputs.reshape(len(inputs), -1).float()
    deviation = values.std(0)
    return {"values": _reduce(values / torch.where(deviation > 0, deviation, 1.0))}


def best_probe(features: dict[str, Tensor], wanted: Tensor, generator: Generator) -> Probe:
    """The probe with the highest skill.

    Args:
        features: As `features_of` gives them.
        wanted: `(N, K)`: membership of classes, or numbers.
        generator: Of the folds.
    """
    folds = torch.randperm(len(wanted), generator=generator) % FOLDS
    probes = [
        Probe(scores, *skill_of(scores, wanted), f"{fit} of {name}")
        for name, values in features.items()
        for fit, scores in _predict(values, wanted, folds)
    ]
    return max(probes, key=lambda probe: probe.sureness)


def forest_probe(features: dict[str, Tensor], wanted: Tensor, seed: int) -> Probe:
    """A random forest (Breiman 2001), which sees what neighbours and lines do not."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    inputs = torch.cat(list(features.values()), 1).numpy()
    forest = RandomForestRegressor(60, min_samples_leaf=3, max_features="sqrt", random_state=seed)  # pyright: ignore[reportArgumentType]
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    column = wanted.numpy() if wanted.shape[1] > 1 else wanted[:, 0].numpy()
    scores = torch.as_tensor(cross_val_predict(forest, inputs, column, cv=folds))
    scores = scores.reshape(wanted.shape).float()
    return Probe(scores, *skill_of(scores, wanted), "forest")


def skill_of(scores: Tensor, wanted: Tensor) -> tuple[float, float]:
    """How scores go with what is wanted.

    Args:
        scores, wanted: `(N, K)`.

    Returns:
        Their correlation over all columns, and how many standard errors that is away from what
        wanted rows in random order would have (Pitman 1937, Significance tests which may be applied
        to samples from any populations).
    """
    scores, wanted = (values.double() - values.double().mean(0) for values in (scores, wanted))
    together = float((scores * wanted).sum())
    power = float(scores.square().sum() * wanted.square().sum())
    # Out of fold, each of two examples speaks of the other: their product counts twice.
    variance = 2 * float(((scores.T @ scores) * (wanted.T @ wanted)).sum()) / (len(scores) - 1)
    if power <= 0 or variance <= 0:
        return 0.0, 0.0
    return together / math.sqrt(power), together / math.sqrt(variance)


def fit_line(inputs: Tensor, wanted: Tensor) -> Tensor:
    """Weights of a ridge regression, with a last row for the constant (Hoerl & Kennard 1970)."""
    known = functional.pad(inputs, (0, 1), value=1.0)
    penalty = 0.01 * len(known) * torch.eye(known.shape[1])
    penalty[-1, -1] = 1e-6
    return torch.linalg.solve(known.T @ known + penalty, known.T @ wanted)


def _predict(values: Tensor, wanted: Tensor, folds: Tensor) -> Iterator[tuple[str, Tensor]]:
    distances = torch.cdist(values, values)
    distances[folds.unsqueeze(1) == folds] = math.inf
    count = min(NEIGHBOURS, len(values) - int(torch.bincount(folds).max()))
    nearest = distances.topk(count, largest=False).indices
    yield "neighbours", wanted[nearest].mean(1)
    scores = torch.empty_like(wanted)
    for fold in range(FOLDS):
        held = folds == fold
        weights = fit_line(values[~held], wanted[~held])
        scores[held] = functional.pad(values[held], (0, 1), value=1.0) @ weights
    yield "line", scores


def _reduce(values: Tensor) -> Tensor:
    """Centred, in the directions of the most variance, with about unit variance in all."""
    centred = values.float() - values.float().mean(0)
    centred = centred / centred.std().clamp(min=1e-12)
    if centred.shape[1] <= DIRECTIONS:
        return centred
    _, _, directions = torch.pca_lowrank(centred, min(DIRECTIONS, len(centred)), center=False)
    projected = centred @ directions
    return projected / projected.std().clamp(min=1e-12)


def _at_most(shape: torch.Size, most: int) -> tuple[int, int]:
    return min(shape[0], most), min(shape[1], most)


def _logarithm(spectrum: Tensor) -> Tensor:
    return (spectrum + 1e-3 * spectrum.mean().clamp(min=1e-12)).log().flatten(1)


def _count_tokens(tokens: Tensor) -> Tensor:
    """How often each token comes, and for few tokens also at which place."""
    numbers = tokens.long() - int(tokens.min())
    kinds = int(numbers.max()) + 1
    if kinds > MOST_TOKENS:
        numbers, kinds = numbers % MOST_TOKENS, MOST_TOKENS
    counts = torch.zeros(len(numbers), kinds)
    counts.scatter_add_(1, numbers, torch.ones(numbers.shape))
    if kinds * numbers.shape[1] > MOST_TOKENS:
        return counts
    return torch.cat([counts, functional.one_hot(numbers, kinds).flatten(1).float()], 1)
