"""Batches: order and augmentation depend on seed, epoch and position alone (B8, B9, B12)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

import trainwell as tw
from trainwell.data.augment import Draw, compose
from trainwell.data.batches import Batches, ResidentReader, StreamedReader
from trainwell.data.dataset import Split
from trainwell.data.preprocess import Preprocess

CPU = torch.device("cpu")


class Jittered(TorchDataset[tuple[Tensor, int]]):
    """Adds numbers from every global generator, as random transforms do."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        drawn = [random.random(), float(numpy.random.rand()), float(torch.rand(()))]
        return torch.tensor([float(index), *drawn]), index % 2


def resident(count: int, size: int, *, merge_single: bool = False, seed: int = 0) -> Batches:
    split = Split(
        torch.arange(count).float()[:, None], torch.zeros(count).long(), torch.arange(count)
    )
    return Batches(
        ResidentReader(split, CPU),
        count=count,
        size=size,
        preprocess=Preprocess((1,)),
        device=CPU,
        shuffle_seed=seed,
        merge_single=merge_single,
    )


def streamed(count: int, workers: int, seed: int = 0) -> Batches:
    split = Split(Jittered(count), torch.arange(count) % 2, torch.arange(count))
    return Batches(
        StreamedReader(split, CPU, seed, workers),
        count=count,
        size=8,
        preprocess=Preprocess((4,)),
        device=CPU,
        shuffle_seed=seed,
    )


def inputs_of(batches: Batches, epoch: int = 0, first: int = 0) -> list[Tensor]:
    return [batch.inputs for batch in batches.read(epoch, first)]


def same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5), st.booleans())
def test_an_epoch_reads_every_example_exactly_once(
    count: int, size: int, epoch: int, merge: bool
) -> None:
    batches = resident(count, min(size, count), merge_single=merge)
    read = inputs_of(batches, epoch)
    assert len(read) == len(batches) >= 1
    assert sorted(torch.cat(read).flatten().tolist()) == list(range(count))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(1, 20), st.data())
def test_reading_from_any_position_continues_the_same_epoch(
    count: int, size: int, data: st.DataObject
) -> None:
    batches = resident(count, min(size, count))
    first = data.draw(st.integers(0, len(batches) - 1))
    assert same(inputs_of(batches, 2, first), inputs_of(batches, 2)[first:])


def test_epochs_and_seeds_are_ordered_differently() -> None:
    one = torch.cat(inputs_of(resident(50, 10)))
    assert not torch.equal(one, torch.cat(inputs_of(resident(50, 10), epoch=1)))
    assert not torch.equal(one, torch.cat(inputs_of(resident(50, 10, seed=1))))


def test_b8_a_last_batch_of_one_joins_the_batch_before_it() -> None:
    assert [len(b) for b in inputs_of(resident(21, 10, merge_single=True))] == [10, 11]
    assert [len(b) for b in inputs_of(resident(21, 10))] == [10, 10, 1]


def test_b12_random_transforms_draw_the_same_for_any_number_of_workers_and_after_a_resume() -> None:
    alone = inputs_of(streamed(40, workers=0), epoch=1)
    assert same(alone, inputs_of(streamed(40, workers=2), epoch=1))
    assert same(alone, inputs_of(streamed(40, workers=3), epoch=1))
    assert same(alone[2:], inputs_of(streamed(40, workers=2), epoch=1, first=2))


def test_b12_random_transforms_draw_anew_for_each_example_and_epoch() -> None:
    first = torch.cat(inputs_of(streamed(40, workers=0)))
    second = torch.cat(inputs_of(streamed(40, workers=0), epoch=1))
    for column in (1, 2, 3):
        assert len(first[:, column].unique()) == 40
        assert not set(first[:, column].tolist()) & set(second[:, column].tolist())


def test_streaming_leaves_the_global_generators_alone() -> None:
    states = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state()
    inputs_of(streamed(20, workers=0))
    assert states[0] == random.getstate()
    assert states[1] == numpy.random.get_state()[1].tolist()
    assert torch.equal(states[2], torch.get_rng_state())


def test_a_streamed_data_set_trains_to_the_same_bits_with_any_number_of_workers(
    tmp_path: Path,
) -> None:
    digests = {
        tw.fit(
            "mlp",
            tw.load(Jittered(60)),
            tw.Recipe(epochs=2, batch_size=16, workers=workers),
            out=tmp_path / str(workers),
        ).weights_sha256
        for workers in (0, 2)
    }
    assert len(digests) == 1


def test_bytes_stay_bytes_on_the_device_until_their_batch_is_read() -> None:
    data = tw.load("digits")
    reader = ResidentReader(data.train, CPU)
    assert reader.inputs.dtype == torch.uint8
    (inputs, _), *_ = reader.read([torch.arange(4)], 0)
    assert inputs.dtype == torch.uint8


def test_a_crop_is_a_shift_of_the_image_filled_with_zeros_and_a_flip_mirrors_it() -> None:
    images = torch.rand(200, 2, 16, 16) + 1
    augment = compose(["crop"])
    assert augment is not None
    draw = Draw(torch.Generator().manual_seed(0), epoch=0, positions=torch.arange(200))
    shifted = augment(images, draw)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    windows = [padded[:, :, i : i + 16, j : j + 16] for i in range(5) for j in range(5)]
    matches = torch.stack([(w == shifted).flatten(1).all(1) for w in windows])
    assert matches.any(0).all()
    assert matches.any(1).all()
    mirrored = compose(["flip"])(images, draw)  # type: ignore[misc]
    flipped = (mirrored == images.flip(-1)).flatten(1).all(1)
    assert ((mirrored == images).flatten(1).all(1) | flipped).all()
    assert 60 < int(flipped.sum()) < 140


def test_b9_a_batch_larger_than_the_data_becomes_the_whole_data(tmp_path: Path) -> None:
    run = tw.fit("mlp", "iris", tw.Recipe(epochs=2, batch_size=10_000), out=tmp_path / "run")
    assert run.result["steps"] == 2


@pytest.mark.parametrize("batch_size", [9, 17])
def test_b8_batch_norm_trains_whatever_is_left_over_for_the_last_batch(
    batch_size: int, tmp_path: Path
) -> None:
    generator = numpy.random.default_rng(0)
    images = generator.integers(0, 256, (26, 8, 8, 3), dtype=numpy.uint8)
    data = tw.load((images, numpy.arange(26) % 2), valid_fraction=0.1, test_fraction=0.2)
    assert len(data.train) % 9 == 1 or len(data.train) % 17 in (1, 2)
    run = tw.fit("resnet20", data, tw.Recipe(epochs=1, batch_size=batch_size), out=tmp_path / "r")
    assert numpy.isfinite(run.metrics["train_loss"])
