"""Hidden units that have the very weights of another unit, and so can never become different."""

from __future__ import annotations

import math

import torch
from torch import nn

MOST_LAYERS, MOST_UNITS = 12, 64


@torch.no_grad()
def count_twins(model: nn.Module) -> float:
    """Share of units that are twins, in the hidden layer where it is largest."""
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.modules.conv._ConvNd)]  # pyright: ignore[reportPrivateUsage]
    shares: list[float] = []
    for layer in layers[:-1][:MOST_LAYERS]:
        weight = layer.weight
        if isinstance(weight, nn.parameter.UninitializedParameter) or not weight.requires_grad:
            continue
        rows = weight.reshape(len(weight), -1)[:MOST_UNITS]
        if len(rows) > 1 and rows.shape[1] > 1:
            shares.append(1 - len(torch.unique(rows, dim=0)) / len(rows))
    return max(shares, default=math.nan)
