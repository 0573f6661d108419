"""Batch normalisation never sees a single example, whatever the sizes come to (B8)."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
from torch import nn

import trainwell as tw
from trainwell.training.step import split_sizes


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def table(count: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    x = numpy.random.default_rng(0).normal(size=(count, 3))
    return x, (x[:, 0] > 0).astype(int)


def test_b8_micro_batches_hold_every_example_once_and_never_a_lone_one() -> None:
    for count in range(2, 60):
        for size in range(2, 20):
            sizes = split_sizes(count, size)
            assert sum(sizes) == count
            assert min(sizes) > 1
            assert max(sizes) <= size + 1
    assert split_sizes(5, 1) == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [2, 8, 16])
def test_b8_batch_normalisation_trains_on_any_number_of_examples(
    batch_size: int, accumulate: int, tmp_path: Path
) -> None:
    sizes = set()
    for count in (23, 24, 90, 91):
        recipe = tw.Recipe(batch_size=batch_size, accumulate=accumulate, epochs=1)
        run = tw.fit(normalised(), table(count), recipe, out=tmp_path / str(count))
        sizes.add(run.about["data"]["sizes"]["train"] % batch_size)
    assert 1 in sizes, "the grid has a lone last example"
