"""VGG networks (Simonyan & Zisserman 2014, table 1)."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from trainwell.models.alexnet import draw_small
from trainwell.models.entry import IMAGENET, Entry
from trainwell.models.shapes import require_image
from trainwell.nn.initialisation import initialise_he

COUNTS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
PUBLISHED = {11: "29.6", 13: "28.7", 16: "25.6", 19: "25.5"}


class Vgg(nn.Module):
    """3 × 3 convolutions in five stages with pooling, then two layers of 4,096 units.

    Args:
        input_shape: `(C, H, W)`, H and W at least 32; the last maps are averaged to 7 × 7.
        outputs: `(N, outputs)` comes out.
        depth: Layers with weights: 11, 13, 16 or 19.
        batch_norm: Normalises behind every convolution, which came later than the paper.
        dropout: Of the units of the two wide layers.

    Raises:
        ModelError: The input is not an image of that size.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        depth: int,
        batch_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        channels, _, _ = require_image(f"vgg{depth}", input_shape, 32)
        layers: list[nn.Module] = []
        for count, width in zip(COUNTS[depth], (64, 128, 256, 512, 512), strict=True):
            for _ in range(count):
                layers.append(nn.Conv2d(channels, width, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.ReLU(inplace=True))
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7))
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(512 * 49, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, outputs),
        )
        initialise_he(self)
        draw_small(self.classifier)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images))


ENTRIES = {
    f"vgg{depth}": Entry(
        partial(Vgg, depth=depth),
        2014,
        "Simonyan & Zisserman",
        f"{depth} layers of small convolutions and wide fully connected layers.",
        IMAGENET,
        1000,
        recipe={"learning_rate": 0.01, "clip_norm": 1.0},
        published=f"{PUBLISHED[depth]} % top-1 error on ImageNet, one scale",
        suits="shapes",
    )
    for depth in COUNTS
}
