"""Densely connected networks (Huang, Liu, van der Maaten & Weinberger 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.errors import ModelError
from trainwell.models.entry import CIFAR, IMAGENET, Entry, Family
from trainwell.models.resnet import CIFAR_RECIPE
from trainwell.models.shapes import require_image
from trainwell.nn.initialisation import initialise_he


class DenseLayer(nn.Module):
    """Normalisation, ReLU and a 3 × 3 convolution whose outputs are added as new channels.

    Args:
        channels_in: Channels of `(N, C, H, W)` going in.
        growth: New channels; `(N, channels_in + growth, H, W)` comes out.
        bottleneck: A 1 × 1 convolution to four times the growth goes first (the B of BC).
        dropout: Probability with which a new value is dropped.
    """

    def __init__(self, channels_in: int, growth: int, bottleneck: bool, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.narrow, self.norm2 = None, None
        width = channels_in
        if bottleneck:
            width = 4 * growth
            self.narrow = nn.Conv2d(channels_in, width, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, growth, 3, padding=1, bias=False)
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.norm1(images), inplace=True)
        if self.narrow is not None and self.norm2 is not None:
            hidden = functional.relu(self.norm2(self.narrow(hidden)), inplace=True)
        return torch.cat([images, self.drop(self.conv(hidden))], 1)


class Transition(nn.Module):
    """Normalisation, ReLU, a 1 × 1 convolution and mean pooling between two dense blocks.

    Args:
        channels_in: Channels of `(N, C, H, W)` going in.
        channels_out: Channels coming out, at half the height and width.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels_in)
        self.conv = nn.Conv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.conv(functional.relu(self.norm(images), inplace=True))
        return functional.avg_pool2d(hidden, 2)


class DenseNet(nn.Module):
    """Dense blocks with transitions between them, then normalisation, ReLU and mean pooling.

    Args:
        input_shape: `(C, H, W)`, H and W at least 8, or 32 with the large stem.
        outputs: `(N, outputs)` comes out.
        counts: Layers of each block.
        growth: Channels that each layer adds.
        first: Channels of the first convolution.
        bottleneck: Whether layers have a 1 × 1 convolution first.
        compression: Share of the channels that a transition keeps, in (0, 1].
        large_stem: A 7 × 7 convolution and a pooling first, for ImageNet.
        dropout: In each layer.

    Raises:
        ModelError: The input is not an image of that size.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        counts: Sequence[int],
        growth: int,
        first: int,
        bottleneck: bool,
        compression: float,
        large_stem: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        channels, _, _ = require_image("a DenseNet", input_shape, 32 if large_stem else 8)
        self.stem = _make_stem(channels, first, large_stem)
        layers: list[nn.Module] = []
        width = first
        for block, count in enumerate(counts):
            if block:
                layers.append(Transition(width, int(width * compression)))
                width = int(width * compression)
            for _ in range(count):
                layers.append(DenseLayer(width, growth, bottleneck, dropout))
                width += growth
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, outputs)
        initialise_he(self)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.layers(self.stem(images))
        return self.classifier(functional.relu(self.norm(hidden), inplace=True).mean((2, 3)))


def _make_stem(channels: int, first: int, large: bool) -> nn.Module:
    if not large:
        return nn.Conv2d(channels, first, 3, padding=1, bias=False)
    return nn.Sequential(
        nn.Conv2d(channels, first, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    )


PLAIN_PUBLISHED = {(40, 12): "5.24", (100, 12): "4.10", (100, 24): "3.74"}
COMPRESSED_PUBLISHED = {(100, 12): "4.51", (250, 24): "3.62", (190, 40): "3.46"}
IMAGENET_PUBLISHED = {121: "25.02", 161: "22.33", 169: "23.80", 201: "22.58"}
"""161: as the paper had it in its first versions."""
RECIPE = {**CIFAR_RECIPE, "batch_size": 64}


def _make_plain(depth: int, growth: int) -> Entry:
    if depth < 7 or (depth - 4) % 3 or growth < 1:
        raise ModelError(
            f"a DenseNet {depth}/{growth} does not exist",
            remedy="Depths are 3n + 4, such as densenet40_12 or densenet100_24",
        )
    error = PLAIN_PUBLISHED.get((depth, growth))
    return Entry(
        partial(
            DenseNet,
            counts=[(depth - 4) // 3] * 3,
            growth=growth,
            first=16,
            bottleneck=False,
            compression=1.0,
        ),
        2017,
        "Huang et al.",
        f"Densely connected, {depth} layers that add {growth} channels each.",
        CIFAR,
        recipe=RECIPE,
        published=f"{error} % error on CIFAR-10" if error else "",
    )


def _make_compressed(depth: int, growth: int) -> Entry:
    if depth < 10 or (depth - 4) % 6 or growth < 1:
        raise ModelError(
            f"a DenseNet-BC {depth}/{growth} does not exist",
            remedy="Depths are 6n + 4, such as densenet_bc100_12 or densenet_bc190_40",
        )
    error = COMPRESSED_PUBLISHED.get((depth, growth))
    return Entry(
        partial(
            DenseNet,
            counts=[(depth - 4) // 6] * 3,
            growth=growth,
            first=2 * growth,
            bottleneck=True,
            compression=0.5,
        ),
        2017,
        "Huang et al.",
        f"Densely connected with bottlenecks and compression, {depth} layers, growth {growth}.",
        CIFAR,
        recipe=RECIPE,
        published=f"{error} % error on CIFAR-10" if error else "",
    )


def _make_imagenet(depth: int, counts: Sequence[int], growth: int, first: int) -> Entry:
    return Entry(
        partial(
            DenseNet,
            counts=counts,
            growth=growth,
            first=first,
            bottleneck=True,
            compression=0.5,
            large_stem=True,
        ),
        2017,
        "Huang et al.",
        f"Densely connected network of {depth} layers for large images.",
        IMAGENET,
        1000,
        published=f"{IMAGENET_PUBLISHED[depth]} % top-1 error on ImageNet, one crop",
        suits="shapes",
    )


ENTRIES = {
    **{f"densenet{d}_{k}": _make_plain(d, k) for d, k in PLAIN_PUBLISHED},
    **{f"densenet_bc{d}_{k}": _make_compressed(d, k) for d, k in COMPRESSED_PUBLISHED},
    "densenet121": _make_imagenet(121, (6, 12, 24, 16), 32, 64),
    "densenet161": _make_imagenet(161, (6, 12, 36, 24), 48, 96),
    "densenet169": _make_imagenet(169, (6, 12, 32, 32), 32, 64),
    "densenet201": _make_imagenet(201, (6, 12, 48, 32), 32, 64),
}
FAMILIES = (
    Family(r"densenet(\d+)_(\d+)", _make_plain, "densenet{3n+4}_{growth}"),
    Family(r"densenet_bc(\d+)_(\d+)", _make_compressed, "densenet_bc{6n+4}_{growth}"),
)
