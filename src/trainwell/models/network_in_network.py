"""Network in network (Lin, Chen & Yan 2013)."""

from __future__ import annotations

from torch import Tensor, nn

from trainwell.models.entry import CIFAR, Entry
from trainwell.models.resnet import CIFAR_RECIPE
from trainwell.models.shapes import require_image
from trainwell.nn.initialisation import initialise_he


class NetworkInNetwork(nn.Module):
    """Three convolutions, each followed by two 1 × 1 convolutions; the last maps are the classes.

    Args:
        input_shape: `(C, H, W)`, H and W at least 8.
        outputs: `(N, outputs)` comes out.
        dropout: Of the maps behind the first two poolings.

    Raises:
        ModelError: The input is not an image of that size.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int, dropout: float = 0.5) -> None:
        super().__init__()
        channels, _, _ = require_image("network_in_network", input_shape, 8)
        self.features = nn.Sequential(
            *_mlp_convolution(channels, (192, 160, 96), 5),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Dropout(dropout),
            *_mlp_convolution(96, (192, 192, 192), 5),
            nn.AvgPool2d(3, stride=2, padding=1),
            nn.Dropout(dropout),
            *_mlp_convolution(192, (192, 192), 3),
            nn.Conv2d(192, outputs, 1),
        )
        initialise_he(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images).mean((2, 3))


def _mlp_convolution(channels: int, widths: tuple[int, ...], kernel: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for position, width in enumerate(widths):
        size = 1 if position else kernel
        layers += [
            nn.Conv2d(channels, width, size, padding=size // 2),
            nn.ReLU(inplace=True),
        ]
        channels = width
    return layers


ENTRIES = {
    "network_in_network": Entry(
        NetworkInNetwork,
        2013,
        "Lin et al.",
        "Convolutions with small networks in them, no fully connected layer.",
        CIFAR,
        recipe={**CIFAR_RECIPE, "learning_rate": 0.02, "clip_norm": 1.0},
        published="8.81 % error on CIFAR-10",
    )
}
