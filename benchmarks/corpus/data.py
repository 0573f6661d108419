"""Small data sets, made or embedded, the same each time; `(N, ...)` float32 inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import torch
from sklearn import datasets
from torch import Generator, Tensor

Task = Literal["multiclass", "binary", "regression", "reconstruction"]


@dataclass(frozen=True)
class Data:
    """Examples to train and to validate with."""

    x: Tensor
    y: Tensor
    x_valid: Tensor
    y_valid: Tensor
    task: Task

    def head(self, count: int) -> Data:
        """Only so many examples to train with."""
        return replace(self, x=self.x[:count], y=self.y[:count])


def split(x: Tensor, y: Tensor, task: Task, valid: float = 0.3) -> Data:
    """Shuffled and split, always in the same way."""
    order = torch.randperm(len(x), generator=random(9))
    kept = len(x) - int(valid * len(x))
    train, held = order[:kept], order[kept:]
    return Data(x[train], y[train], x[held], y[held], task)


def random(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def standardise(data: Data) -> Data:
    """Columns of mean 0 and standard deviation 1, as measured on the training examples."""
    mean, deviation = data.x.mean(0), data.x.std(0).clamp(min=1e-6)
    return replace(data, x=(data.x - mean) / deviation, x_valid=(data.x_valid - mean) / deviation)


def standardise_targets(data: Data) -> Data:
    mean, deviation = data.y.mean(), data.y.std()
    return replace(data, y=(data.y - mean) / deviation, y_valid=(data.y_valid - mean) / deviation)


@cache
def digits_as_bytes() -> Data:
    """1,797 digits of 8 × 8 in ten classes, from 0 to 16."""
    x, y = datasets.load_digits(return_X_y=True)
    return split(torch.tensor(x, dtype=torch.float32), torch.tensor(y), "multiclass")


@cache
def digits() -> Data:
    """Digits as vectors of 64 from 0 to 1."""
    data = digits_as_bytes()
    return replace(data, x=data.x / 16, x_valid=data.x_valid / 16)


@cache
def digit_images() -> Data:
    """Digits as images `(N, 1, 8, 8)` from −1 to 1."""
    data = digits()
    return replace(
        data,
        x=(2 * data.x - 1).view(-1, 1, 8, 8),
        x_valid=(2 * data.x_valid - 1).view(-1, 1, 8, 8),
    )


@cache
def raw_wine() -> Data:
    """178 wines of three kinds, 13 columns in their own units (0.1 to 1,700)."""
    x, y = datasets.load_wine(return_X_y=True)
    return split(torch.tensor(x, dtype=torch.float32), torch.tensor(y), "multiclass")


@cache
def wine() -> Data:
    return standardise(raw_wine())


@cache
def raw_cancer() -> Data:
    """569 tumours, 30 columns in their own units (0.001 to 4,000); targets `(N, 1)` of 0 and 1."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    targets = torch.tensor(y, dtype=torch.float32)[:, None]
    return split(torch.tensor(x, dtype=torch.float32), targets, "binary")


@cache
def cancer() -> Data:
    return standardise(raw_cancer())


@cache
def diabetes() -> Data:
    """442 patients, 10 columns; targets `(N, 1)`, standardised."""
    x, y = datasets.load_diabetes(return_X_y=True)
    targets = torch.tensor(y, dtype=torch.float32)[:, None]
    data = split(torch.tensor(x, dtype=torch.float32), targets, "regression")
    return standardise_targets(standardise(data))


@cache
def friedman(noise: float = 0.5, count: int = 1000) -> Data:
    """Friedman's (1991) smooth regression of ten columns; targets `(N, 1)`, standardised."""
    x, y = datasets.make_friedman1(count, 10, noise=noise, random_state=3)
    targets = torch.tensor(y, dtype=torch.float32)[:, None]
    data = split(torch.tensor(x, dtype=torch.float32), targets, "regression")
    return standardise_targets(standardise(data))


@cache
def moons(noise: float = 0.15, count: int = 1000) -> Data:
    """Two interleaved half-circles; targets `(N, 1)` of 0 and 1."""
    x, y = datasets.make_moons(count, noise=noise, random_state=5)
    targets = torch.tensor(y, dtype=torch.float32)[:, None]
    return standardise(split(torch.tensor(x, dtype=torch.float32), targets, "binary"))


@cache
def circles(noise: float = 0.08, count: int = 1000) -> Data:
    """A circle within a circle, as two classes."""
    x, y = datasets.make_circles(count, noise=noise, factor=0.5, random_state=5)
    return standardise(split(torch.tensor(x, dtype=torch.float32), torch.tensor(y), "multiclass"))


@cache
def clusters(classes: int = 4, flipped: float = 0.0, count: int = 1500, seed: int = 2) -> Data:
    """Clusters at the corners of a cube, 20 columns of which 8 tell; a share of labels is wrong."""
    x, y = datasets.make_classification(
        count,
        20,
        n_informative=8,
        n_redundant=2,
        n_classes=classes,
        n_clusters_per_class=1,
        class_sep=1.4,
        flip_y=flipped,
        random_state=seed,
    )
    data = split(torch.tensor(x, dtype=torch.float32), torch.tensor(y), "multiclass")
    return standardise(data)


@cache
def rare(share: float, distance: float, count: int = 4000) -> Data:
    """Two overlapping clouds of ten columns, `share` of the examples in the second, as 0 and 1."""
    source = random(11)
    y = (torch.rand(count, generator=source) < share).float()[:, None]
    x = torch.randn(count, 10, generator=source)
    x[:, :4] += distance * y
    return split(x, y, "binary", valid=0.5)


@cache
def arrows(noise: float = 0.4, count: int = 1200) -> Data:
    """Arrows that point left, right, up or down, in noise; images `(N, 1, 12, 12)`."""
    source = random(13)
    head = torch.zeros(7, 7)
    head[3, :] = 1
    for step in range(4):
        head[3 - step, step] = head[3 + step, step] = 1
    pointing = [head, head.flip(1), head.T.contiguous(), head.T.flip(0)]
    y = torch.randint(4, (count,), generator=source)
    corner = torch.randint(6, (count, 2), generator=source)
    x = noise * torch.randn(count, 1, 12, 12, generator=source)
    for row, (top, left) in enumerate(corner.tolist()):
        x[row, 0, top : top + 7, left : left + 7] += pointing[int(y[row])]
    return split(x, y, "multiclass")


@cache
def waves(length: int = 40, count: int = 900) -> Data:
    """Noisy sine waves of three frequencies `(N, length, 1)`."""
    source = random(17)
    y = torch.randint(3, (count,), generator=source)
    phase = 2 * math.pi * torch.rand(count, 1, generator=source)
    rate = torch.tensor([0.25, 0.5, 0.8])[y][:, None]
    x = torch.sin(rate * torch.arange(length) + phase)
    x = x + 0.3 * torch.randn(count, length, generator=source)
    return split(x[..., None], y, "multiclass")


@cache
def recall(length: int, count: int = 1200, symbols: int = 4) -> Data:
    """Sequences `(N, length, symbols + 1)`: the first symbol is asked for after noise."""
    source = random(19)
    y = torch.randint(symbols, (count,), generator=source)
    x = torch.zeros(count, length, symbols + 1)
    x[:, 1:, symbols] = torch.randn(count, length - 1, generator=source)
    x[torch.arange(count), 0, y] = 1
    return split(x, y, "multiclass")


@cache
def sentences(length: int = 12, words: int = 60, count: int = 1500) -> Data:
    """Sequences of word numbers `(N, length)`, int64; each class has words that it likes."""
    source = random(23)
    y = torch.randint(3, (count,), generator=source)
    liked = 1 + 3 * torch.rand(3, words, generator=source).gt(0.8)
    x = torch.multinomial(liked[y].float(), length, replacement=True, generator=source)
    return split(x, y, "multiclass")


@cache
def noisy_linear(noise: float = 1.0, count: int = 800, columns: int = 8) -> Data:
    """A linear function of `columns`, in noise of this deviation (that of the signal is 1)."""
    source = random(29)
    x = torch.randn(count, columns, generator=source)
    weight = torch.randn(columns, 1, generator=source)
    y = x @ (weight / weight.norm()) + noise * torch.randn(count, 1, generator=source)
    return split(x, y, "regression")


@cache
def curve(count: int = 600) -> Data:
    """One column from −3 to 3 and a wave of it."""
    source = random(31)
    x = 6 * torch.rand(count, 1, generator=source) - 3
    y = torch.sin(2 * x) + 0.1 * torch.randn(count, 1, generator=source)
    return split(x, y, "regression")


def as_reconstruction(data: Data) -> Data:
    """The inputs are to be reproduced."""
    return Data(data.x, data.x, data.x_valid, data.x_valid, "reconstruction")
