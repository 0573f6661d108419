"""What the catalogue knows about a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from trainwell.data.dataset import Task

CIFAR = (3, 32, 32)
IMAGENET = (3, 224, 224)

CLASSIFICATION: tuple[Task, ...] = ("binary", "multiclass")

Build = Callable[..., nn.Module]


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue.

    Attributes:
        build: Called with `input_shape`, `outputs` and the model's own options.
        year: Of publication.
        source: Authors of the publication.
        summary: One sentence.
        input_shape: For which the publication gives its figures, or a usual one.
        outputs: As many as there.
        recipe: Recipe fields that suit the model where the user leaves them open.
        published: The figure that the publication reports, with its data.
        task: What the model is trained for whatever the data says: an autoencoder's
            `"reconstruction"`. None: the task of the data.
        preprocess: Steps that the model needs; None: those that suit the data.
        suits: An embedded data set on which it trains at once.
        tasks: Of the data that it can learn; empty: any.
        sums_inputs: Whether it is a weighted sum of all inputs, so that its rate must be the lower
            the more inputs there are.
    """

    build: Build
    year: int
    source: str
    summary: str
    input_shape: tuple[int, ...]
    outputs: int = 10
    recipe: Mapping[str, Any] = field(default_factory=dict)
    published: str = ""
    task: Task | None = None
    preprocess: tuple[str, ...] | None = None
    suits: str = "digits"
    tasks: tuple[Task, ...] = ()
    sums_inputs: bool = False


@dataclass(frozen=True)
class Family:
    """Models of one kind whose names hold numbers, such as `resnet20`.

    Attributes:
        pattern: A regular expression that matches the whole name; its groups are the numbers.
        make: The entry for those numbers. Raises `ModelError` for impossible ones.
        form: How the names look, for people: `"resnet{6n+2}"`.
    """

    pattern: str
    make: Callable[..., Entry]
    form: str
