"""Faults that keep gradients from parameters: cut graphs, values changed in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.checks.planted.datasets import (
    WORDS,
    customers,
    digit_pictures,
    reviews,
    segments,
    standard_houses,
    standard_stripes,
    standardise,
    tumours,
    waves,
    wine,
)
from tests.checks.planted.fault import Arguments, Family
from tests.checks.planted.models import adam, cnn, mlp, sgd

GRADIENTS = Family("gradients")


class TwoParts(nn.Module):
    """A body, something done to its features, and a head."""

    def __init__(self, body: nn.Module, head: nn.Module, between: Any) -> None:
        super().__init__()
        self.body, self.head, self.between = body, head, between

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.between(self.body(inputs)))


def same(features: Tensor) -> Tensor:
    return features


@GRADIENTS.plant("detach_inplace")
def features_detached(faulty: bool) -> Arguments:
    """`detach` stands between a CNN's features and its head."""
    data = digit_pictures()
    body = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    model = TwoParts(body, nn.Linear(256, 10), Tensor.detach if faulty else same)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@GRADIENTS.plant("detach_inplace")
def features_without_gradient(faulty: bool) -> Arguments:
    """The encoder runs within `torch.no_grad`, which was meant for evaluation."""

    class Encoded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.GRU(1, 32, batch_first=True)
            self.head = nn.Linear(32, 3)

        def forward(self, sequences: Tensor) -> Tensor:
            with torch.set_grad_enabled(torch.is_grad_enabled() and not faulty):
                states, _ = self.encoder(sequences)
            return self.head(states[:, -1])

    data = waves()
    model = Encoded()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@GRADIENTS.plant("detach_inplace")
def through_numpy(faulty: bool) -> Arguments:
    """Features go through numpy to be sorted, and come back without their history."""

    def sort(features: Tensor) -> Tensor:
        if faulty:
            return torch.from_numpy(features.detach().numpy().copy()).sort(1).values
        return features.sort(1).values

    data = standardise(tumours())
    body = nn.Sequential(nn.Linear(30, 32), nn.Tanh())
    model = TwoParts(body, nn.Linear(32, 1), sort)
    loss = nn.BCEWithLogitsLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model, 3e-3), 32)


@GRADIENTS.plant("detach_inplace")
def made_a_tensor_again(faulty: bool) -> Arguments:
    """Features are wrapped in `torch.tensor` once more."""

    def wrap(features: Tensor) -> Tensor:
        return torch.tensor(features.tolist()) if faulty else features

    data = standard_houses()
    body = nn.Sequential(nn.Linear(6, 32), nn.ReLU())
    model = TwoParts(body, nn.Linear(32, 1), wrap)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@GRADIENTS.plant("detach_inplace")
def weights_read_through_data(faulty: bool) -> Arguments:
    """A shared embedding is read through `.data`."""

    class Texts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(WORDS, 32)
            self.head = mlp(32, 32, 4)

        def forward(self, words: Tensor) -> Tensor:
            table = self.embedding.weight
            return self.head(functional.embedding(words, table.data if faulty else table).mean(1))

    data = reviews()
    model = Texts()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@GRADIENTS.plant("detach_inplace")
def loss_made_a_number(faulty: bool) -> Arguments:
    """The loss is made a number and a tensor again: nothing reaches the model."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        value = functional.cross_entropy(outputs, targets)
        return torch.tensor(value.item(), requires_grad=True) if faulty else value

    data = segments()
    model = mlp(16, 32, 5)
    return Arguments(model, data.train, data.valid, loss, adam(model), 64, "multiclass")


@GRADIENTS.plant("detach_inplace")
def changed_in_place(faulty: bool) -> Arguments:
    """A sigmoid's output is changed in place, and the backward pass needs it as it was."""

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(12, 32), nn.Linear(32, 1)

        def forward(self, rows: Tensor) -> Tensor:
            gate = torch.sigmoid(self.first(rows))
            if faulty:
                gate *= 2
            else:
                gate = gate * 2
            return self.head(gate)

    data = customers()
    model = InPlace()
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model), 32)


@GRADIENTS.plant("detach_inplace")
def residual_added_in_place(faulty: bool) -> Arguments:
    """A residual is added with `+=` to the output of a tanh that the backward pass needs."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.inner = nn.Linear(16, 32), nn.Linear(32, 32)
            self.head = nn.Linear(32, 5)

        def forward(self, rows: Tensor) -> Tensor:
            skip = torch.tanh(self.into(rows))
            inner = self.inner(skip)
            if faulty:
                skip += inner
            else:
                skip = skip + inner
            return self.head(skip)

    data = segments()
    model = Residual()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.02), 64)


@GRADIENTS.plant("detach_inplace", "vanishing_gradient", "wrong_backward")
def features_rounded(faulty: bool) -> Arguments:
    """Features are rounded to whole numbers: their derivative is 0 everywhere."""
    data = standardise(wine())
    body = nn.Sequential(nn.Linear(13, 32), nn.Tanh())

    def rounded(features: Tensor) -> Tensor:
        return (3 * features).round() if faulty else 3 * features

    model = TwoParts(body, nn.Linear(32, 3), rounded)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.01), 16)


@GRADIENTS.plant("detach_inplace")
def attention_cut(faulty: bool) -> Arguments:
    """Attention scores are detached, so that queries and keys get no gradient."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(WORDS, 32)
            self.query, self.key, self.value = (nn.Linear(32, 32) for _ in range(3))
            self.head = nn.Linear(32, 4)

        def forward(self, words: Tensor) -> Tensor:
            vectors = self.embedding(words)
            scores = self.query(vectors) @ self.key(vectors).transpose(1, 2) / 32**0.5
            shares = scores.softmax(2)
            shares = shares.detach() if faulty else shares
            return self.head((shares @ self.value(vectors)).mean(1))

    data = reviews()
    model = Attention()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@GRADIENTS.plant("detach_inplace")
def copied_item_by_item(faulty: bool) -> Arguments:
    """A CNN's channel means are filled into a new tensor with `.item()`."""

    def pool(features: Tensor) -> Tensor:
        means = features.mean((2, 3))
        return torch.tensor([[v.item() for v in row] for row in means]) if faulty else means

    data = standard_stripes()
    body = cnn(3, 16, 4)[:4]
    model = TwoParts(body, nn.Linear(32, 4), pool)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)
