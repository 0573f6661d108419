"""Residual networks for small images (He, Zhang, Ren & Sun 2015, section 4.2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from trainwell.errors import ModelError
from trainwell.nn.initialisation import initialise_he


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions around an identity shortcut.

    Where the block halves the image and widens, the shortcut takes every second pixel and fills
    the new channels with zeros (option A of the paper): it has no parameters.

    Args:
        channels_in: Channels of `(N, C, H, W)` going in.
        channels_out: Channels coming out.
        stride: 2 halves height and width.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.stride = stride
        self.new_channels = channels_out - channels_in

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.norm1(self.conv1(images)), inplace=True)
        hidden = self.norm2(self.conv2(hidden))
        return functional.relu(hidden + self.shortcut(images), inplace=True)

    def shortcut(self, images: Tensor) -> Tensor:
        if self.stride == 1 and not self.new_channels:
            return images
        before = self.new_channels // 2
        kept = images[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, before, self.new_channels - before))


class CifarResNet(nn.Module):
    """Three stages of 16, 32 and 64 channels with `(depth − 2) / 6` blocks each.

    Args:
        input_shape: `(C, H, W)`, H and W at least 8.
        outputs: `(N, outputs)` comes out.
        depth: Layers with weights, 6n + 2: 20, 32, 44, 56, 110, 1202.

    Raises:
        ModelError: The depth is not 6n + 2, or the input is not an image of that size.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int, depth: int) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ModelError(
                f"a CIFAR ResNet of depth {depth} does not exist", remedy="Use a depth of 6n + 2"
            )
        if len(input_shape) != 3 or min(input_shape[1:]) < 8:
            raise ModelError(
                f"resnet{depth} needs images of at least 8 × 8 pixels, the input is {input_shape}",
                remedy="Use a model for flat inputs, such as mlp",
            )
        self.conv = nn.Conv2d(input_shape[0], 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        blocks: list[nn.Module] = []
        channels_in = 16
        for stage, channels in enumerate((16, 32, 64)):
            for position in range((depth - 2) // 6):
                stride = 2 if stage and not position else 1
                blocks.append(ResidualBlock(channels_in, channels, stride))
                channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(64, outputs)
        initialise_he(self)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.norm(self.conv(images)), inplace=True)
        return self.classifier(self.blocks(hidden).mean((2, 3)))


def resnet20(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """ResNet-20, 0.27 M parameters; 8.75 % error on CIFAR-10 in the paper."""
    return CifarResNet(input_shape, outputs, depth=20)


def resnet32(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """ResNet-32, 0.46 M parameters; 7.51 % error on CIFAR-10 in the paper."""
    return CifarResNet(input_shape, outputs, depth=32)


def resnet44(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """ResNet-44, 0.66 M parameters; 7.17 % error on CIFAR-10 in the paper."""
    return CifarResNet(input_shape, outputs, depth=44)


def resnet56(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """ResNet-56, 0.85 M parameters; 6.97 % error on CIFAR-10 in the paper."""
    return CifarResNet(input_shape, outputs, depth=56)


def resnet110(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """ResNet-110, 1.7 M parameters; 6.43 % error on CIFAR-10 in the paper."""
    return CifarResNet(input_shape, outputs, depth=110)
