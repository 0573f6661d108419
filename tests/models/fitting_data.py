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
