"""Models by name."""

from __future__ import annotations

import difflib
import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from trainwell.data.dataset import Dataset
from trainwell.errors import ModelError
from trainwell.models import (
    alexnet,
    autoencoder,
    boltzmann,
    deep_belief,
    densenet,
    fixup_resnet,
    forecasts,
    fractalnet,
    highway,
    hopfield,
    imagenet_resnet,
    inception,
    lenet,
    linear,
    madaline,
    mlp,
    network_in_network,
    perceptron,
    preact_resnet,
    recurrent,
    resnet,
    self_organising_map,
    time_series_resnet,
    variational_autoencoder,
    vgg,
)
from trainwell.models.entry import Entry, Family


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


FAMILY_FILES = (
    linear,
    perceptron,
    madaline,
    mlp,
    lenet,
    alexnet,
    network_in_network,
    vgg,
    inception,
    highway,
    resnet,
    fixup_resnet,
    imagenet_resnet,
    preact_resnet,
    fractalnet,
    densenet,
    recurrent,
    time_series_resnet,
    forecasts,
    autoencoder,
    variational_autoencoder,
    boltzmann,
    deep_belief,
    hopfield,
    self_organising_map,
)

CATALOGUE: dict[str, Entry] = {
    name: entry for file in FAMILY_FILES for name, entry in file.ENTRIES.items()
}
FAMILIES: tuple[Family, ...] = (
    *resnet.FAMILIES,
    *fixup_resnet.FAMILIES,
    *preact_resnet.FAMILIES,
    *densenet.FAMILIES,
)


def find_entry(name: str) -> Entry:
    """The catalogue's entry of that name, or one of a family for its numbers.

    Raises:
        ModelError: There is none; the message names the nearest.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    for family in FAMILIES:
        found = re.fullmatch(family.pattern, name)
        if found:
            return family.make(*(int(number) for number in found.groups()))
    near = difflib.get_close_matches(name, CATALOGUE, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    forms = ", ".join(family.form for family in FAMILIES)
    raise ModelError(
        f"there is no model {name!r}",
        remedy=f"{hint}The models are: {', '.join(CATALOGUE)}; and {forms}",
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
        classes: Number of outputs; needed without `data`. A model that reconstructs puts out as
            many numbers as it takes.
        seed: Draws the initial weights from a generator of their own and leaves torch's alone.
            None: from torch's default generator.
        options: Options of the model itself, such as `sizes` of `mlp`.

    Raises:
        ModelError: Unknown name or option, or the model cannot take inputs of that shape or learn
            the task of the data.
    """
    entry = find_entry(name)
    shape, outputs = _shape_and_outputs(name, data, input_shape, classes)
    _refuse_other_tasks(name, entry, data)
    spec = ModelSpec(name, shape, outputs, options)
    _refuse_unknown_options(spec, entry)
    if seed is None:
        model = _build(spec, entry)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            model = _build(spec, entry)
    model.trainwell_spec = spec  # pyright: ignore[reportArgumentType]
    return model


def _build(spec: ModelSpec, entry: Entry) -> nn.Module:
    try:
        return entry.build(spec.input_shape, spec.outputs, **spec.options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{spec.name} cannot be built with the options {dict(spec.options)}: {error}",
            remedy="Check the options' values",
        ) from error


def rebuild(spec: ModelSpec) -> nn.Module:
    """The model that `create` built, with fresh weights."""
    return create_from(spec, seed=0)


def create_from(spec: ModelSpec, seed: int) -> nn.Module:
    """The model that `create` built, with the weights that the seed draws."""
    return create(
        spec.name, input_shape=spec.input_shape, classes=spec.outputs, seed=seed, **spec.options
    )


def spec_of(model: nn.Module) -> ModelSpec | None:
    """What the model was created from, or None for a model of the user's own."""
    return getattr(model, "trainwell_spec", None)


def _shape_and_outputs(
    name: str, data: Dataset | None, input_shape: tuple[int, ...] | None, classes: int | None
) -> tuple[tuple[int, ...], int]:
    shape = input_shape or (data.input_shape if data else None)
    outputs = classes or (data.outputs if data else None)
    if shape is not None and find_entry(name).task == "reconstruction":
        outputs = math.prod(shape)
    if shape is None or outputs is None:
        raise ModelError(
            f"{name} needs to know its input shape and number of classes",
            remedy="Give data, or input_shape=(3, 32, 32) and classes=10",
        )
    return tuple(shape), outputs


def _refuse_other_tasks(name: str, entry: Entry, data: Dataset | None) -> None:
    if data is None or not entry.tasks or data.task in entry.tasks:
        return
    others = [n for n, e in CATALOGUE.items() if data.task in e.tasks]
    raise ModelError(
        f"{name} is for {' or '.join(entry.tasks)} tasks, this is a {data.task} task",
        remedy=f"Use mlp{', or ' + others[0] if others else ''}",
    )


def _refuse_unknown_options(spec: ModelSpec, entry: Entry) -> None:
    fixed = entry.build.keywords if isinstance(entry.build, partial) else {}
    parameters = inspect.signature(entry.build).parameters
    known = [p for p in parameters if p not in (*_SHAPE_ARGUMENTS, *fixed)]
    unknown = [option for option in spec.options if option not in known]
    if unknown:
        raise ModelError(
            f"{spec.name} has no option {unknown[0]!r}",
            remedy=f"Its options are: {', '.join(known)}" if known else "It has no options",
        )


_SHAPE_ARGUMENTS = ("input_shape", "outputs")
