"""Small networks that several programs use."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of these widths, inputs and outputs included, activations between them."""
    model = nn.Sequential()
    for inputs, outputs in pairwise(widths):
        model.append(nn.Linear(inputs, outputs))
        model.append(activation())
    return model[:-1]


def cnn(size: int, classes: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Two convolutions with pooling and a linear layer, for square grey images."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        activation(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        activation(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * (size // 4) ** 2, classes),
    )


class LastState(nn.Module):
    """A recurrent network whose last state a linear layer reads; inputs `(N, length, columns)`."""

    def __init__(self, recurrent: nn.RNNBase, classes: int) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.head = nn.Linear(recurrent.hidden_size, classes)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrent(x)
        return self.head(states[:, -1])


def initialise(model: nn.Module, deviation: float) -> nn.Module:
    """Draws all weights of linear and convolutional layers from a normal distribution."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.normal_(module.weight, std=deviation)
            nn.init.zeros_(module.bias)
    return model
