"""The networks of the programs, as people write them."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


def mlp(*sizes: int, activation: type[nn.Module] = nn.ReLU, norm: bool = False) -> nn.Sequential:
    """Linear layers of these sizes with an activation between them."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(fan_in, fan_out)]
        layers += [nn.BatchNorm1d(fan_out)] if norm else []
        layers += [activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def he_initialise(model: nn.Module) -> nn.Module:
    """Weights N(0, 2 / fan_in), biases 0 (He et al. 2015)."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def xavier_initialise(model: nn.Module) -> nn.Module:
    """Weights N(0, 2 / (fan_in + fan_out)), biases 0 (Glorot & Bengio 2010)."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def cnn(channels: int, size: int, classes: int, norm: bool = False) -> nn.Sequential:
    """Two convolutions with pooling, then a linear layer."""
    features: list[nn.Module] = []
    for fan_in, fan_out in ((channels, 16), (16, 32)):
        features += [nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=not norm)]
        features += [nn.BatchNorm2d(fan_out)] if norm else []
        features += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(32 * (size // 4) ** 2, classes))


class Recurrent(nn.Module):
    """An LSTM or GRU over `(N, T, F)` whose last state goes into a linear layer."""

    def __init__(
        self, cell: type[nn.LSTM] | type[nn.GRU], features: int, hidden: int, outputs: int
    ) -> None:
        super().__init__()
        self.cell = cell(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        states, _ = self.cell(inputs)
        return self.head(states[:, -1])


class BagOfWords(nn.Module):
    """Mean of word vectors, then a small MLP."""

    def __init__(self, words: int, classes: int, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.head = mlp(width, width, classes)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.embedding(words).mean(1))


class TextRecurrent(nn.Module):
    """Word vectors into an LSTM, mean of its states into a linear layer."""

    def __init__(self, words: int, classes: int, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.cell = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, words: Tensor) -> Tensor:
        states, _ = self.cell(self.embedding(words))
        return self.head(states.mean(1))


class Transformer(nn.Module):
    """Word vectors and places into an encoder of two layers, mean of it into a linear layer."""

    def __init__(
        self, words: int, length: int, classes: int, *, batch_first: bool = True, width: int = 32
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.1, batch_first=batch_first
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.encoder(self.embedding(words) + self.places).mean(1))


class Then(nn.Module):
    """A model with something after its outputs."""

    def __init__(self, model: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.model, self.after = model, after

    def forward(self, inputs: Tensor) -> Tensor:
        return self.after(self.model(inputs))


def sgd(model: nn.Module, rate: float = 0.05, momentum: float = 0.9) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)


def adam(model: nn.Module, rate: float = 1e-3) -> torch.optim.Adam:
    return torch.optim.Adam(model.parameters(), lr=rate)
