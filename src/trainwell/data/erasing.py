"""Images with a part taken away."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.data.draw import Augmentation, Draw
from trainwell.data.lengths import count_pixels, require_length


def cutout(size: float = 0.5) -> Augmentation:
    """Sets a square of each image to zero, the mean colour (DeVries & Taylor 2017).

    Its centre is drawn evenly from all pixels, so part of it may lie outside. The default is the
    authors' 16 pixels for CIFAR-10; for CIFAR-100 they took 8.

    Args:
        size: Side of the square in pixels; below 1, a share of each side.
    """
    require_length("size", size)

    def augment(images: Tensor, draw: Draw) -> Tensor:
        height, width = images.shape[2:]
        rows = _draw_stretch(draw, height, count_pixels(size, height))
        columns = _draw_stretch(draw, width, count_pixels(size, width))
        square = rows[:, None, :, None] & columns[:, None, None, :]
        return images.masked_fill(square, 0.0)

    return augment


def _draw_stretch(draw: Draw, side: int, length: int) -> Tensor:
    """Which pixels of a side the square covers, `(N, side)`."""
    first = draw.integers(0, side - 1)[:, None] - length // 2
    pixel = torch.arange(side, device=draw.device)
    return (pixel >= first) & (pixel < first + length)
