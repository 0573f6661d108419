"""Images moved by whole pixels: nothing is resampled, and nothing blurred."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainwell.data.draw import Augmentation, Draw
from trainwell.data.lengths import count_pixels, require_length


def shift(most: float = 0.125) -> Augmentation:
    """Moves each image by up to so much in both directions, filling with zeros.

    Zero is the mean colour after preprocessing.

    Args:
        most: Pixels; below 1, a share of the side.
    """
    require_length("most", most)

    def augment(images: Tensor, draw: Draw) -> Tensor:
        down, right = (count_pixels(most, side) for side in images.shape[2:])
        padded = functional.pad(images, (right, right, down, down))
        top, left = draw.integers(0, 2 * down), draw.integers(0, 2 * right)
        return cut_windows(padded, top, left, images.shape[2:])

    return augment


def crop() -> Augmentation:
    """Moves each image by up to an eighth of its size, filling with zeros (He et al. 2015).

    On 32 × 32 images this is the usual padding by four pixels and a random 32 × 32 crop of it.
    """
    return shift(0.125)


def cut_windows(images: Tensor, top: Tensor, left: Tensor, size: torch.Size) -> Tensor:
    """A window of each image, `(N, C, *size)`.

    Args:
        images: `(N, C, H, W)`.
        top, left: Of each window, in pixels, `(N,)` int64.
        size: Height and width of the windows.
    """
    # All windows as a view, of which one an image is copied: much faster than gathering pixels.
    windows = images.unfold(2, size[0], 1).unfold(3, size[1], 1)
    example = torch.arange(len(images), device=images.device)
    return windows[example, :, top, left]
