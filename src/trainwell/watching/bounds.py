"""Weights that are held at a bound: clamped, or of a limited norm."""

from __future__ import annotations

import math

import torch
from torch import nn


@torch.no_grad()
def share_at_bound(model: nn.Module) -> float:
    """Share of the trained numbers, or of the units' norms, that have exactly the largest size.

    Not-a-number without numbers, or where all are zero.
    """
    trained = [
        p.detach().float().abs().cpu()
        for p in model.parameters()
        if not isinstance(p, nn.UninitializedParameter)
        and p.requires_grad and p.ndim and p.numel() and p.is_floating_point()
    ]  # fmt: skip
    most = max((float(p.max()) for p in trained), default=0.0)
    if not 0 < most < math.inf:
        return math.nan
    held = sum(int((p >= most * (1 - 1e-6)).sum()) for p in trained)
    norms = [p.flatten(1).norm(dim=1) for p in trained if p.ndim > 1]
    units = torch.cat(norms) if norms else torch.zeros(0)
    alike = 0.0
    if len(units) >= 16:
        alike = float((units >= units.max() * (1 - 1e-5)).float().mean())
    return max(held / sum(p.numel() for p in trained), alike)
