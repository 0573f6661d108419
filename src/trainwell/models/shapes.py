"""What models ask of their inputs: shape and range."""

from __future__ import annotations

import math

from torch import Tensor, nn

from trainwell.errors import ModelError


def require_image(name: str, input_shape: tuple[int, ...], smallest: int) -> tuple[int, int, int]:
    """The shape as `(C, H, W)`.

    Args:
        name: Of the model.
        input_shape: Of one example.
        smallest: Pixels that height and width need at least.

    Raises:
        ModelError: Not an image, or too small.
    """
    if len(input_shape) != 3 or min(input_shape[1:]) < smallest:
        raise ModelError(
            f"{name} needs images of at least {smallest} × {smallest} pixels, the input is "
            f"{input_shape}",
            remedy="Use a model for small or flat inputs, such as mlp"
            if len(input_shape) != 3 or min(input_shape[1:]) < 8
            else "Use a model for small images, such as resnet20, or larger images",
        )
    channels, height, width = input_shape
    return channels, height, width


TOLERANCE = 1e-5
"""By which rounding may leave [0, 1]."""


def require_unit_range(name: str, inputs: Tensor) -> None:
    """Refuses inputs that cannot be taken as probabilities.

    Args:
        name: Of the model.
        inputs: `(N, ...)` as the model sees them.

    Raises:
        ModelError: A value lies outside [0, 1].
    """
    least, most = (float(value) for value in inputs.aminmax())
    if least < -TOLERANCE or most > 1 + TOLERANCE:
        raise ModelError(
            f"{name} takes its inputs as probabilities, they go from {least:.3g} to {most:.3g}",
            remedy='Preprocess them with "unit_range"',
        )


def sequence_shape(input_shape: tuple[int, ...]) -> tuple[int, int]:
    """How an example is read as a sequence: `(T, F)`.

    A sequence `(T, F)` as it is; an image `(C, H, W)` row by row, `(H, C · W)`; a vector `(F,)`
    value by value, `(F, 1)`.
    """
    if len(input_shape) == 2:
        return input_shape[0], input_shape[1]
    if len(input_shape) == 3:
        return input_shape[1], input_shape[0] * input_shape[2]
    return math.prod(input_shape), 1


class AsSequence(nn.Module):
    """Turns a batch of any kind of input into sequences `(N, T, F)`, as `sequence_shape` says.

    Args:
        input_shape: Of one example.
    """

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.dimensions = len(input_shape)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.dimensions == 3:
            return inputs.transpose(1, 2).flatten(2)
        return inputs if self.dimensions == 2 else inputs.flatten(1).unsqueeze(2)
