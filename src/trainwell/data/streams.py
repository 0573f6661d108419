"""torch data sets: held where they are tensors, streamed otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, Subset, TensorDataset

from trainwell.data.adapt import adapt
from trainwell.data.assemble import SplitPlan, assemble
from trainwell.data.dataset import Dataset, Split, Task
from trainwell.data.formats.arrays import find_kind, from_arrays
from trainwell.data.preprocess import EMPTY, Preprocess, fit_preprocess
from trainwell.data.splits import cut
from trainwell.data.targets import encode_targets
from trainwell.errors import DataError

MEMORY = {"kind": "memory"}


def from_torch_dataset(
    source: TorchDataset[Any],
    plan: SplitPlan,
    *,
    task: Task | None,
    name: str,
    preprocess: Sequence[str] | None = None,
) -> Dataset:
    """Data from a map-style torch `Dataset` whose items are `(input, target)`.

    Tensors are held. Anything else is read item by item while training, since a transform may
    differ from one reading to the next; its inputs must already be what a model sees.

    Raises:
        DataError: Not map-style, empty, an item is not `(input, target)`, or preprocessing is asked
            for that a stream cannot have.
    """
    tensors = _tensors_of(source)
    if tensors is not None:
        raw = from_arrays(*tensors, task, where=name)
        return assemble(raw, plan, name=name, origin=MEMORY, preprocess=preprocess)
    if isinstance(source, IterableDataset) or not hasattr(source, "__len__"):
        raise DataError(
            "an iterable data set has no positions",
            where=name,
            remedy="Give a map-style data set, with __getitem__ and __len__",
        )
    if preprocess:
        raise DataError(
            "inputs of a torch Dataset are read item by item and cannot be preprocessed by "
            f"{', '.join(preprocess)}",
            where=name,
            remedy="Do it in the torch Dataset, or give arrays",
        )
    if task == "reconstruction":
        # Targets that are there stratify the splits before they are dropped.
        return adapt(_stream(source, plan, None, name), task)
    return _stream(source, plan, task, name)


def _tensors_of(source: TorchDataset[Any]) -> tuple[Tensor, Tensor] | None:
    if isinstance(source, TensorDataset) and len(source.tensors) == 2:
        return source.tensors[0], source.tensors[1]
    if isinstance(source, Subset):
        inner = _tensors_of(source.dataset)
        if inner is not None:
            positions = torch.as_tensor(source.indices)
            return inner[0][positions], inner[1][positions]
    return None


def _stream(source: TorchDataset[Any], plan: SplitPlan, task: Task | None, name: str) -> Dataset:
    count = len(source)  # pyright: ignore[reportArgumentType]
    if count < 5:
        raise DataError(f"{count} examples are too few to split", where=name, remedy="Give more")
    labels, example = _scan(source, count, name)
    encoded = encode_targets(labels, task, where=name)
    everything = torch.arange(count)
    rest, test_ids = cut(encoded.values, plan.test_fraction, seed=plan.seed, purpose="test")
    kept, positions = cut(
        encoded.values[rest], plan.valid_fraction, seed=plan.seed, purpose="valid"
    )

    def split(ids: Tensor) -> Split:
        return Split(source, encoded.values[ids], everything[ids])

    train = split(rest[kept])
    of_targets = fit_preprocess(
        torch.zeros(2, 1), train.targets, kind="vector", task=encoded.task, steps=()
    )
    return Dataset(
        name=name,
        task=encoded.task,
        kind=find_kind(example.unsqueeze(0)),
        train=train,
        valid=split(rest[positions]),
        test=split(test_ids),
        classes=encoded.classes,
        preprocess=Preprocess(
            tuple(example.shape),
            target_shift=of_targets.target_shift if encoded.task == "regression" else EMPTY,
            target_scale=of_targets.target_scale if encoded.task == "regression" else EMPTY,
        ),
        origin=MEMORY,
        notes=("inputs are read item by item and are not preprocessed",),
    )


def _scan(source: TorchDataset[Any], count: int, name: str) -> tuple[list[Any], Tensor]:
    """Every target, and one input; stops at the first item that cannot be trained on."""
    labels, first = [], None
    for position in range(count):
        try:
            inputs, label = source[position]
            example = torch.as_tensor(inputs)
        except Exception as error:
            raise DataError(
                f"item {position} cannot be read: {type(error).__name__}: {error}",
                where=name,
                remedy="Items must be (input, target), the input an array or a tensor",
            ) from error
        first = example if first is None else first
        if example.shape != first.shape:
            raise DataError(
                f"item {position} has the shape {tuple(example.shape)}, item 0 has "
                f"{tuple(first.shape)}",
                where=name,
                remedy="Make all items of one shape, for instance in the transform",
            )
        _refuse_non_finite(example, position, name)
        labels.append(label.item() if isinstance(label, Tensor) and label.ndim == 0 else label)
    assert first is not None
    return labels, first


def _refuse_non_finite(example: Tensor, position: int, name: str) -> None:
    if not example.is_floating_point() or bool(torch.isfinite(example).all()):
        return
    bad = ~torch.isfinite(example)
    place = ", ".join(str(i) for i in torch.nonzero(bad)[0].tolist())
    raise DataError(
        f"item {position} has {int(bad.sum())} inputs that are not finite"
        + (f", the first at {place}" if place else ""),
        where=name,
        remedy="Fill them in or leave the item out",
    )
