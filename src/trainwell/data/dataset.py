"""What every source of data is turned into: training, validation and test splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from trainwell.data.preprocess import Preprocess
from trainwell.errors import DataError

Task = Literal["multiclass", "binary", "regression", "reconstruction"]
Kind = Literal["image", "vector", "sequence"]


@dataclass(frozen=True)
class Split:
    """Examples of one split.

    Attributes:
        inputs: `(N, ...)` as they came (images uint8 `(N, C, H, W)`, table columns float64
            `(N, F)`), or a map-style torch `Dataset` whose item `ids[i]` is example i when the
            data is streamed instead of held.
        targets: `(N,)` int64 class numbers, or `(N,)` / `(N, K)` float32 for a regression. For
            a reconstruction, `(N, 0)`: the input is the target.
        ids: `(N,)` int64, the row of each example in its source.
        source: Which source `ids` count in: `"train"` when the splits were cut from one source,
            `"test"` for a test split that came as its own file.
    """

    inputs: Tensor | TorchDataset[Any]
    targets: Tensor
    ids: Tensor
    source: str = "train"

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def is_resident(self) -> bool:
        """Whether the inputs are held as one tensor."""
        return isinstance(self.inputs, Tensor)

    def digest(self) -> str:
        """SHA-256 of the example numbers: the same split has the same digest."""
        return hashlib.sha256(self.source.encode() + _bytes(self.ids)).hexdigest()


@dataclass(frozen=True)
class Dataset:
    """Data ready to be trained on.

    Attributes:
        name: Short, for people; also the stem of a run's name.
        task: What is predicted. Two classes are `"binary"`.
        kind: How the inputs are laid out: `"image"` `(C, H, W)`, `"vector"` `(F,)` or
            `"sequence"` `(T, F)`.
        train, valid, test: The splits; `test` is None when there is none.
        classes: Class names in the order of their numbers; empty when not a classification.
        columns: Column names of a table, else empty.
        schema: How a table's columns are encoded, as JSON types; see `data.raw.Column`.
        preprocess: Fitted on the training split only; turns inputs as held into what a model
            sees (float32).
        origin: What `load` was told, as JSON types; enough to load the same data again.
            `{"kind": "memory"}` when it came as Python objects.
        notes: What the reader did that the user should know, one sentence each.
    """

    name: str
    task: Task
    kind: Kind
    train: Split
    valid: Split
    test: Split | None
    classes: tuple[str, ...]
    preprocess: Preprocess
    columns: tuple[str, ...] = ()
    schema: tuple[Mapping[str, Any], ...] = ()
    origin: Mapping[str, Any] = field(default_factory=lambda: {"kind": "memory"})
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example as a model sees it, without the batch dimension."""
        return self.preprocess.output_shape

    @property
    def outputs(self) -> int:
        """How many numbers a model must put out for one example."""
        if self.task == "multiclass":
            return len(self.classes)
        if self.task == "binary":
            return 1
        if self.task == "reconstruction":
            return int(torch.Size(self.input_shape).numel())
        return 1 if self.train.targets.ndim == 1 else self.train.targets.shape[1]

    def split(self, name: str) -> Split:
        """The split of that name: `"train"`, `"valid"` or `"test"`.

        Raises:
            DataError: There is no such split.
        """
        found = {"train": self.train, "valid": self.valid, "test": self.test}.get(name)
        if found is None:
            raise DataError(
                f"there is no {name!r} split",
                where=self.name,
                remedy="Use one of "
                + ", ".join(s for s in ("train", "valid", "test") if getattr(self, s)),
            )
        return found

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """`data`: SHA-256 of all inputs and targets as held; `split`: of which example is where.

        Streamed inputs are not read for it: their targets stand for them.
        """
        data, split = hashlib.sha256(), hashlib.sha256()
        for part in (self.train, self.valid, self.test):
            if part is None:
                continue
            if isinstance(part.inputs, Tensor):
                data.update(str(tuple(part.inputs.shape)).encode())
                data.update(_bytes(part.inputs))
            data.update(_bytes(part.targets))
            split.update(part.digest().encode())
        return {"data": data.hexdigest(), "split": split.hexdigest()}


def _bytes(tensor: Tensor) -> memoryview | bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else b""
