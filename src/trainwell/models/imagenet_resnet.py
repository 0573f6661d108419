"""Residual networks for large images (He, Zhang, Ren & Sun 2015, table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from trainwell.models.entry import IMAGENET, Entry
from trainwell.models.shapes import require_image
from trainwell.nn.initialisation import initialise_he


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions; a 1 × 1 convolution on the shortcut where the shape changes.

    Args:
        channels_in: Channels of `(N, C, H, W)` going in.
        width: Channels of the convolutions, and coming out.
        stride: 2 halves height and width.
    """

    expansion = 1

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = _make_shortcut(channels_in, width, stride)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.norm1(self.conv1(images)), inplace=True)
        hidden = self.norm2(self.conv2(hidden))
        return functional.relu(hidden + self.shortcut(images), inplace=True)


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3 and 1 × 1 convolutions; the middle one carries the stride, as is usual today.

    Args:
        channels_in: Channels of `(N, C, H, W)` going in.
        width: Channels of the middle convolution; four times as many come out.
        stride: 2 halves height and width.
    """

    expansion = 4

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(4 * width)
        self.shortcut = _make_shortcut(channels_in, 4 * width, stride)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.norm1(self.conv1(images)), inplace=True)
        hidden = functional.relu(self.norm2(self.conv2(hidden)), inplace=True)
        hidden = self.norm3(self.conv3(hidden))
        return functional.relu(hidden + self.shortcut(images), inplace=True)


def _make_shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    if stride == 1 and channels_in == channels_out:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
    )


class ImageNetResNet(nn.Module):
    """Four stages of 64, 128, 256 and 512 channels behind a 7 × 7 convolution and a pooling.

    Args:
        input_shape: `(C, H, W)`, H and W at least 32.
        outputs: `(N, outputs)` comes out.
        block: Of which the stages are built.
        counts: Blocks of each stage.

    Raises:
        ModelError: The input is not an image of that size.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        block: type[BasicBlock] | type[Bottleneck],
        counts: Sequence[int],
    ) -> None:
        super().__init__()
        channels, _, _ = require_image("an ImageNet ResNet", input_shape, 32)
        self.conv = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        blocks: list[nn.Module] = []
        channels_in = 64
        for stage, count in enumerate(counts):
            for position in range(count):
                width = 64 * 2**stage
                blocks.append(block(channels_in, width, 2 if stage and not position else 1))
                channels_in = width * block.expansion
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(channels_in, outputs)
        initialise_he(self)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.pool(functional.relu(self.norm(self.conv(images)), inplace=True))
        return self.classifier(self.blocks(hidden).mean((2, 3)))


DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2), "27.88 % top-1 error on ImageNet, 10 crops"),
    34: (BasicBlock, (3, 4, 6, 3), "7.40 % top-5 error on ImageNet, 10 crops"),
    50: (Bottleneck, (3, 4, 6, 3), "6.71 % top-5 error on ImageNet, 10 crops"),
    101: (Bottleneck, (3, 4, 23, 3), "6.05 % top-5 error on ImageNet, 10 crops"),
    152: (Bottleneck, (3, 8, 36, 3), "5.71 % top-5 error on ImageNet, 10 crops"),
}
ENTRIES = {
    f"resnet{depth}": Entry(
        partial(ImageNetResNet, block=block, counts=counts),
        2015,
        "He et al.",
        f"Residual network of {depth} layers for large images.",
        IMAGENET,
        1000,
        published=published,
        suits="shapes",
    )
    for depth, (block, counts, published) in DEPTHS.items()
}
