"""Augmentation of whole batches, on the device, from a generator that the caller owns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

Augmentation = Callable[[Tensor, Generator], Tensor]


def flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirrors each image left to right with probability one half.

    Args:
        images: `(N, C, H, W)`.
        generator: On the images' device.
    """
    chosen = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def crop(images: Tensor, generator: Generator) -> Tensor:
    """Shifts each image by up to an eighth of its size, filling with zeros (He et al. 2015).

    Zero is the mean colour after preprocessing; on 32 × 32 images this is the usual padding by
    four pixels followed by a random 32 × 32 crop.

    Args:
        images: `(N, C, H, W)`, centred.
        generator: On the images' device.
    """
    count, channels, height, width = images.shape
    margin = max(1, height // 8)
    padded = functional.pad(images, (margin, margin, margin, margin))
    top, left = torch.randint(
        0, 2 * margin + 1, (2, count), generator=generator, device=images.device
    )
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    example = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[example, channel, rows[:, None, :, None], columns[:, None, None, :]]


AUGMENTATIONS: dict[str, Augmentation] = {"flip": flip, "crop": crop}


def compose(names: Sequence[str]) -> Augmentation | None:
    """The named augmentations one after the other, or None when there are none."""
    chosen = [AUGMENTATIONS[name] for name in names]
    if not chosen:
        return None

    def augment(images: Tensor, generator: Generator) -> Tensor:
        for augmentation in chosen:
            images = augmentation(images, generator)
        return images

    return augment
