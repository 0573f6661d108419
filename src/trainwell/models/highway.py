"""Highway networks (Srivastava, Greff & Schmidhuber 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from trainwell.errors import ModelError
from trainwell.models.entry import CIFAR, Entry
from trainwell.models.resnet import CIFAR_RECIPE
from trainwell.models.shapes import require_image
from trainwell.nn.gates import CARRY_BIAS, HighwayGate
from trainwell.nn.initialisation import initialise_he

WIDTHS = {
    19: ((32, 32, 32, 48, 48), (80,) * 6, (128,) * 6),
    32: ((32,) * 10, (48,) * 10, (64,) * 10),
}
"""Maps of each convolution, by stage. 19: those of Romero et al. (2014), as the paper has them. The
paper gives for 32 layers only the number of parameters, which these widths meet."""


class HighwayConvolutions(nn.Module):
    """Highway layers of 3 × 3 convolutions in three stages with pooling.

    Where the number of maps changes, a plain convolution takes the place of the highway layer.

    Args:
        input_shape: `(C, H, W)`, H and W at least 8.
        outputs: `(N, outputs)` comes out.
        widths: Maps of each convolution, by stage.

    Raises:
        ModelError: The input is not an image of that size.
    """

    def __init__(
        self, input_shape: tuple[int, ...], outputs: int, widths: Sequence[Sequence[int]]
    ) -> None:
        super().__init__()
        channels, _, _ = require_image("a convolutional highway network", input_shape, 8)
        layers: list[nn.Module] = []
        for stage, stage_widths in enumerate(widths):
            if stage:
                layers.append(nn.MaxPool2d(2))
            for width in stage_widths:
                layers.append(_make_layer(channels, width))
                channels = width
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, outputs)
        initialise_he(self)
        open_gates_little(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.layers(images).mean((2, 3)))


def _make_layer(channels: int, width: int) -> nn.Module:
    transform = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU())
    if channels != width:
        return transform
    return HighwayGate(transform, nn.Conv2d(channels, width, 3, padding=1))


def open_gates_little(model: nn.Module) -> None:
    """Gives all highway gates of a model their initial bias, which a common draw sets to zero."""
    for module in model.modules():
        if isinstance(module, HighwayGate):
            module.open_little()


class HighwayMlp(nn.Module):
    """A fully connected layer, then highway layers of the same width.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: `(N, outputs)` comes out.
        depth: Hidden layers, the first of which is plain.
        width: Units of each.
        gate_bias: Of the gates at first. The deeper the network, the more it must carry: the
            paper's fully connected networks have −1 to −10, and 40 layers learn from −3.

    Raises:
        ModelError: The depth is less than 2.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        depth: int = 10,
        width: int = 50,
        gate_bias: float = CARRY_BIAS,
    ) -> None:
        super().__init__()
        if depth < 2:
            raise ModelError(f"highway_mlp needs a depth of at least 2, not {depth}")
        gates = (
            HighwayGate(
                nn.Sequential(nn.Linear(width, width), nn.ReLU()),
                nn.Linear(width, width),
                gate_bias,
            )
            for _ in range(depth - 1)
        )
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(math.prod(input_shape), width), nn.ReLU(), *gates
        )
        self.classifier = nn.Linear(width, outputs)
        initialise_he(self)
        open_gates_little(self)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classifier(self.layers(inputs))


PUBLISHED = {19: "7.54", 32: "8.80"}
ENTRIES = {
    **{
        f"highway{depth}": Entry(
            partial(HighwayConvolutions, widths=widths),
            2015,
            "Srivastava et al.",
            f"Convolutions with learned gates that carry, {depth} layers.",
            CIFAR,
            recipe={**CIFAR_RECIPE, "learning_rate": 0.02},
            published=f"{PUBLISHED[depth]} % error on CIFAR-10",
        )
        for depth, widths in WIDTHS.items()
    },
    "highway_mlp": Entry(
        HighwayMlp,
        2015,
        "Srivastava et al.",
        "Fully connected layers with learned gates that carry.",
        (1, 28, 28),
    ),
}
