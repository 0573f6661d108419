"""Linear models: regression, logistic regression, the softmax classifier and the linear SVM."""

from __future__ import annotations

import math

from torch import nn

from trainwell.models.entry import CLASSIFICATION, Entry


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


DIGIT = (1, 28, 28)
ENTRIES = {
    "linear_regression": Entry(
        linear,
        1805,
        "Legendre",
        "One linear layer, squared error.",
        (13,),
        1,
        suits="diabetes",
        tasks=("regression",),
    ),
    "logistic_regression": Entry(
        linear,
        1958,
        "Cox",
        "One linear layer, sigmoid.",
        (30,),
        1,
        suits="breast-cancer",
        tasks=CLASSIFICATION,
        sums_inputs=True,
    ),
    "softmax": Entry(
        linear,
        1959,
        "Luce",
        "One linear layer, softmax.",
        DIGIT,
        tasks=CLASSIFICATION,
        sums_inputs=True,
    ),
    "linear_svm": Entry(
        linear,
        1995,
        "Cortes & Vapnik",
        "One linear layer, hinge loss and L2 penalty.",
        DIGIT,
        recipe={"loss": "hinge", "learning_rate": 0.01},
        tasks=CLASSIFICATION,
        sums_inputs=True,
    ),
}
