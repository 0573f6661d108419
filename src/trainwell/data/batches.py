"""Mini-batches at an exact position, from data held on the device or streamed.

Order and augmentation depend on the seed, the epoch and the position alone, so that a resumed
run, or one with another number of workers, sees the same batches.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from trainwell.data.dataset import Split
from trainwell.data.draw import Augmentation, Draw
from trainwell.data.mixup import draw_mixing
from trainwell.data.preprocess import Preprocess
from trainwell.data.seeding import derive_seed
from trainwell.data.workers import (
    Unreadable,
    collate,
    explain_dead_worker,
    leave_signals_to_the_parent,
)


@dataclass(frozen=True)
class Batch:
    """Examples ready for a model.

    Attributes:
        inputs: `(N, *input_shape)` float32 on the device, preprocessed and augmented.
        targets: As the split has them, on the device; standardised for a regression. Of mixed
            examples, those of the dominant part.
        partner_targets: Those of the other part, where examples are mixed; else None.
        share: Of the dominant part in each input.
    """

    inputs: Tensor
    targets: Tensor
    partner_targets: Tensor | None = None
    share: float = 1.0

    def __len__(self) -> int:
        return len(self.inputs)

    def split(self, sizes: list[int]) -> list[Batch]:
        """The same examples in batches of these sizes."""
        inputs, targets = self.inputs.split(sizes), self.targets.split(sizes)
        partners = [None] * len(inputs)
        if self.partner_targets is not None:
            partners = list(self.partner_targets.split(sizes))
        return [Batch(*parts, self.share) for parts in zip(inputs, targets, partners, strict=True)]

    def lay_out(self, memory_format: torch.memory_format) -> Batch:
        """The same examples, images in this layout."""
        if self.inputs.ndim != 4 or self.inputs.is_contiguous(memory_format=memory_format):
            return self
        return replace(self, inputs=self.inputs.contiguous(memory_format=memory_format))


READ_AHEAD_BYTES = 4 * 2**20
"""Batches are gathered and preprocessed together up to this size: small ones cost less so."""


class Reader(Protocol):
    """Reads the examples of a split by position.

    Attributes:
        read_ahead: Examples that are best read at once, beyond a batch; 0 for none.
    """

    read_ahead: int

    def read(self, batches: Sequence[Tensor], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets of each batch of positions, on the device, as held."""
        ...


class ResidentReader:
    """Reads from tensors held on the device.

    Args:
        split: Its inputs must be a tensor.
        device: Where they are held from now on.
    """

    def __init__(self, split: Split, device: torch.device) -> None:
        assert isinstance(split.inputs, Tensor)
        self.inputs = split.inputs.to(device)
        self.targets = split.targets.to(device)
        self.device = device
        # As float32, which they become.
        self.read_ahead = READ_AHEAD_BYTES // max(1, 4 * self.inputs[0].numel())

    def read(self, batches: Sequence[Tensor], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for positions in batches:
            positions = positions.to(self.device, non_blocking=True)
            yield self.inputs.index_select(0, positions), self.targets.index_select(0, positions)


class StreamedReader:
    """Reads from a torch `Dataset` through a `DataLoader`.

    Args:
        split: Its inputs must be a torch `Dataset`.
        device: Where batches go.
        seed: The run's; a random transform of the data set draws the same numbers for the same
            seed, epoch and example whatever the number of workers.
        workers: Processes that read.
    """

    def __init__(self, split: Split, device: torch.device, seed: int, workers: int) -> None:
        assert not isinstance(split.inputs, Tensor)
        self.split, self.device, self.seed, self.workers = split, device, seed, workers
        self.read_ahead = 0

    def read(self, batches: Sequence[Tensor], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        assert not isinstance(self.split.inputs, Tensor)
        loader = DataLoader(
            SeededItems(self.split.inputs, self.split.ids, self.seed, epoch),
            batch_sampler=[positions.tolist() for positions in batches],
            num_workers=self.workers,
            collate_fn=collate,
            worker_init_fn=leave_signals_to_the_parent,
            pin_memory=self.device.type == "cuda",
            # The loader draws a base seed from this; torch's own generator is left alone.
            generator=Generator().manual_seed(derive_seed(self.seed, "workers", epoch)),
        )
        for inputs, positions, _ in _raise_unreadable(iter(loader)):
            targets = self.split.targets[positions]
            yield inputs.to(self.device, non_blocking=True), targets.to(self.device)


def _raise_unreadable(loaded: Iterator[Any]) -> Iterator[Any]:
    """The batches of a loader.

    Raises:
        DataError: An example cannot be read, or a process that reads died.
    """
    while True:
        try:
            batch = next(loaded, None)
        except RuntimeError as error:
            raise explain_dead_worker(error) from error
        if isinstance(batch, Unreadable):
            raise batch.as_error()
        if batch is None:
            return
        yield batch


class SeededItems(TorchDataset[Any]):
    """The inputs of a data set, each read with random numbers of its own."""

    def __init__(self, items: TorchDataset[Any], ids: Tensor, seed: int, epoch: int) -> None:
        self.items, self.ids, self.seed, self.epoch = items, ids, seed, epoch

    def __getitem__(self, position: int) -> tuple[Tensor, int, int] | Unreadable:
        example = int(self.ids[position])
        try:
            with numbers_drawn_from(derive_seed(self.seed, "example", self.epoch, example)):
                inputs = torch.as_tensor(self.items[example][0])
        except Exception as error:
            return Unreadable(example, f"{type(error).__name__}: {error}")
        return inputs, position, example


class numbers_drawn_from:  # noqa: N801 - reads as a statement: with numbers_drawn_from(seed)
    """Python's, NumPy's and torch's global generators start from a seed within, and go on after."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        self.before = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
        random.seed(self.seed)
        numpy.random.seed(self.seed % 2**32)
        torch.default_generator.manual_seed(self.seed)

    def __exit__(self, *error: object) -> None:
        python_state, numpy_state, torch_state = self.before
        random.setstate(python_state)
        numpy.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)


@dataclass(frozen=True)
class Batches:
    """The batches of a split, epoch after epoch.

    Attributes:
        reader: Of the split.
        count: Examples in the split.
        size: Examples of a full batch.
        preprocess: Turns inputs as held into what the model sees.
        augment: Applied after preprocessing; None for none.
        mixup: Alpha of the Beta distribution by which examples are mixed; None: they are not.
        shuffle_seed: The run's seed; None reads in the order of the split.
        merge_single: Whether a last batch of one example joins the batch before it, since batch
            normalisation cannot be trained on a single example.
        memory_format: Of image batches.
        reconstructs: Whether the preprocessed input, before augmentation, is the target.
        device: Where the batches are.
    """

    reader: Reader
    count: int
    size: int
    preprocess: Preprocess
    device: torch.device
    augment: Augmentation | None = None
    mixup: float | None = None
    shuffle_seed: int | None = None
    merge_single: bool = False
    memory_format: torch.memory_format = torch.contiguous_format
    reconstructs: bool = False

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.bounds())

    def bounds(self) -> list[tuple[int, int]]:
        """First and past-the-last position of each batch."""
        starts = list(range(0, self.count, self.size))
        if self.merge_single and len(starts) > 1 and self.count - starts[-1] == 1:
            starts.pop()
        return list(zip(starts, [*starts[1:], self.count], strict=True))

    def positions(self, epoch: int) -> list[Tensor]:
        """Positions in the split of the examples of each batch of an epoch (from 0)."""
        if self.shuffle_seed is None:
            order = torch.arange(self.count)
        else:
            seed = derive_seed(self.shuffle_seed, "order", epoch)
            order = torch.randperm(self.count, generator=Generator().manual_seed(seed))
        return [order[start:stop] for start, stop in self.bounds()]

    def read(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from number `first` (from 0)."""
        positions = self.positions(epoch)
        seed = self.shuffle_seed or 0
        generator = Generator(self.device)
        for number, (inputs, targets) in enumerate(
            self._prepare(positions[first:], epoch), start=first
        ):
            if self.augment is not None:
                generator.manual_seed(derive_seed(seed, "augment", epoch, number))
                inputs = self.augment(inputs, Draw(generator, epoch, positions[number], seed))
            batch = Batch(inputs, targets)
            if self.mixup is not None:
                batch = mix(batch, self.mixup, derive_seed(seed, "mixup", epoch, number))
            yield batch.lay_out(self.memory_format)

    def _prepare(self, positions: list[Tensor], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Preprocessed inputs and encoded targets of each batch, read several batches at once."""
        at_once = max(1, self.reader.read_ahead // self.size)
        groups = [positions[i : i + at_once] for i in range(0, len(positions), at_once)]
        pairs = self.reader.read([torch.cat(group) for group in groups], epoch)
        for group, (raw, raw_targets) in zip(groups, pairs, strict=True):
            inputs = self.preprocess(raw)
            targets = (
                inputs.flatten(1)
                if self.reconstructs
                else self.preprocess.encode_targets(raw_targets)
            )
            sizes = [len(batch) for batch in group]
            yield from zip(inputs.split(sizes), targets.split(sizes), strict=True)


def mix(batch: Batch, alpha: float, seed: int) -> Batch:
    """A batch with each example mixed with another (Zhang et al. 2018).

    Args:
        batch: Of plain examples.
        alpha: Of Beta(alpha, alpha).
        seed: Of this batch.
    """
    mixing = draw_mixing(alpha, len(batch), seed)
    partner_targets = mixing.partners_of(batch.targets)
    return Batch(mixing.mix(batch.inputs), batch.targets, partner_targets, mixing.share)


def open_reader(split: Split, device: torch.device, seed: int, workers: int) -> Reader:
    """The reader that suits a split: from the device where it is held, else streamed."""
    if split.is_resident:
        return ResidentReader(split, device)
    return StreamedReader(split, device, seed, workers)
