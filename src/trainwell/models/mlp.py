"""Multi-layer perceptrons."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import nn

from trainwell.nn.initialisation import initialise_he


def mlp(
    input_shape: tuple[int, ...],
    outputs: int,
    sizes: Sequence[int] = (256, 128),
    dropout: float = 0.0,
) -> nn.Module:
    """Fully connected layers with ReLU between them (Rumelhart, Hinton & Williams 1986).

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: `(N, outputs)` comes out.
        sizes: Units of each hidden layer.
        dropout: Probability with which each hidden unit is dropped in training.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise((math.prod(input_shape), *sizes)):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    last = sizes[-1] if sizes else math.prod(input_shape)
    model = nn.Sequential(*layers, nn.Linear(last, outputs))
    initialise_he(model)
    return model
