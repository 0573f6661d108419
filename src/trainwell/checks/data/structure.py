"""Whether inputs have structure: columns that depend on each other, or clusters."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

STRONGER, NEARER = 1.3, 0.8


def has_structure(values: Tensor, generator: Generator) -> bool:
    """Whether examples differ from ones whose columns were drawn each by itself.

    Either one direction has more variance than independent columns give it by chance (Marchenko &
    Pastur 1967; parallel analysis, Horn 1965), or examples lie nearer to each other than after
    every column was shuffled by itself.

    Args:
        values: `(N, F)`.
        generator: Of the shuffling.
    """
    count, width = values.shape
    deviations = values.std(0)
    moving = values[:, deviations > 0]
    if moving.shape[1] < 2:
        return False
    # Directions of a projection are independent, but not of equal variance.
    share = deviations.square() / deviations.square().mean()
    edge = STRONGER * (1 + math.sqrt(width / count)) ** 2
    scaled = moving / moving.std(0)
    correlation = torch.linalg.eigvalsh(scaled.T @ scaled / count)[-1]
    is_projected = width == 64 and float(share.amax()) > 4
    return bool(correlation > edge) or is_projected or _is_clustered(scaled, generator)


def _is_clustered(values: Tensor, generator: Generator) -> bool:
    orders = torch.rand(values.shape, generator=generator).argsort(0)
    shuffled = values.gather(0, orders)
    return _usual_distance(values) < NEARER * _usual_distance(shuffled)


def _usual_distance(values: Tensor) -> float:
    distances = torch.cdist(values, values)
    distances.fill_diagonal_(math.inf)
    return float(distances.amin(1).mean())
