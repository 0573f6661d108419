"""Residual networks with normalisation and ReLU before the convolutions.

The pre-activation networks of He, Zhang, Ren & Sun (2016), deep and thin with bottlenecks, and the
wide ones of Zagoruyko & Komodakis (2016), shallow and broad.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from trainwell.errors import ModelError
from trainwell.models.entry import CIFAR, Entry, Family
from trainwell.models.resnet import CIFAR_RECIPE
from trainwell.models.shapes import require_image
from trainwell.nn.initialisation import initialise_he


class PreActivationBlock(nn.Module):
    """Normalisation, ReLU and convolution, several times, around an identity shortcut.

    Where the shape changes, a 1 × 1 convolution of the activated input is the shortcut.

    Args:
        channels_in: Channels of `(N, C, H, W)` going in.
        width: Channels of the 3 × 3 convolutions.
        stride: 2 halves height and width.
        expansion: 4: 1 × 1, 3 × 3 and 1 × 1 convolutions with four times the width coming out.
            1: two 3 × 3 convolutions.
        dropout: Probability with which a value between the convolutions is dropped.
    """

    def __init__(
        self, channels_in: int, width: int, stride: int, expansion: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        channels_out = expansion * width
        kernels = (3, 3) if expansion == 1 else (1, 3, 1)
        sizes = (channels_in, *[width] * (len(kernels) - 1), channels_out)
        strided = kernels.index(3)
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in sizes[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(
                sizes[i],
                sizes[i + 1],
                kernel,
                stride if i == strided else 1,
                padding=kernel // 2,
                bias=False,
            )
            for i, kernel in enumerate(kernels)
        )
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()
        self.shortcut = None
        if stride > 1 or channels_in != channels_out:
            self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.norms[0](images), inplace=True)
        kept = images if self.shortcut is None else self.shortcut(hidden)
        hidden = self.convs[0](hidden)
        for norm, conv in zip(list(self.norms)[1:], list(self.convs)[1:], strict=True):
            hidden = conv(self.drop(functional.relu(norm(hidden), inplace=True)))
        return hidden + kept


class PreActivationResNet(nn.Module):
    """Three stages of pre-activation blocks, then normalisation, ReLU and mean pooling.

    Args:
        input_shape: `(C, H, W)`, H and W at least 8.
        outputs: `(N, outputs)` comes out.
        count: Blocks of each stage.
        widening: Stages are 16, 32 and 64 times this wide.
        expansion: Of the blocks.
        dropout: Within the blocks.

    Raises:
        ModelError: The input is not an image of that size.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        count: int,
        widening: int = 1,
        expansion: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        channels, _, _ = require_image("a pre-activation ResNet", input_shape, 8)
        self.conv = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        blocks: list[nn.Module] = []
        channels_in = 16
        for stage, base in enumerate((16, 32, 64)):
            width = base * widening
            for position in range(count):
                stride = 2 if stage and not position else 1
                blocks.append(PreActivationBlock(channels_in, width, stride, expansion, dropout))
                channels_in = expansion * width
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels_in)
        self.classifier = nn.Linear(channels_in, outputs)
        initialise_he(self)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.blocks(self.conv(images))
        return self.classifier(functional.relu(self.norm(hidden), inplace=True).mean((2, 3)))


PREACT_PUBLISHED = {164: "5.46", 1001: "4.92"}
WIDE_PUBLISHED = {(16, 8): "4.81", (28, 10): "4.17"}


def _make_preact(depth: int) -> Entry:
    if depth < 11 or (depth - 2) % 9:
        raise ModelError(
            f"a pre-activation ResNet of depth {depth} does not exist",
            remedy="Depths are 9n + 2, such as 164 or 1001",
        )
    error = PREACT_PUBLISHED.get(depth)
    return Entry(
        partial(PreActivationResNet, count=(depth - 2) // 9, expansion=4),
        2016,
        "He et al.",
        f"Pre-activation residual network of {depth} layers with bottlenecks.",
        CIFAR,
        recipe=CIFAR_RECIPE,
        published=f"{error} % error on CIFAR-10" if error else "",
    )


def _make_wide(depth: int, widening: int) -> Entry:
    if depth < 10 or (depth - 4) % 6 or widening < 1:
        raise ModelError(
            f"a wide ResNet {depth}-{widening} does not exist",
            remedy="Depths are 6n + 4, such as wide_resnet16_8 or wide_resnet28_10",
        )
    error = WIDE_PUBLISHED.get((depth, widening))
    return Entry(
        partial(PreActivationResNet, count=(depth - 4) // 6, widening=widening),
        2016,
        "Zagoruyko & Komodakis",
        f"Residual network of {depth} layers, {widening} times as wide.",
        CIFAR,
        recipe=CIFAR_RECIPE,
        published=f"{error} % error on CIFAR-10" if error else "",
    )


ENTRIES = {
    **{f"preact_resnet{depth}": _make_preact(depth) for depth in PREACT_PUBLISHED},
    **{f"wide_resnet{d}_{k}": _make_wide(d, k) for d, k in WIDE_PUBLISHED},
}
FAMILIES = (
    Family(r"preact_resnet(\d+)", _make_preact, "preact_resnet{9n+2}"),
    Family(r"wide_resnet(\d+)_(\d+)", _make_wide, "wide_resnet{6n+4}_{widening}"),
)
