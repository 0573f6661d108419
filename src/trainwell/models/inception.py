"""Inception networks: GoogLeNet, BN-Inception and Inception v3."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from trainwell.models.entry import IMAGENET, Entry
from trainwell.models.shapes import require_image
from trainwell.nn.initialisation import initialise_he, shrink_outputs
from trainwell.nn.losses import Loss

Kernel = int | tuple[int, int]


def convolution(
    channels_in: int,
    channels_out: int,
    kernel: Kernel,
    stride: int = 1,
    padding: Kernel | None = None,
    *,
    batch_norm: bool = True,
) -> nn.Sequential:
    """A convolution, its normalisation where wanted, and ReLU.

    Args:
        channels_in: Channels of `(N, C, H, W)` going in.
        channels_out: Channels coming out.
        kernel: Height and width.
        stride: Of the convolution.
        padding: None keeps height and width where the stride is 1.
        batch_norm: Normalises before the ReLU; the convolution then has no bias.
    """
    if padding is None:
        padding = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=not batch_norm)
    norm = [nn.BatchNorm2d(channels_out, eps=1e-3)] if batch_norm else []
    return nn.Sequential(conv, *norm, nn.ReLU(inplace=True))


class Branches(nn.Module):
    """Several ways through, whose channels are put side by side.

    Args:
        branches: Each takes `(N, C, H, W)` and keeps or halves height and width as the others do.
    """

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([branch(images) for branch in self.branches], 1)


def _googlenet_module(channels: int, widths: Sequence[int]) -> Branches:
    """The module of figure 2b: 1 × 1, 3 × 3 and 5 × 5 convolutions and a pooling."""
    one, narrow3, three, narrow5, five, pooled = widths

    def conv(channels_in: int, channels_out: int, kernel: int) -> nn.Sequential:
        return convolution(channels_in, channels_out, kernel, batch_norm=False)

    return Branches(
        conv(channels, one, 1),
        nn.Sequential(conv(channels, narrow3, 1), conv(narrow3, three, 3)),
        nn.Sequential(conv(channels, narrow5, 1), conv(narrow5, five, 5)),
        nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(channels, pooled, 1)),
    )


class AuxiliaryClassifiers(nn.Module):
    """A network of `layers` with small classifiers behind some of them, which help to train it.

    Their losses are added to that of the training, times `share`; when testing they do nothing.

    Attributes:
        heads: Classifiers by the number of the layer they stand behind; may be empty.
        share: Of their losses.
    """

    layers: nn.Sequential
    heads: nn.ModuleDict
    share: float

    def enter(self, images: Tensor) -> Tensor:
        """What the layers are given."""
        return images

    def classify(self, maps: Tensor) -> Tensor:
        """The scores `(N, outputs)` of the last maps."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.layers(self.enter(images)))

    def measure(self, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        if not self.training:
            outputs = self(inputs)
            return outputs, loss(outputs, targets)
        hidden, added = self.enter(inputs), []
        for name, layer in self.layers.named_children():
            hidden = layer(hidden)
            if name in self.heads:
                added.append(self.share * loss(self.heads[name](hidden), targets))
        outputs = self.classify(hidden)
        return outputs, torch.stack([loss(outputs, targets), *added]).sum()


def _googlenet_head(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(4),
        convolution(channels, 128, 1, batch_norm=False),
        nn.Flatten(),
        nn.Linear(2048, 1024),
        nn.ReLU(inplace=True),
        nn.Dropout(0.7),
        nn.Linear(1024, outputs),
    )


def _v3_head(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(5),
        convolution(channels, 128, 1),
        convolution(128, 768, 5, padding=0),
        nn.Flatten(),
        nn.Linear(768, outputs),
    )


GOOGLENET_HEADS = {"3": 512, "6": 528}
"""Behind modules 4a and 4d: the number of the layer, and its channels."""
V3_HEADS = {"14": 768}

GOOGLENET = {
    "3": ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    "4": (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    "5": ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
}


class GoogLeNet(AuxiliaryClassifiers):
    """22 layers of inception modules and no wide fully connected layer (Szegedy et al. 2014).

    By default without the paper's two auxiliary classifiers: they nearly double the parameters, and
    their effect is around 0.5 % (section 5 of the paper as it was published in 2015).

    Args:
        input_shape: `(C, H, W)`, H and W at least 32.
        outputs: `(N, outputs)` comes out.
        dropout: Of the averaged maps.
        auxiliary: Two more classifiers while training, whose losses count 0.3 each.

    Raises:
        ModelError: The input is not an image of that size.
    """

    share = 0.3

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        dropout: float = 0.4,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        channels, _, _ = require_image("googlenet", input_shape, 32)
        self.stem = nn.Sequential(
            convolution(channels, 64, 7, 2, batch_norm=False),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.LocalResponseNorm(5),
            convolution(64, 64, 1, batch_norm=False),
            convolution(64, 192, 3, batch_norm=False),
            nn.LocalResponseNorm(5),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        layers: list[nn.Module] = []
        width = 192
        for stage, modules in GOOGLENET.items():
            if stage != "3":
                layers.append(nn.MaxPool2d(3, stride=2, padding=1))
            for widths in modules:
                layers.append(_googlenet_module(width, widths))
                width = widths[0] + widths[2] + widths[4] + widths[5]
        self.layers = nn.Sequential(*layers)
        self.heads = _make_heads(_googlenet_head, GOOGLENET_HEADS, outputs, auxiliary)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, outputs)
        _initialise(self)

    def enter(self, images: Tensor) -> Tensor:
        return self.stem(images)

    def classify(self, maps: Tensor) -> Tensor:
        return self.classifier(self.dropout(maps.mean((2, 3))))


def _make_heads(
    make: Callable[[int, int], nn.Module], places: dict[str, int], outputs: int, wanted: bool
) -> nn.ModuleDict:
    found = places.items() if wanted else ()
    return nn.ModuleDict({place: make(channels, outputs) for place, channels in found})


def _initialise(model: AuxiliaryClassifiers) -> None:
    initialise_he(model)
    for head in model.heads.values():
        shrink_outputs(head)


def _bn_module(
    channels: int,
    one: int,
    three: tuple[int, int],
    double: tuple[int, int],
    pooled: tuple[str, int],
) -> Branches:
    """The 5 × 5 convolution as two of 3 × 3; the pooling is `"mean"` or `"max"`."""
    kind, width = pooled
    pool = (nn.AvgPool2d if kind == "mean" else nn.MaxPool2d)(3, stride=1, padding=1)
    return Branches(
        convolution(channels, one, 1),
        nn.Sequential(convolution(channels, three[0], 1), convolution(*three, 3)),
        nn.Sequential(
            convolution(channels, double[0], 1),
            convolution(*double, 3),
            convolution(double[1], double[1], 3),
        ),
        nn.Sequential(pool, convolution(channels, width, 1)),
    )


def _bn_reduction(channels: int, three: tuple[int, int], double: tuple[int, int]) -> Branches:
    """Halves height and width; the pooled input passes through."""
    return Branches(
        nn.Sequential(convolution(channels, three[0], 1), convolution(*three, 3, 2)),
        nn.Sequential(
            convolution(channels, double[0], 1),
            convolution(*double, 3),
            convolution(double[1], double[1], 3, 2),
        ),
        nn.MaxPool2d(3, stride=2, padding=1),
    )


class BnInception(nn.Module):
    """GoogLeNet with batch normalisation and small filters (Ioffe & Szegedy 2015, figure 5).

    Behind the pooling of modules 4c and 4d stand 128 maps, as in the implementation in use (from
    Caffe, then Cadene's), where the figure has 96. That implementation also gives the convolutions
    biases, 10,016 in all, which the normalisation behind them takes away again; here they have
    none.

    Args:
        input_shape: `(C, H, W)`, H and W at least 32.
        outputs: `(N, outputs)` comes out.

    Raises:
        ModelError: The input is not an image of that size.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        channels, _, _ = require_image("bn_inception", input_shape, 32)
        self.layers = nn.Sequential(
            convolution(channels, 64, 7, 2),
            nn.MaxPool2d(3, stride=2, padding=1),
            convolution(64, 64, 1),
            convolution(64, 192, 3),
            nn.MaxPool2d(3, stride=2, padding=1),
            _bn_module(192, 64, (64, 64), (64, 96), ("mean", 32)),
            _bn_module(256, 64, (64, 96), (64, 96), ("mean", 64)),
            _bn_reduction(320, (128, 160), (64, 96)),
            _bn_module(576, 224, (64, 96), (96, 128), ("mean", 128)),
            _bn_module(576, 192, (96, 128), (96, 128), ("mean", 128)),
            _bn_module(576, 160, (128, 160), (128, 160), ("mean", 128)),
            _bn_module(608, 96, (128, 192), (160, 192), ("mean", 128)),
            _bn_reduction(608, (128, 192), (192, 256)),
            _bn_module(1056, 352, (192, 320), (160, 224), ("mean", 128)),
            _bn_module(1024, 352, (192, 320), (192, 224), ("max", 128)),
        )
        self.classifier = nn.Linear(1024, outputs)
        initialise_he(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.layers(images).mean((2, 3)))


def _v3_small(channels: int, pooled: int) -> Branches:
    """Figure 5 of the paper, with one 5 × 5 convolution left, as the authors' code has it."""
    return Branches(
        convolution(channels, 64, 1),
        nn.Sequential(convolution(channels, 48, 1), convolution(48, 64, 5)),
        nn.Sequential(convolution(channels, 64, 1), convolution(64, 96, 3), convolution(96, 96, 3)),
        nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), convolution(channels, pooled, 1)),
    )


def _v3_middle(channels: int, width: int) -> Branches:
    """Figure 6: 7 × 7 convolutions as 1 × 7 and 7 × 1."""
    row, column = (1, 7), (7, 1)
    return Branches(
        convolution(channels, 192, 1),
        nn.Sequential(
            convolution(channels, width, 1),
            convolution(width, width, row),
            convolution(width, 192, column),
        ),
        nn.Sequential(
            convolution(channels, width, 1),
            convolution(width, width, column),
            convolution(width, width, row),
            convolution(width, width, column),
            convolution(width, 192, row),
        ),
        nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), convolution(channels, 192, 1)),
    )


def _v3_large(channels: int) -> Branches:
    """Figure 7: the 3 × 3 convolutions fan out into 1 × 3 and 3 × 1."""

    def fan_out(width: int) -> Branches:
        return Branches(convolution(width, 384, (1, 3)), convolution(width, 384, (3, 1)))

    return Branches(
        convolution(channels, 320, 1),
        nn.Sequential(convolution(channels, 384, 1), fan_out(384)),
        nn.Sequential(convolution(channels, 448, 1), convolution(448, 384, 3), fan_out(384)),
        nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), convolution(channels, 192, 1)),
    )


def _v3_reductions(channels: int) -> tuple[Branches, Branches]:
    first = Branches(
        convolution(channels, 384, 3, 2, 0),
        nn.Sequential(
            convolution(channels, 64, 1), convolution(64, 96, 3), convolution(96, 96, 3, 2, 0)
        ),
        nn.MaxPool2d(3, stride=2),
    )
    second = Branches(
        nn.Sequential(convolution(768, 192, 1), convolution(192, 320, 3, 2, 0)),
        nn.Sequential(
            convolution(768, 192, 1),
            convolution(192, 192, (1, 7)),
            convolution(192, 192, (7, 1)),
            convolution(192, 192, 3, 2, 0),
        ),
        nn.MaxPool2d(3, stride=2),
    )
    return first, second


class InceptionV3(AuxiliaryClassifiers):
    """Inception v3 (Szegedy et al. 2015), by default without the auxiliary classifier.

    Args:
        input_shape: `(C, H, W)`, H and W at least 75.
        outputs: `(N, outputs)` comes out.
        dropout: Of the averaged maps.
        auxiliary: One more classifier while training, whose loss counts 0.4 as in the usual
            recipes; the paper found that it regularises.

    Raises:
        ModelError: The input is not an image of that size.
    """

    share = 0.4

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        dropout: float = 0.5,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        channels, _, _ = require_image("inception_v3", input_shape, 75)
        first_reduction, second_reduction = _v3_reductions(288)
        self.layers = nn.Sequential(
            convolution(channels, 32, 3, 2, 0),
            convolution(32, 32, 3, 1, 0),
            convolution(32, 64, 3),
            nn.MaxPool2d(3, stride=2),
            convolution(64, 80, 1),
            convolution(80, 192, 3, 1, 0),
            nn.MaxPool2d(3, stride=2),
            _v3_small(192, 32),
            _v3_small(256, 64),
            _v3_small(288, 64),
            first_reduction,
            _v3_middle(768, 128),
            _v3_middle(768, 160),
            _v3_middle(768, 160),
            _v3_middle(768, 192),
            second_reduction,
            _v3_large(1280),
            _v3_large(2048),
        )
        self.heads = _make_heads(_v3_head, V3_HEADS, outputs, auxiliary)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(2048, outputs)
        _initialise(self)

    def classify(self, maps: Tensor) -> Tensor:
        return self.classifier(self.dropout(maps.mean((2, 3))))


ENTRIES = {
    "googlenet": Entry(
        GoogLeNet,
        2014,
        "Szegedy et al.",
        "22 layers of inception modules, no wide fully connected layer.",
        IMAGENET,
        1000,
        recipe={"learning_rate": 0.01, "clip_norm": 1.0},
        published="6.67 % top-5 error on ImageNet, 7 networks",
        suits="shapes",
    ),
    "bn_inception": Entry(
        BnInception,
        2015,
        "Ioffe & Szegedy",
        "GoogLeNet with batch normalisation, 5 × 5 as two 3 × 3.",
        IMAGENET,
        1000,
        published="7.82 % top-5 error on ImageNet, one network",
        suits="shapes",
    ),
    "inception_v3": Entry(
        InceptionV3,
        2015,
        "Szegedy et al.",
        "Inception with factorised convolutions.",
        (3, 299, 299),
        1000,
        published="5.6 % top-5 error on ImageNet, one crop",
        suits="shapes",
    ),
}
