"""The perceptron (Rosenblatt 1957) and ADALINE (Widrow & Hoff 1960), each by its own rule."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.errors import ModelError
from trainwell.models.entry import Entry
from trainwell.nn.losses import Loss
from trainwell.nn.objective import follow


def desired_outputs(targets: Tensor, units: int, low: float) -> Tensor:
    """What each output unit should say: 1 for the class, `low` for the others.

    Args:
        targets: Class numbers `(N,)`.
        units: 1 for two classes, else one for each.
        low: 0 or −1.

    Returns:
        `(N, units)`.

    Raises:
        ModelError: The targets are no class numbers.
    """
    if targets.is_floating_point():
        raise ModelError(
            "this model tells classes apart; the targets are quantities",
            remedy="Use linear_regression or mlp",
        )
    if units == 1:
        chosen = targets.unsqueeze(1).float()
    else:
        chosen = functional.one_hot(targets, units).float()
    return low + (1 - low) * chosen


class Perceptron(nn.Module):
    """Threshold units that learn by w += alpha · (d − y) · x.

    The outputs are the weighted sums; the unit says 1 where its sum is at least 0. The loss shown
    is how many units are wrong. What is followed is the perceptron criterion, the sum of |w·x|
    over those units: its gradient is the rule. A batch averages over its examples, and a batch of
    one is the rule itself.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: `(N, outputs)` comes out; 1 for two classes.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(math.prod(input_shape), outputs)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs.flatten(1))

    def measure(self, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        sums = self(inputs)
        desired = desired_outputs(targets, sums.shape[1], 0.0)
        said = (sums.detach() >= 0).to(sums.dtype)
        wrong = (desired - said).abs().sum(1).mean()
        return sums, follow(-((desired - said) * sums).sum(1).mean(), wrong)


class Adaline(nn.Module):
    """A linear unit that learns by w += alpha · (d − s) · x before its threshold (LMS).

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: `(N, outputs)` comes out; 1 for two classes.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(math.prod(input_shape), outputs)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs.flatten(1))

    def measure(self, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        sums = self(inputs)
        desired = desired_outputs(targets, sums.shape[1], -1.0)
        return sums, 0.5 * (desired - sums).square().sum(1).mean()


RULE_RECIPE = {
    "optimizer": "sgd",
    "momentum": 0.0,
    "weight_decay": 0.0,
    "learning_rate": 0.01,
    "batch_size": 16,
}
"""Plain steps against the gradient are the rules as they were written."""


def classify(sums: Tensor) -> Tensor:
    """The class that weighted sums `(N, C)` or `(N, 1)` stand for, `(N,)`."""
    if sums.shape[1] == 1:
        return (sums[:, 0] >= 0).to(torch.int64)
    return sums.argmax(1)


ENTRIES = {
    "perceptron": Entry(
        Perceptron,
        1957,
        "Rosenblatt",
        "Threshold units, w += alpha (d − y) x.",
        (64,),
        recipe={**RULE_RECIPE, "learning_rate": 0.1},
    ),
    "adaline": Entry(
        Adaline,
        1960,
        "Widrow & Hoff",
        "Linear units before a threshold, least mean squares.",
        (64,),
        recipe={**RULE_RECIPE, "learning_rate": 0.002},
        sums_inputs=True,
    ),
}
