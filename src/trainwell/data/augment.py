"""Augmentation of whole batches, on the device, from a generator that the caller owns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from trainwell.named_call import build_named


@dataclass(frozen=True)
class Draw:
    """What an augmentation may let its choices depend on.

    Attributes:
        generator: Of random numbers, on the images' device.
        epoch: From 0.
        positions: Of the batch's examples in the split, `(N,)`.
    """

    generator: Generator
    epoch: int
    positions: Tensor


Augmentation = Callable[[Tensor, Draw], Tensor]
"""Images `(N, C, H, W)`, preprocessed, in; images of the same shape out."""


def flip() -> Augmentation:
    """Mirrors each image left to right with probability one half."""

    def augment(images: Tensor, draw: Draw) -> Tensor:
        chosen = torch.rand(len(images), generator=draw.generator, device=images.device) < 0.5
        return torch.where(chosen[:, None, None, None], images.flip(-1), images)

    return augment


def crop() -> Augmentation:
    """Shifts each image by up to an eighth of its size, filling with zeros (He et al. 2015).

    Zero is the mean colour after preprocessing; on 32 × 32 images this is the usual padding by
    four pixels followed by a random 32 × 32 crop.
    """
    return _crop


def _crop(images: Tensor, draw: Draw) -> Tensor:
    count, channels, height, width = images.shape
    margin = max(1, height // 8)
    padded = functional.pad(images, (margin, margin, margin, margin))
    top, left = torch.randint(
        0, 2 * margin + 1, (2, count), generator=draw.generator, device=images.device
    )
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    example = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[example, channel, rows[:, None, :, None], columns[:, None, None, :]]


AUGMENTATIONS: dict[str, Callable[..., Augmentation]] = {"flip": flip, "crop": crop}


def compose(texts: Sequence[str]) -> Augmentation | None:
    """The described augmentations one after the other, or None when there are none.

    Args:
        texts: Names of `AUGMENTATIONS`, with options.

    Raises:
        RecipeError: No such augmentation or option, or an impossible value.
    """
    chosen: list[Augmentation] = [build_named(text, AUGMENTATIONS, "augment") for text in texts]
    if not chosen:
        return None

    def augment(images: Tensor, draw: Draw) -> Tensor:
        for augmentation in chosen:
            images = augmentation(images, draw)
        return images

    return augment
