"""Ordinary hand-written programs with torch's default weights, none of which has a fault."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.checks.given import subject_of
from trainwell.checks.subject import Subject


@dataclass(frozen=True)
class Program:
    """What a program hands to `tw.check`."""

    model: nn.Module
    data: tuple[Tensor, Tensor]
    loss: Any
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None
    task: Any = None

    def subject(self, **changes: Any) -> Subject:
        optimizer = self.optimizer(self.model) if self.optimizer is not None else None
        options: dict[str, Any] = {
            "loss_fn": self.loss,
            "optimizer": optimizer,
            "batch_size": 32,
            "task": self.task,
        }
        return subject_of(self.model, self.data, **(options | changes))


def adam(model: nn.Module, rate: float = 1e-3) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), rate)


def sgd(model: nn.Module, rate: float = 0.05) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), rate, momentum=0.9)


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Rows `(64,)` with mean 0 and deviation 1, class numbers."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    inputs = torch.tensor(bunch.data).float()
    return (inputs - inputs.mean()) / inputs.std(), torch.tensor(bunch.target)


@cache
def pictures() -> tuple[Tensor, Tensor]:
    """`(1, 8, 8)`, class numbers."""
    inputs, targets = digits()
    return inputs.view(-1, 1, 8, 8), targets


@cache
def tumours() -> tuple[Tensor, Tensor]:
    """Rows `(30,)`, standardised; 0 or 1 as floats `(N, 1)`."""
    from sklearn.datasets import load_breast_cancer

    bunch: Any = load_breast_cancer()
    inputs = torch.tensor(bunch.data).float()
    targets = torch.tensor(bunch.target).float().unsqueeze(1)
    return (inputs - inputs.mean(0)) / inputs.std(0), targets


@cache
def patients() -> tuple[Tensor, Tensor]:
    """Rows `(10,)` and a quantity `(N, 1)`, all standardised."""
    from sklearn.datasets import load_diabetes

    bunch: Any = load_diabetes(scaled=False)
    inputs = torch.tensor(bunch.data).float()
    targets = torch.tensor(bunch.target).float().unsqueeze(1)
    return (inputs - inputs.mean(0)) / inputs.std(0), (targets - targets.mean()) / targets.std()


@cache
def waves() -> tuple[Tensor, Tensor]:
    """Sequences `(32, 1)` of sine or square waves with any phase."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.arange(600) % 2
    phase = 2 * math.pi * torch.rand(600, 1, generator=generator)
    sine = (torch.linspace(0, 12, 32) + phase).sin()
    values = torch.where(numbers.unsqueeze(1) == 0, 1.4 * sine, sine.sign())
    return values.unsqueeze(2), numbers


@cache
def words() -> tuple[Tensor, Tensor]:
    """Texts of 20 word numbers below 100, of which some tell the topic."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.arange(800) % 4
    common = torch.randint(40, 100, (800, 20), generator=generator)
    topical = 10 * numbers.unsqueeze(1) + torch.randint(0, 10, (800, 20), generator=generator)
    is_topical = torch.rand(800, 20, generator=generator) < 0.3
    return torch.where(is_topical, topical, common), numbers


def mlp(sizes: tuple[int, ...], activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), activation()]
    return nn.Sequential(*layers[:-1])


def cnn(normalised: bool = False, width: int = 16) -> nn.Sequential:
    def block(fan_in: int, fan_out: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(fan_out)] if normalised else []
        return [nn.Conv2d(fan_in, fan_out, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(2)]

    head = nn.Linear(4 * 2 * width, 10)
    return nn.Sequential(*block(1, width), *block(width, 2 * width), nn.Flatten(), head)


class FunctionalCnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3)
        self.fc1, self.fc2 = nn.Linear(16 * 16, 64), nn.Linear(64, 10)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        x = self.dropout(functional.relu(self.fc1(x.flatten(1))))
        return self.fc2(functional.dropout(x, 0.2, training=self.training))


class Residual(nn.Module):
    """Residual blocks whose last normalisation may start at zero (Goyal et al. 2017)."""

    def __init__(self, zero_gamma: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
                *(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)),
            )
            for _ in range(3)
        )
        if zero_gamma:
            for block in self.blocks:
                nn.init.zeros_(block[-1].weight)  # pyright: ignore
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = functional.relu(x + block(x))
        return self.head(x.mean((2, 3)))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], outputs: int = 2, layers: int = 1) -> None:
        super().__init__()
        self.layer = kind(1, 32, num_layers=layers, batch_first=True)  # pyright: ignore
        self.head = nn.Linear(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])


class WordsRecurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 32, padding_idx=0)
        self.layer = nn.LSTM(32, 32, batch_first=True, bidirectional=True)
        self.head = nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embedding(x))[0].mean(1))


class BagOfWords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(100, 32)
        self.head = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embedding(x))


class WordsTransformer(nn.Module):
    def __init__(self, layers: int = 2, norm_first: bool = False, activation: str = "relu") -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 32)
        self.place = nn.Parameter(torch.zeros(20, 32))
        layer = nn.TransformerEncoderLayer(
            *(32, 4, 64),
            batch_first=True,
            norm_first=norm_first,
            activation=activation,
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embedding(x) + self.place).mean(1))


class TwoOutputs(nn.Module):
    """Puts out scores and its hidden values."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(64, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(x).relu()
        return self.head(hidden), hidden


class HandMadeLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(1, 24), nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        h, c = x.new_zeros(len(x), 24), x.new_zeros(len(x), 24)
        for step in x.unbind(1):
            h, c = self.cell(step, (h, c))
        return self.head(h)


class Gated(nn.Module):
    """Highway layers with gates that are nearly shut at first (Srivastava et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 32), nn.Linear(32, 10)
        self.gates = nn.ModuleList(nn.Linear(32, 32) for _ in range(4))
        self.changes = nn.ModuleList(nn.Linear(32, 32) for _ in range(4))
        for gate in self.gates:
            nn.init.constant_(gate.bias, -3.0)  # pyright: ignore

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        for gate, change in zip(self.gates, self.changes, strict=True):
            share = torch.sigmoid(gate(x))
            x = share * change(x).relu() + (1 - share) * x
        return self.last(x)


def pooled_loss(outputs: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs[0], targets)


def reconstruct(rows: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return rows()[0], rows()[0]


CROSS = nn.CrossEntropyLoss()
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "leaky": nn.LeakyReLU,
}
PROGRAMS: dict[str, Callable[[], Program]] = {
    **{
        f"mlp-{depth}-{name}": (
            lambda depth=depth, make=make: Program(
                mlp((64, *[48] * (depth - 1), 10), make), digits(), CROSS, adam
            )
        )
        for depth in (2, 3, 4, 6, 8, 10)
        for name, make in ACTIVATIONS.items()
    },
    "mlp-narrow": lambda: Program(mlp((30, 8, 8, 1)), tumours(), nn.BCEWithLogitsLoss(), sgd),
    "mlp-sigmoid": lambda: Program(mlp((64, 48, 10), nn.Sigmoid), digits(), CROSS, sgd),
    "mlp-sigmoid-2": lambda: Program(mlp((64, 48, 48, 10), nn.Sigmoid), digits(), CROSS, adam),
    "mlp-probability": lambda: Program(
        nn.Sequential(*mlp((30, 16, 1)), nn.Sigmoid()), tumours(), nn.BCELoss(), adam
    ),
    "mlp-log": lambda: Program(
        nn.Sequential(*mlp((64, 32, 10)), nn.LogSoftmax(1)), digits(), nn.NLLLoss(), sgd
    ),
    "mlp-dropout": lambda: Program(
        nn.Sequential(
            *(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
        ),
        *(digits(), CROSS, sgd),
    ),
    "mlp-bn": lambda: Program(
        nn.Sequential(
            *(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU()),
            *(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10)),
        ),
        *(digits(), CROSS, sgd),
    ),
    "mlp-layernorm": lambda: Program(
        nn.Sequential(
            nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU(), nn.Dropout(0.1), nn.Linear(64, 10)
        ),
        *(digits(), CROSS, adam),
    ),
    "regression": lambda: Program(mlp((10, 32, 1)), patients(), nn.MSELoss(), adam),
    "regression-huber": lambda: Program(mlp((10, 32, 1)), patients(), nn.HuberLoss(), adam),
    "linear": lambda: Program(nn.Linear(10, 1), patients(), nn.MSELoss(), sgd),
    "logistic": lambda: Program(nn.Linear(30, 1), tumours(), nn.BCEWithLogitsLoss(), sgd),
    "softmax": lambda: Program(nn.Linear(64, 10), digits(), CROSS, sgd),
    "cnn": lambda: Program(cnn(), pictures(), CROSS, sgd),
    "cnn-bn": lambda: Program(cnn(True), pictures(), CROSS, sgd),
    "cnn-functional": lambda: Program(FunctionalCnn(), pictures(), CROSS, adam),
    "residual": lambda: Program(Residual(False), pictures(), CROSS, sgd),
    "residual-zero": lambda: Program(Residual(True), pictures(), CROSS, sgd),
    "highway": lambda: Program(Gated(), digits(), CROSS, adam),
    "rnn": lambda: Program(Recurrent(nn.RNN), waves(), CROSS, adam),
    "lstm": lambda: Program(Recurrent(nn.LSTM), waves(), CROSS, adam),
    "lstm-2": lambda: Program(Recurrent(nn.LSTM, layers=2), waves(), CROSS, adam),
    "gru": lambda: Program(Recurrent(nn.GRU), waves(), CROSS, adam),
    "lstm-cell": lambda: Program(HandMadeLstm(), waves(), CROSS, adam),
    "words-lstm": lambda: Program(WordsRecurrent(), words(), CROSS, adam),
    "words-bag": lambda: Program(BagOfWords(), words(), CROSS, adam),
    "words-transformer": lambda: Program(WordsTransformer(), words(), CROSS, adam),
    "words-transformer-4": lambda: Program(
        WordsTransformer(4, norm_first=True, activation="gelu"), words(), CROSS, adam
    ),
    "two-outputs": lambda: Program(TwoOutputs(), digits(), pooled_loss, adam),
    "own-lambda": lambda: Program(
        mlp((10, 32, 1)), patients(), lambda outputs, targets: (outputs - targets).pow(2).mean()
    ),
    "weighted": lambda: Program(
        mlp((64, 32, 10)), digits(), nn.CrossEntropyLoss(torch.linspace(0.5, 1.5, 10)), adam
    ),
    "smoothed": lambda: Program(
        mlp((64, 32, 10)), digits(), nn.CrossEntropyLoss(label_smoothing=0.1), adam
    ),
    "autoencoder": lambda: Program(
        mlp((64, 32, 8, 32, 64)), reconstruct(digits), nn.MSELoss(), adam
    ),
    "autoencoder-bottleneck": lambda: Program(
        nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 64)),
        *(reconstruct(digits), nn.MSELoss(), adam),
    ),
}
