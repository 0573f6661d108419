"""A handful of examples on which a model of the catalogue fits."""

from __future__ import annotations

import dataclasses
import functools

import torch

import trainwell as tw
from trainwell.data.adapt import adapt
from trainwell.data.dataset import Dataset, Split
from trainwell.models.catalogue import find_entry


@functools.cache
def load(name: str) -> Dataset:
    return tw.load(name)


def on_meta(name: str) -> torch.nn.Module:
    entry = find_entry(name)
    with torch.device("meta"):
        return entry.build(entry.input_shape, entry.outputs)


@functools.cache
def sizes_of(name: str) -> tuple[int, int]:
    """How many parameters a model has, and in how many tensors."""
    parameters = list(on_meta(name).parameters())
    return sum(p.numel() for p in parameters), len(parameters)


def few_examples(model: str, count: int) -> Dataset:
    """The model's embedded data set with `count` training and validation examples, no test."""
    entry = find_entry(model)
    data = adapt(load(entry.suits), entry.task, entry.preprocess)

    def cut(split: Split) -> Split:
        assert isinstance(split.inputs, torch.Tensor)
        return dataclasses.replace(
            split,
            inputs=split.inputs[:count],
            targets=split.targets[:count],
            ids=split.ids[:count],
        )

    return dataclasses.replace(data, train=cut(data.train), valid=cut(data.valid), test=None)
