"""Parquet: tables, and images as the Hugging Face hub has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trainwell.data.dataset import Task
from trainwell.data.formats.pictures import Picture, decode_pictures
from trainwell.data.formats.tables import from_columns, from_columns_like
from trainwell.data.raw import RawData, Reading
from trainwell.data.targets import Targets, encode_known_classes, encode_like, encode_targets
from trainwell.errors import DataError

PREFIXES = {"train": ("train",), "valid": ("valid", "val"), "test": ("test",)}
ALIKE = "Give all splits the same columns"


def has_parquet(folder: Path) -> bool:
    """Whether a folder holds Parquet files."""
    return any(folder.glob("*.parquet"))


def read_parquet_folder(folder: Path, reading: Reading) -> RawData:
    """All `train…`, `valid…` and `test…` files of a folder; files of other names are training.

    Raises:
        DataError: A file is damaged, or the files differ in form.
    """
    paths: dict[str, list[Path]] = {"train": [], "valid": [], "test": []}
    for path in sorted(folder.glob("*.parquet")):
        split = next((s for s, names in PREFIXES.items() if path.name.startswith(names)), "train")
        paths[split].append(path)
    if not paths["train"]:
        raise DataError(
            "there is no Parquet file for training", where=str(folder), remedy="Add one"
        )
    train = _read_files(paths["train"], reading)
    given = {
        split: _read_files(paths[split], reading, train)
        for split in ("valid", "test")
        if paths[split]
    }
    return replace(train, **given)


def read_parquet(path: Path, reading: Reading) -> RawData:
    """One Parquet file.

    Raises:
        DataError: Damaged, or no such target.
    """
    return _read_files([path], reading)


def read_table_columns(path: Path) -> dict[str, list[Any]]:
    """The cells of a Parquet file by column.

    Raises:
        DataError: Damaged.
    """
    return _columns_of(_read_table(path))


def _read_files(paths: list[Path], reading: Reading, train: RawData | None = None) -> RawData:
    """Files of one split; of a given one, encoded as the training split is."""
    import pyarrow

    tables = [_read_table(path) for path in paths]
    try:
        table = pyarrow.concat_tables(tables)
    except pyarrow.ArrowException as error:
        raise DataError(
            f"the files differ in form: {_first_line(error)}",
            where=str(paths[0].parent),
            remedy="Give all files the same columns",
        ) from error
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    if table.num_rows == 0:
        raise DataError("there are no rows", where=where, remedy="Give a file with rows")
    image = _image_column(table.schema)
    if image is not None:
        return _read_images(table, image, reading, where, train)
    if train is not None and train.kind == "image":
        raise DataError("it has no pictures, the training files have", where=where, remedy=ALIKE)
    columns = _columns_of(table)
    if train is not None:
        return from_columns_like(train, columns, where=where)
    return from_columns(columns, reading.target, reading.task, where=where)


def _columns_of(table: Any) -> dict[str, list[Any]]:
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read_table(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"cannot be read as Parquet: {_first_line(error)}",
            where=str(path),
            remedy="Get the file again",
        ) from error


def _image_column(schema: Any) -> str | None:
    import pyarrow

    for field in schema:
        if pyarrow.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return field.name
    return None


def _read_images(
    table: Any, image: str, reading: Reading, where: str, train: RawData | None
) -> RawData:
    if train is not None and train.kind != "image":
        raise DataError("it has pictures, the training files have none", where=where, remedy=ALIKE)
    label = (train.target if train else reading.target) or _label_column(table, image, where)
    if label not in table.column_names:
        raise DataError(
            f"there is no column {label!r}",
            where=where,
            remedy=f"Columns: {', '.join(table.column_names)}",
        )
    contents = table.column(image).combine_chunks().field("bytes")
    pictures = [Picture(f"row {row}", _content(cell)) for row, cell in enumerate(contents)]
    like = tuple(train.inputs.shape[1:]) if train else None
    decoded = decode_pictures(pictures, where, reading.corrupt, like)
    labels, names = table.column(label).to_pylist(), _class_names(table.schema, label)
    found = _encode_labels(labels, names, reading.task, train, where)
    return RawData(
        "image",
        decoded.images,
        found.values[decoded.kept],
        found.classes,
        found.task,
        notes=tuple(decoded.notes),
        target=label,
    )


def _content(cell: Any) -> Callable[[], bytes]:
    def read() -> bytes:
        buffer = cell.as_buffer()
        if buffer is None:
            raise ValueError("there is no picture: the cell is empty")
        return buffer.to_pybytes()

    return read


def _encode_labels(
    labels: list[Any],
    names: tuple[str, ...],
    task: Task | None,
    train: RawData | None,
    where: str,
) -> Targets:
    """Labels as numbers: of the training split's classes, else of those that the file names."""
    if names:
        numbers = _numbers_in_range(labels, names, where)
        named = Targets(numbers, names, "binary" if len(names) == 2 else "multiclass")
        if train is None:
            return named
        labels = [names[number] for number in numbers.tolist()]
    if train is None:
        return encode_targets(labels, task, where=where)
    return Targets(encode_like(labels, train.classes, where=where), train.classes, train.task)


def _label_column(table: Any, image: str, where: str) -> str:
    others = [name for name in table.column_names if name != image]
    for known in ("label", "labels", "fine_label", "target", "class"):
        if known in others:
            return known
    if len(others) == 1:
        return others[0]
    raise DataError(
        "the column to predict is not clear",
        where=where,
        remedy=f"Name it with --target: {', '.join(others)}",
    )


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    """Class names that the hub's metadata gives for a column; empty if it gives none."""
    text = (schema.metadata or {}).get(b"huggingface")
    try:
        feature = json.loads(text)["info"]["features"][label] if text else {}
        return tuple(str(name) for name in feature.get("names", ()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def _numbers_in_range(labels: list[Any], names: tuple[str, ...], where: str) -> torch.Tensor:
    if any(isinstance(value, str) for value in labels):
        return encode_known_classes(labels, names, where=where)
    for row, value in enumerate(labels):
        if not isinstance(value, int) or not 0 <= value < len(names):
            raise DataError(
                f"row {row} has the label {value}, but there are {len(names)} classes",
                where=where,
                remedy=f"Labels go from 0 to {len(names) - 1}",
            )
    return torch.tensor(labels, dtype=torch.int64)
