"""Images in another light."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.data.draw import Augmentation, Draw


def colour(brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2) -> Augmentation:
    """Changes each image's brightness, contrast and saturation.

    All three are relative to the image itself, so that they mean the same whatever the
    preprocessing. Saturation is the distance from grey, and does nothing to grey images.

    Args:
        brightness: Largest shift of all pixels, in standard deviations of the image.
        contrast: Distances from the image's mean are multiplied by 1 − contrast to 1 + contrast.
        saturation: Distances from grey are multiplied by 1 − saturation to 1 + saturation.
    """
    shares = {"contrast": contrast, "saturation": saturation}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be between 0 and 1, not {share:g}")
    if not 0 <= brightness < float("inf"):
        raise ValueError(f"brightness must be at least 0, not {brightness:g}")

    def augment(images: Tensor, draw: Draw) -> Tensor:
        deviation, mean = torch.std_mean(images, (1, 2, 3), correction=0, keepdim=True)
        grey = images.mean(1, keepdim=True)
        lighter = draw.uniform(-brightness, brightness, 1, 1, 1) * deviation
        spread = draw.uniform(1 - contrast, 1 + contrast, 1, 1, 1)
        vivid = draw.uniform(1 - saturation, 1 + saturation, 1, 1, 1)
        # All three are linear: together they are one product and one sum of all pixels.
        added = grey * (spread * (1 - vivid)) + (mean * (1 - spread) + lighter)
        return images * (spread * vivid) + added

    return augment
