"""AlexNet (Krizhevsky, Sutskever & Hinton 2012) and its successor of 2013 (Zeiler & Fergus)."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from torch import Tensor, nn

from trainwell.errors import ModelError
from trainwell.models.entry import IMAGENET, Entry
from trainwell.models.shapes import require_image
from trainwell.nn.initialisation import initialise_he, shrink_outputs

REMOVABLE = (3, 4, 6, 7)
LRN_ALPHA = 5e-4
"""The paper's 1e-4 times its five neighbours, by which torch divides."""


class AlexNet(nn.Module):
    """Five convolutions and three fully connected layers.

    By default in one column, as Krizhevsky (2014) wrote it for one processor and as the
    implementations in use have it.

    Args:
        input_shape: `(C, H, W)`, H and W at least 63; the last maps are averaged to 6 × 6.
        outputs: `(N, outputs)` comes out.
        without: Numbers of layers that are left out, of 3, 4 (convolutions), 6 and 7 (fully
            connected), as Zeiler & Fergus (2014, table 3) do to see what they are worth.
        columns: 2 for the paper's network over two processors: convolutions 2, 4 and 5 see one
            half of the channels, and the first two are normalised over neighbouring channels.
        dropout: Of the inputs of the wide fully connected layers.

    Raises:
        ModelError: The input is not an image of that size, or a layer cannot be left out.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        without: Collection[int] = (),
        columns: int = 1,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        channels, _, _ = require_image("alexnet", input_shape, 63)
        kept = _kept_layers(without)
        if columns not in (1, 2):
            raise ModelError(f"alexnet has 1 or 2 columns, not {columns}")
        widths = {1: 64, 2: 192, 3: 384, 4: 256, 5: 256}
        if columns == 2:
            widths = {1: 96, 2: 256, 3: 384, 4: 384, 5: 256}
        layers: list[nn.Module] = []
        for number in (n for n in (1, 2, 3, 4, 5) if n in kept):
            groups = columns if number in (2, 4, 5) else 1
            layers += _convolution(number, channels, widths[number], groups)
            channels = widths[number]
            if number in (1, 2):
                layers += [nn.LocalResponseNorm(5, LRN_ALPHA, k=2.0)] if columns == 2 else []
                layers.append(nn.MaxPool2d(3, stride=2))
        self.features = nn.Sequential(*layers, nn.MaxPool2d(3, stride=2), nn.AdaptiveAvgPool2d(6))
        self.classifier = _make_classifier(36 * channels, outputs, kept, dropout)
        initialise_he(self)
        draw_small(self.classifier)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images))


def _kept_layers(without: Collection[int] | int) -> set[int]:
    removed = {without} if isinstance(without, int) else set(without)
    if removed - set(REMOVABLE):
        raise ModelError(
            f"alexnet cannot do without layer {min(removed - set(REMOVABLE))}",
            remedy=f"Layers that can be left out: {', '.join(map(str, REMOVABLE))}",
        )
    return set(range(1, 9)) - removed


def _convolution(number: int, channels: int, width: int, groups: int) -> list[nn.Module]:
    if number == 1:
        return [nn.Conv2d(channels, width, 11, stride=4, padding=2), nn.ReLU(inplace=True)]
    kernel = 5 if number == 2 else 3
    return [
        nn.Conv2d(channels, width, kernel, padding=kernel // 2, groups=groups),
        nn.ReLU(inplace=True),
    ]


def _make_classifier(features: int, outputs: int, kept: set[int], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for number in (6, 7):
        if number in kept:
            layers += [nn.Dropout(dropout), nn.Linear(features, 4096), nn.ReLU(inplace=True)]
            features = 4096
    return nn.Sequential(*layers, nn.Linear(features, outputs))


def draw_small(classifier: nn.Module) -> None:
    """Weights of wide fully connected layers from N(0, 0.01²), as the paper draws all of its.

    With He's draw the first steps of an output that sums over 4,096 units are far too large. The
    last layer is drawn smaller still, so that the first loss is what chance predicts.
    """
    for layer in classifier.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.01)
    shrink_outputs(classifier)


class ZeilerFergus(nn.Module):
    """AlexNet with a finer first layer, and more maps where `wide` says so.

    7 × 7 filters with stride 2 in place of 11 × 11 with stride 4. It has eight layers with weights,
    as the paper has; the lectures speak of nine.

    Args:
        input_shape: `(C, H, W)`, H and W at least 63; the last maps are averaged to 6 × 6.
        outputs: `(N, outputs)` comes out.
        wide: 512, 1,024 and 512 maps in layers 3 to 5 instead of 384, 384 and 256 (table 2 of the
            paper, the best single network).
        dropout: Of the inputs of the wide fully connected layers.

    Raises:
        ModelError: The input is not an image of that size.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        wide: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        channels, _, _ = require_image("zfnet", input_shape, 63)
        third, fourth, fifth = (512, 1024, 512) if wide else (384, 384, 256)
        self.features = nn.Sequential(
            nn.Conv2d(channels, 96, 7, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(96, 256, 5, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(256, third, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(third, fourth, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(fourth, fifth, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.AdaptiveAvgPool2d(6),
        )
        self.classifier = _make_classifier(36 * fifth, outputs, set(range(1, 9)), dropout)
        initialise_he(self)
        draw_small(self.classifier)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images))


RECIPE = {"learning_rate": 0.01, "clip_norm": 1.0}
ENTRIES = {
    "alexnet": Entry(
        AlexNet,
        2012,
        "Krizhevsky et al.",
        "Five convolutions and three fully connected layers.",
        IMAGENET,
        1000,
        recipe=RECIPE,
        published="42.33 % top-1 error on ImageNet (2014); two columns: 18.2 % top-5",
        suits="shapes",
    ),
    "alexnet_without_7": Entry(
        partial(AlexNet, without=(7,)),
        2014,
        "Zeiler & Fergus",
        "AlexNet without its seventh layer.",
        IMAGENET,
        1000,
        recipe=RECIPE,
        published="1.1 % worse than AlexNet",
        suits="shapes",
    ),
    "alexnet_without_3_4_6_7": Entry(
        partial(AlexNet, without=(3, 4, 6, 7)),
        2014,
        "Zeiler & Fergus",
        "AlexNet without layers 3, 4, 6 and 7.",
        IMAGENET,
        1000,
        recipe=RECIPE,
        published="33.5 % worse than AlexNet",
        suits="shapes",
    ),
    "zfnet": Entry(
        ZeilerFergus,
        2013,
        "Zeiler & Fergus",
        "AlexNet with a finer first layer and more maps; its kind won in 2013.",
        IMAGENET,
        1000,
        recipe=RECIPE,
        published="16.0 % top-5 error on ImageNet, one network",
        suits="shapes",
    ),
}
