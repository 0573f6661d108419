"""Mirrored images."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.data.draw import Augmentation, Draw
from trainwell.data.seeding import derive_seed

LEFT_TO_RIGHT, TOP_TO_BOTTOM = -1, -2


def flip() -> Augmentation:
    """Mirrors each image left to right with probability one half."""
    return lambda images, draw: mirror(images, draw.uniform(0, 1) < 0.5, LEFT_TO_RIGHT)


def flip_vertical() -> Augmentation:
    """Mirrors each image top to bottom with probability one half."""
    return lambda images, draw: mirror(images, draw.uniform(0, 1) < 0.5, TOP_TO_BOTTOM)


def alternating_flip() -> Augmentation:
    """Mirrors each image left to right in every second epoch (Jordan 2024).

    A random half is mirrored in the first epoch; after that each image is seen the other way
    round than in the epoch before. Two epochs in a row then show every image both ways, where
    independent flips show half of them the same way twice.
    """

    def augment(images: Tensor, draw: Draw) -> Tensor:
        mirrored = (toss(draw.positions, draw.seed) + draw.epoch) % 2 == 1
        return mirror(images, mirrored.to(images.device, non_blocking=True), LEFT_TO_RIGHT)

    return augment


def mirror(images: Tensor, chosen: Tensor, axis: int) -> Tensor:
    """The images with the chosen ones mirrored.

    Args:
        images: `(N, C, H, W)`.
        chosen: `(N,)` bool.
        axis: `LEFT_TO_RIGHT` or `TOP_TO_BOTTOM`.
    """
    return torch.where(chosen[:, None, None, None], images.flip(axis), images)


def toss(positions: Tensor, seed: int) -> Tensor:
    """Zero or one for each position, `(N,)` int64: the same in all batches, epochs and processes.

    A hash, not a generator: a batch need not know the numbers of all other positions. The mixing
    is that of MurmurHash3 (Appleby 2011) in 32 bits.

    Args:
        positions: `(N,)` int64.
        seed: Of the run.
    """
    bits = positions ^ (derive_seed(seed, "alternating_flip") & 0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = ((bits ^ (bits >> shift)) * factor) & 0xFFFFFFFF
    return (bits ^ (bits >> 16)) & 1
