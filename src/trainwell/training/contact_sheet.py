"""A few training images beside what the training made of them, as the report shows them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainwell.data.batches import Batches
from trainwell.data.dataset import Dataset
from trainwell.training.final_evaluation import DARK, encode_picture

IMAGES = 5
EPOCHS = 8
LARGEST = 96
"""Longer sides are shrunk: the sheet is to be looked at, and the run folder to stay small."""


def show_augmented(data: Dataset, batches: Batches, epochs: int) -> list[list[str]]:
    """Rows of pictures as `data:` addresses: an image, then what it was in each epoch.

    Args:
        data: What was trained on.
        batches: Of the training: what it read is read again, so this is what it saw.
        epochs: That were trained; at most the first `EPOCHS` are shown.

    Returns:
        `IMAGES` rows; none where nothing was augmented or mixed, or the data is streamed or no
        images.
    """
    inputs = data.train.inputs
    if batches.augment is None and batches.mixup is None:
        return []
    if data.kind != "image" or len(data.input_shape) != 3 or not isinstance(inputs, Tensor):
        return []
    # Over the whole split, which may be in the order of its classes.
    positions = torch.linspace(0, len(inputs) - 1, min(IMAGES, len(inputs))).long()
    originals = inputs[positions]
    seen = [read_positions(batches, positions, epoch) for epoch in range(min(epochs, EPOCHS))]
    versions = [originals.float(), *map(batches.preprocess.restore_images, seen)]
    span = find_span(originals)
    return [
        [encode_picture(image, span) for image in row]
        for row in zip(*(shrink(version.cpu()) for version in versions), strict=True)
    ]


def read_positions(batches: Batches, positions: Tensor, epoch: int) -> Tensor:
    """The inputs of some examples as an epoch has them, `(K, *input_shape)`.

    Args:
        batches: Read as the training reads them.
        positions: Of the examples in the split, `(K,)`.
        epoch: From 0.
    """
    found: dict[int, Tensor] = {}
    for number, of_batch in enumerate(batches.positions(epoch)):
        places = torch.isin(of_batch, positions).nonzero().flatten().tolist()
        if places:
            inputs = next(iter(batches.read(epoch, first=number))).inputs
            found |= {int(of_batch[place]): inputs[place] for place in places}
    return torch.stack([found[position] for position in positions.tolist()])


def find_span(images: Tensor) -> tuple[float, float]:
    """The values of black and white for images as held."""
    if images.dtype == torch.uint8 and int(images.max()) >= DARK:
        return 0.0, 255.0
    return float(images.min()), float(images.max())


def shrink(images: Tensor) -> Tensor:
    """Images `(N, C, H, W)` whose longer side is at most `LARGEST` pixels."""
    factor = LARGEST / max(images.shape[2:])
    if factor >= 1:
        return images
    height, width = (max(1, round(side * factor)) for side in images.shape[2:])
    return functional.adaptive_avg_pool2d(images, (height, width))
