"""Linear models: linear regression, logistic regression and the softmax classifier."""

from __future__ import annotations

import math

from torch import nn


def linear(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """One linear layer on the flattened input.

    Initial weights are zero: the problem is convex, so there is no symmetry to break, and the
    initial loss is what chance predicts.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: `(N, outputs)` comes out.
    """
    layer = nn.Linear(math.prod(input_shape), outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(nn.Flatten(), layer)
