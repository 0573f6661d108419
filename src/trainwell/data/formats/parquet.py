"""Parquet: tables, and images as the Hugging Face hub has them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trainwell.data.dataset import Task
from trainwell.data.formats.pictures import Picture, decode_pictures
from trainwell.data.formats.tables import from_columns
from trainwell.data.raw import RawData, Reading
from trainwell.data.targets import encode_known_classes, encode_targets
from trainwell.errors import DataError

PREFIXES = {"train": ("train",), "valid": ("valid", "val"), "test": ("test",)}


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
        raise DataError("there is no Parquet file for training", where=str(folder))
    train = _read_files(paths["train"], reading)
    if train.kind != "image":
        return train
    others = {
        split: _read_files(paths[split], replace(reading, task=train.task))
        for split in ("valid", "test")
        if paths[split]
    }
    for split, raw in others.items():
        if raw.classes != train.classes or raw.inputs.shape[1:] != train.inputs.shape[1:]:
            raise DataError(f"the {split} files differ in classes or size", where=str(folder))
    return RawData(**{**vars(train), **others})


def read_parquet(path: Path, reading: Reading) -> RawData:
    """One Parquet file.

    Raises:
        DataError: Damaged, or no such target.
    """
    return _read_files([path], reading)


def _read_files(paths: list[Path], reading: Reading) -> RawData:
    import pyarrow

    tables = [_read_table(path) for path in paths]
    try:
        table = pyarrow.concat_tables(tables)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"the files differ in form: {error}", where=str(paths[0].parent)) from error
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    if table.num_rows == 0:
        raise DataError("there are no rows", where=where, remedy="Give a file with rows")
    image = _image_column(table.schema)
    if image is None:
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
        return from_columns(columns, reading.target, reading.task, where=where)
    return _read_images(table, image, reading, where)


def _read_table(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"cannot be read as Parquet: {reason}", where=str(path), remedy="Get the file again"
        ) from error


def _image_column(schema: Any) -> str | None:
    import pyarrow

    for field in schema:
        if pyarrow.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return field.name
    return None


def _read_images(table: Any, image: str, reading: Reading, where: str) -> RawData:
    label = reading.target or _label_column(table, image, where)
    if label not in table.column_names:
        raise DataError(
            f"there is no column {label!r}",
            where=where,
            remedy=f"Columns: {', '.join(table.column_names)}",
        )
    contents = table.column(image).combine_chunks().field("bytes")
    pictures = [
        Picture(f"row {row}", content.as_buffer().to_pybytes)
        for row, content in enumerate(contents)
    ]
    decoded = decode_pictures(pictures, where, reading.corrupt)
    labels = table.column(label).to_pylist()
    names = _class_names(table.schema, label)
    if names:
        values = _numbers_in_range(labels, names, where)
        found: Task = "binary" if len(names) == 2 else "multiclass"
    else:
        encoded = encode_targets(labels, reading.task, where=where)
        values, names, found = encoded.values, encoded.classes, encoded.task
    notes = tuple(decoded.notes)
    return RawData("image", decoded.images, values[decoded.kept], names, found, notes=notes)


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
