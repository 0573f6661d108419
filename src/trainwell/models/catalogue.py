"""Models by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from trainwell.data.dataset import Dataset
from trainwell.errors import ModelError
from trainwell.models import lenet, linear, mlp, resnet


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue.

    Attributes:
        build: Called with `input_shape`, `outputs` and the model's own options.
        year: Of publication.
        source: Author of the publication.
        summary: One sentence.
        recipe: Recipe fields that suit the model where the user leaves them open.
    """

    build: Callable[..., nn.Module]
    year: int
    source: str
    summary: str
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """What `create` was told; enough to build the same model again."""

    name: str
    input_shape: tuple[int, ...]
    outputs: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "name": self.name,
            "input_shape": list(self.input_shape),
            "outputs": self.outputs,
            "options": dict(self.options),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ModelSpec:
        """The spec that `to_dict` wrote."""
        shape = tuple(fields["input_shape"])
        return cls(fields["name"], shape, fields["outputs"], fields["options"])


CIFAR_RECIPE = {"epochs": 12, "batch_size": 128, "augment": ("flip", "crop")}

CATALOGUE: dict[str, Entry] = {
    "linear_regression": Entry(linear.linear, 1805, "Legendre", "One linear layer."),
    "logistic_regression": Entry(linear.linear, 1958, "Cox", "One linear layer, sigmoid."),
    "softmax": Entry(linear.linear, 1959, "Luce", "One linear layer, softmax."),
    "mlp": Entry(mlp.mlp, 1986, "Rumelhart, Hinton & Williams", "Fully connected, ReLU."),
    "lenet5": Entry(lenet.lenet5, 1998, "LeCun et al.", "Convolutions for handwritten digits."),
    **{
        f"resnet{depth}": Entry(
            getattr(resnet, f"resnet{depth}"),
            2015,
            "He et al.",
            "Residual network for small images.",
            CIFAR_RECIPE,
        )
        for depth in (20, 32, 44, 56, 110)
    },
}


def find_entry(name: str) -> Entry:
    """The catalogue's entry of that name.

    Raises:
        ModelError: There is none; the message names the nearest.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = difflib.get_close_matches(name, CATALOGUE, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise ModelError(
        f"there is no model {name!r}", remedy=f"{hint}The models are: {', '.join(CATALOGUE)}"
    )


def create(
    name: str,
    data: Dataset | None = None,
    *,
    input_shape: tuple[int, ...] | None = None,
    classes: int | None = None,
    seed: int | None = None,
    **options: Any,
) -> nn.Module:
    """A model by name, fitted in shape to the data.

    Args:
        name: A name of the catalogue, such as `"resnet20"`.
        data: Says input shape and number of outputs.
        input_shape: Shape of one example, `(C, H, W)` or `(F,)`; needed without `data`.
        classes: Number of outputs; needed without `data`.
        seed: Draws the initial weights from a generator of their own and leaves torch's alone.
            None: from torch's default generator.
        options: Options of the model itself, such as `sizes` of `mlp`.

    Raises:
        ModelError: Unknown name or option, or the model cannot take inputs of that shape.
    """
    entry = find_entry(name)
    shape, outputs = _shape_and_outputs(name, data, input_shape, classes)
    spec = ModelSpec(name, shape, outputs, options)
    _refuse_unknown_options(spec, entry)
    if seed is None:
        model = entry.build(shape, outputs, **options)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            model = entry.build(shape, outputs, **options)
    model.trainwell_spec = spec  # pyright: ignore[reportArgumentType]
    return model


def rebuild(spec: ModelSpec) -> nn.Module:
    """The model that `create` built, with fresh weights."""
    return create(
        spec.name, input_shape=spec.input_shape, classes=spec.outputs, seed=0, **spec.options
    )


def spec_of(model: nn.Module) -> ModelSpec | None:
    """What the model was created from, or None for a model of the user's own."""
    return getattr(model, "trainwell_spec", None)


def _shape_and_outputs(
    name: str, data: Dataset | None, input_shape: tuple[int, ...] | None, classes: int | None
) -> tuple[tuple[int, ...], int]:
    shape = input_shape or (data.input_shape if data else None)
    outputs = classes or (data.outputs if data else None)
    if shape is None or outputs is None:
        raise ModelError(
            f"{name} needs to know its input shape and number of classes",
            remedy="Give data, or input_shape=(3, 32, 32) and classes=10",
        )
    return tuple(shape), outputs


def _refuse_unknown_options(spec: ModelSpec, entry: Entry) -> None:
    known = [p for p in inspect.signature(entry.build).parameters if p not in _SHAPE_ARGUMENTS]
    unknown = [option for option in spec.options if option not in known]
    if unknown:
        raise ModelError(
            f"{spec.name} has no option {unknown[0]!r}",
            remedy=f"Its options are: {', '.join(known)}" if known else "It has no options",
        )


_SHAPE_ARGUMENTS = ("input_shape", "outputs")
