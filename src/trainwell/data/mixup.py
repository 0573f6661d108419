"""Mixup: each example mixed with another of its batch (Zhang et al. 2018)."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Mixing:
    """Who is mixed with whom, and how much.

    Attributes:
        partners: Place in the batch of each example's partner, `(N,)` int64 on the host.
        share: Of each example itself, in [0.5, 1]; its partner has the rest.
    """

    partners: Tensor
    share: float

    def mix(self, inputs: Tensor) -> Tensor:
        """Inputs `(N, ...)`, each with a part of its partner's."""
        return self.partners_of(inputs).lerp_(inputs, self.share)

    def partners_of(self, values: Tensor) -> Tensor:
        """What each example's partner has, `(N, ...)`."""
        return values.index_select(0, self.partners.to(values.device, non_blocking=True))


def draw_mixing(alpha: float, count: int, seed: int) -> Mixing:
    """One share for the batch from Beta(alpha, alpha), and a random order of partners.

    The larger of λ and 1 − λ is taken. Swapping them only renames examples and partners, so the
    mixed batches are as probable as before, and the dominant example is known without looking.

    Args:
        alpha: Above 0; the larger, the more even the mixtures.
        count: Examples in the batch.
        seed: Of this batch.
    """
    drawn = random.Random(seed).betavariate(alpha, alpha)
    partners = torch.randperm(count, generator=Generator().manual_seed(seed))
    return Mixing(partners, max(drawn, 1 - drawn))
