"""Splits that are stratified, seeded and never empty."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from trainwell.data.seeding import derive_seed
from trainwell.errors import DataError


def cut(targets: Tensor, fraction: float, *, seed: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Positions of the larger and of the smaller part of the examples, each in order.

    Each class gives the same share to both parts, as near as whole examples allow; a class with a
    single example stays in the larger part.

    Args:
        targets: Class numbers `(N,)` int64 to stratify by; anything else is cut at random.
        fraction: Share of the smaller part, in (0, 1).
        seed: The same seed cuts alike.
        purpose: Another purpose cuts otherwise with the same seed.

    Raises:
        DataError: A part would be empty.
    """
    count = len(targets)
    if not 0 < fraction < 1:
        raise DataError(f"a split of {fraction:g} is not a share between 0 and 1", where="splits")
    generator = Generator().manual_seed(derive_seed(seed, "split", purpose))
    order = torch.randperm(count, generator=generator)
    chosen = _choose(targets[order], fraction)
    if not bool(chosen.any()) or bool(chosen.all()):
        raise DataError(
            f"{count} examples cannot be split into {1 - fraction:.0%} and {fraction:.0%}: "
            "one part would be empty",
            where=purpose,
            remedy="Give more examples, or another fraction",
        )
    return order[~chosen].sort().values, order[chosen].sort().values


def _choose(targets: Tensor, fraction: float) -> Tensor:
    """Which of the shuffled examples go into the smaller part, `(N,)` bool."""
    count = len(targets)
    wanted = max(1, round(count * fraction))
    if targets.ndim != 1 or targets.is_floating_point():
        return torch.arange(count) < wanted
    rank, sizes = _rank_within_class(targets)
    size = sizes[targets - targets.min()]
    # Examples with the lowest share of their class before them come first, whatever the class.
    share = (rank.double() + 0.5) / size.double()
    share[size == 1] = 2.0
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[share.argsort(stable=True)[:wanted]] = True
    return chosen & (share <= 1)


def _rank_within_class(targets: Tensor) -> tuple[Tensor, Tensor]:
    """For each example, how many of its class stand before it; and the size of each class."""
    shifted = targets - targets.min()
    sizes = torch.bincount(shifted)
    by_class = shifted.argsort(stable=True)
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)[:-1]])
    rank = torch.empty_like(shifted)
    rank[by_class] = torch.arange(len(shifted)) - starts[shifted[by_class]]
    return rank, sizes
