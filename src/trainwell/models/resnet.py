"""Residual networks for small images (He, Zhang, Ren & Sun 2015, section 4.2).

The plain networks of the same depth stand beside them, and the variant that drops whole branches
while training (Huang et al. 2016).
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from trainwell.errors import ModelError
from trainwell.models.entry import CIFAR, Entry, Family
from trainwell.models.shapes import require_image
from trainwell.nn.dropout import StochasticDepth
from trainwell.nn.initialisation import initialise_he

CIFAR_RECIPE = {"epochs": 12, "batch_size": 128, "augment": ("flip", "crop")}
RECIPE = {
    **CIFAR_RECIPE,
    "optimizer": "muon",
    "learning_rate": 0.02,
    "weight_decay": 0.05,
    "augment": ("alternating_flip", "shift(0.0625)"),
}
"""Orthogonal updates, and images moved by two pixels at most, learn more in a dozen passes (Jordan
2024)."""


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions around an identity shortcut.

    Where the block halves the image and widens, the shortcut takes every second pixel and fills
    the new channels with zeros (option A of the paper): it has no parameters.

    Args:
        channels_in: Channels of `(N, C, H, W)` going in.
        channels_out: Channels coming out.
        stride: 2 halves height and width.
        survival: Probability that the branch is used in a training step.
    """

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, survival: float = 1.0
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.drop = StochasticDepth(survival) if survival < 1 else nn.Identity()
        self.stride = stride
        self.new_channels = channels_out - channels_in

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.norm1(self.conv1(images)), inplace=True)
        hidden = self.drop(self.norm2(self.conv2(hidden)))
        return functional.relu(hidden + self.shortcut(images), inplace=True)

    def shortcut(self, images: Tensor) -> Tensor:
        if self.stride == 1 and not self.new_channels:
            return images
        before = self.new_channels // 2
        kept = images[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, before, self.new_channels - before))


class PlainBlock(nn.Module):
    """The two convolutions of a residual block without its shortcut.

    Args:
        channels_in: Channels of `(N, C, H, W)` going in.
        channels_out: Channels coming out.
        stride: 2 halves height and width.
        survival: Must be 1: without a shortcut nothing would be left.
    """

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, survival: float = 1.0
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.norm1(self.conv1(images)), inplace=True)
        return functional.relu(self.norm2(self.conv2(hidden)), inplace=True)


class CifarResNet(nn.Module):
    """Three stages of 16, 32 and 64 channels with `(depth − 2) / 6` blocks each.

    Args:
        input_shape: `(C, H, W)`, H and W at least 8.
        outputs: `(N, outputs)` comes out.
        depth: Layers with weights, 6n + 2: 20, 32, 44, 56, 110, 1202.
        block: Of which it is built.
        last_survival: Probability that the last branch is used in a training step; it falls
            linearly from 1 at the input (Huang et al. 2016).

    Raises:
        ModelError: The depth is not 6n + 2, or the input is not an image of that size.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        depth: int,
        block: type[ResidualBlock] | type[PlainBlock] = ResidualBlock,
        last_survival: float = 1.0,
    ) -> None:
        super().__init__()
        channels, _, _ = require_image(f"a residual network of depth {depth}", input_shape, 8)
        self.conv = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        count = blocks_per_stage(depth)
        blocks: list[nn.Module] = []
        channels_in = 16
        for stage, channels_out in enumerate((16, 32, 64)):
            for position in range(count):
                stride = 2 if stage and not position else 1
                survival = 1 - (len(blocks) + 1) / (3 * count) * (1 - last_survival)
                blocks.append(block(channels_in, channels_out, stride, survival))
                channels_in = channels_out
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(64, outputs)
        initialise_he(self)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.norm(self.conv(images)), inplace=True)
        return self.classifier(self.blocks(hidden).mean((2, 3)))


def blocks_per_stage(depth: int) -> int:
    """How many blocks each of the three stages has.

    Raises:
        ModelError: The depth is not 6n + 2.
    """
    if depth < 8 or (depth - 2) % 6:
        below = max(8, depth - (depth - 2) % 6)
        raise ModelError(
            f"a CIFAR ResNet of depth {depth} does not exist",
            remedy=f"Depths are 6n + 2, such as {below} or {below + 6}",
        )
    return (depth - 2) // 6


PUBLISHED = {20: "8.75", 32: "7.51", 44: "7.17", 56: "6.97", 110: "6.43", 1202: "7.93"}


def _make_resnet(depth: int) -> Entry:
    blocks_per_stage(depth)
    error = PUBLISHED.get(depth)
    return Entry(
        partial(CifarResNet, depth=depth),
        2015,
        "He et al.",
        f"Residual network of {depth} layers for small images.",
        CIFAR,
        recipe=RECIPE,
        published=f"{error} % error on CIFAR-10" if error else "",
    )


def _make_plain(depth: int) -> Entry:
    blocks_per_stage(depth)
    return Entry(
        partial(CifarResNet, depth=depth, block=PlainBlock),
        2015,
        "He et al.",
        f"The residual network of {depth} layers without its shortcuts.",
        CIFAR,
        recipe=CIFAR_RECIPE,
    )


def _make_stochastic_depth(depth: int) -> Entry:
    blocks_per_stage(depth)
    return Entry(
        partial(CifarResNet, depth=depth, last_survival=0.5),
        2016,
        "Huang et al.",
        f"Residual network of {depth} layers that drops branches while training.",
        CIFAR,
        recipe=CIFAR_RECIPE,
        published="5.23 % error on CIFAR-10" if depth == 110 else "",
    )


ENTRIES = {
    **{f"resnet{depth}": _make_resnet(depth) for depth in PUBLISHED},
    **{f"plain{depth}": _make_plain(depth) for depth in (20, 56)},
    "stochastic_depth_resnet110": _make_stochastic_depth(110),
}
FAMILIES = (
    Family(r"resnet(\d+)", _make_resnet, "resnet{6n+2}"),
    Family(r"plain(\d+)", _make_plain, "plain{6n+2}"),
    Family(
        r"stochastic_depth_resnet(\d+)", _make_stochastic_depth, "stochastic_depth_resnet{6n+2}"
    ),
)
