"""What is trained: a network, data and settings that every contender shares."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor, nn

import trainwell
from trainwell import Dataset
from trainwell.data.dataset import Split


@dataclass(frozen=True)
class Examples:
    """What contenders that know nothing of trainwell are given.

    Attributes:
        inputs: `(N, C, H, W)` float32, standardised for each channel.
        targets: `(N,)` int64.
    """

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Question:
    """One network on one data set.

    Attributes:
        title: For people.
        model: A name of trainwell's catalogue; all contenders on torch train this module.
        data: As trainwell holds it.
        epochs: Each contender trains this many.
        learning_rate: Of SGD, constant; for all but trainwell's defaults.
        momentum: Of SGD.
        seed: Of initial weights and order.
        batch_size: Examples of an update.
    """

    title: str
    model: str
    data: Dataset
    epochs: int
    learning_rate: float
    momentum: float
    seed: int
    batch_size: int = 128

    def build_model(self) -> nn.Module:
        """The network with its initial weights."""
        return trainwell.models.create(self.model, self.data, seed=self.seed)

    @cached_property
    def train(self) -> Examples:
        return self._read("train")

    @cached_property
    def valid(self) -> Examples:
        return self._read("valid")

    @cached_property
    def test(self) -> Examples:
        return self._read("test")

    def _read(self, name: str) -> Examples:
        split = self.data.split(name)
        assert isinstance(split.inputs, Tensor)
        return Examples(self.data.preprocess(split.inputs), split.targets)


def ask_mnist(epochs: int, seed: int, images: int | None) -> Question:
    """An MLP 784-256-128-10 on MNIST.

    Args:
        epochs: Of each contender.
        seed: Of initial weights and order.
        images: Training images that are kept; None keeps all 54,000.
    """
    data = cut_down(trainwell.load(find_data("mnist")), images)
    return Question("MNIST, MLP 784-256-128-10", "mlp", data, epochs, 0.05, 0.9, seed)


def ask_cifar10(epochs: int, seed: int, images: int | None) -> Question:
    """ResNet-20 on CIFAR-10.

    Args:
        epochs: Of each contender.
        seed: Of initial weights and order.
        images: Training images that are kept; None keeps all 45,000.
    """
    data = cut_down(trainwell.load(find_data("cifar10")), images)
    return Question("CIFAR-10, ResNet-20", "resnet20", data, epochs, 0.1, 0.9, seed)


def find_data(name: str) -> str:
    """The folder of a data set, or its name where it has to be downloaded."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("TRAINWELL_DATA", beside)) / name
    return str(folder) if folder.is_dir() else name


def cut_down(data: Dataset, images: int | None) -> Dataset:
    """The first training images and the same share of the other splits."""
    if images is None or images >= len(data.train):
        return data
    share = images / len(data.train)
    test = data.split("test")
    return dataclasses.replace(
        data,
        train=take_first(data.train, images),
        valid=take_first(data.valid, round(share * len(data.valid))),
        test=take_first(test, round(share * len(test))),
    )


def take_first(split: Split, count: int) -> Split:
    """The first examples of a split, which is in no order of its classes."""
    assert isinstance(split.inputs, Tensor)
    return Split(split.inputs[:count], split.targets[:count], split.ids[:count], split.source)
