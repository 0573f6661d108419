"""What a reader of files gives, before it is split and preprocessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from trainwell.data.dataset import Kind, Task

Corrupt = Literal["fail", "skip"]


@dataclass(frozen=True)
class Reading:
    """How a file or folder is read.

    Attributes:
        target: The column to predict, of a table.
        task: What is predicted; None finds out.
        corrupt: Whether pictures that cannot be read refuse the data or are left out and counted.
    """

    target: str | None = None
    task: Task | None = None
    corrupt: Corrupt = "fail"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: As in the file.
        kind: `"number"` or `"category"`.
        categories: Of a category, in the order of their codes.
    """

    name: str
    kind: Literal["number", "category"]
    categories: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {"name": self.name, "kind": self.kind, "categories": list(self.categories)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Column:
        """The column that `to_dict` wrote."""
        return cls(fields["name"], fields["kind"], tuple(fields["categories"]))


@dataclass(frozen=True)
class RawData:
    """Examples of one source.

    Attributes:
        kind: How the inputs are laid out.
        inputs: `(N, ...)` as they came.
        targets: `(N,)` class numbers int64, or `(N,)` / `(N, K)` float32 for a regression.
        classes: Class names in the order of their numbers; empty when not a classification.
        task: What is predicted.
        columns: Of a table, without the target.
        valid, test: Given splits, kept as they are; None where there are none.
        notes: What the reader did that the user should know.
        target: Name of the column that is predicted; empty where there is no choice of one.
    """

    kind: Kind
    inputs: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    task: Task
    columns: tuple[Column, ...] = ()
    valid: RawData | None = None
    test: RawData | None = None
    notes: tuple[str, ...] = ()
    target: str = ""
