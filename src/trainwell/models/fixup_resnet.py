"""Residual networks without normalisation, by their initial weights (Zhang, Dauphin & Ma 2019)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.models.entry import CIFAR, Entry, Family
from trainwell.models.resnet import CIFAR_RECIPE, blocks_per_stage
from trainwell.models.shapes import require_image
from trainwell.nn.fixup import initialise_fixup


class FixupBlock(nn.Module):
    """Two 3 × 3 convolutions around a shortcut, with a scalar bias before each and one scale.

    `initialise_fixup` draws the first convolution small enough for all blocks together and sets the
    second to zero: at the start the block passes its input on.

    Args:
        channels_in: Channels of `(N, C, H, W)` going in.
        channels_out: Channels coming out.
        stride: 2 halves height and width.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.biases = nn.ParameterList(torch.zeros(1) for _ in range(4))
        self.scale = nn.Parameter(torch.ones(1))
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.stride, self.new_channels = stride, channels_out - channels_in

    def forward(self, images: Tensor) -> Tensor:
        before1, after1, before2, after2 = self.biases
        hidden = functional.relu(self.conv1(images + before1) + after1)
        hidden = self.conv2(hidden + before2) * self.scale + after2
        return functional.relu(hidden + self.shortcut(images))

    def shortcut(self, images: Tensor) -> Tensor:
        if self.stride == 1 and not self.new_channels:
            return images
        front = self.new_channels // 2
        kept = images[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, front, self.new_channels - front))


class FixupResNet(nn.Module):
    """The residual network for small images with Fixup in place of batch normalisation.

    The paper trains the scalar biases and factors at a tenth of the rate. A recipe has one rate for
    parameters of the same depth, so that they are trained at the full one here; the entry's rate is
    half the usual.

    Args:
        input_shape: `(C, H, W)`, H and W at least 8.
        outputs: `(N, outputs)` comes out.
        depth: 6n + 2.

    Raises:
        ModelError: The depth is not 6n + 2, or the input is not an image of that size.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int, depth: int) -> None:
        super().__init__()
        channels, _, _ = require_image("a Fixup ResNet", input_shape, 8)
        count = blocks_per_stage(depth)
        self.conv = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.conv_bias = nn.Parameter(torch.zeros(1))
        blocks: list[nn.Module] = []
        channels_in = 16
        for stage, channels_out in enumerate((16, 32, 64)):
            for position in range(count):
                stride = 2 if stage and not position else 1
                blocks.append(FixupBlock(channels_in, channels_out, stride))
                channels_in = channels_out
        self.blocks = nn.Sequential(*blocks)
        self.last_bias = nn.Parameter(torch.zeros(1))
        self.classifier = nn.Linear(64, outputs)
        initialise_fixup(self, blocks)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.conv(images) + self.conv_bias)
        return self.classifier(self.blocks(hidden).mean((2, 3)) + self.last_bias)


def _make_fixup(depth: int) -> Entry:
    blocks_per_stage(depth)
    return Entry(
        partial(FixupResNet, depth=depth),
        2019,
        "Zhang et al.",
        f"Residual network of {depth} layers without normalisation.",
        CIFAR,
        recipe={**CIFAR_RECIPE, "learning_rate": 0.05},
        published="7.24 % error on CIFAR-10" if depth == 110 else "",
    )


ENTRIES = {f"fixup_resnet{depth}": _make_fixup(depth) for depth in (20, 110)}
FAMILIES = (Family(r"fixup_resnet(\d+)", _make_fixup, "fixup_resnet{6n+2}"),)
