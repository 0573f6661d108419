"""New examples for a trained model, in the form in which the training had them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainwell.data.files import TABLES, path_exists, read_path
from trainwell.data.formats.arrays import (
    as_inputs,
    choose_inputs,
    load_arrays,
    to_channels_first,
)
from trainwell.data.formats.columns import describe_missing, encode_columns
from trainwell.data.formats.idx import read_idx
from trainwell.data.formats.images import SUFFIXES, list_pictures
from trainwell.data.formats.parquet import read_table_columns
from trainwell.data.formats.pictures import Picture, decode_pictures
from trainwell.data.formats.tables import frame_columns, read_csv_columns
from trainwell.data.raw import Column
from trainwell.errors import DataError

LONGEST_SHOWN = 200


@dataclass(frozen=True)
class Examples:
    """Examples to be predicted.

    Attributes:
        inputs: `(N, ...)` as held.
        names: File name of each, where each came as a file of its own; else empty.
        notes: What was done to them that the user should know, one sentence each.
    """

    inputs: Tensor
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_examples(source: Any, about: Mapping[str, Any]) -> Examples:
    """Examples in the shape and the numbers that the training had.

    Args:
        source: An array or tensor, a DataFrame, a path, or `Examples`, which are given back.
        about: The `data` part of a run's description.

    Raises:
        DataError: They do not look like those of the training.
    """
    if isinstance(source, Examples):
        return source
    columns = [Column.from_dict(fields) for fields in about["schema"]]
    if isinstance(source, str | os.PathLike):
        found, where = _read_path(Path(source), columns, _held_shape(about)), os.fspath(source)
    else:
        found, where = _read_object(source, columns), "examples"
    inputs = _fit_shape(found.inputs, about, where)
    _refuse_other_unit(inputs, about, where)
    return Examples(inputs, found.names, found.notes)


def _read_object(source: Any, columns: Sequence[Column]) -> Examples:
    if type(source).__name__ == "DataFrame":
        if not columns:
            raise DataError(
                "the run was trained on arrays, this is a DataFrame",
                where="examples",
                remedy="Give an array of the training's form, such as frame.to_numpy()",
            )
        return _encode_table(columns, frame_columns(source, "DataFrame"), "DataFrame")
    if columns:
        return _as_rows(source, columns)
    return Examples(as_inputs(source, where="examples"))


def _as_rows(source: Any, columns: Sequence[Column]) -> Examples:
    """Rows of a table that came as numbers: categories by their codes, NaN where missing."""
    try:
        rows = torch.as_tensor(source, dtype=torch.float64)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(
            f"the examples are not rows of numbers: {error}",
            where="examples",
            remedy="Give a DataFrame where columns are text",
        ) from error
    if bool(torch.isinf(rows).any()):
        place = torch.nonzero(torch.isinf(rows))[0].tolist()
        raise DataError(
            f"an input is infinite, the first at {', '.join(map(str, place))}",
            where="examples",
            remedy="Correct it, or give NaN where it is missing",
        )
    if rows.ndim != 2 or rows.shape[1] != len(columns):
        return Examples(rows)
    counts = torch.isnan(rows).sum(0).tolist()
    notes = [describe_missing(c.name, n) for c, n in zip(columns, counts, strict=True)]
    return Examples(rows, notes=tuple(note for note in notes if note))


def _encode_table(
    columns: Sequence[Column], table: Mapping[str, Sequence[Any]], where: str
) -> Examples:
    inputs, notes = encode_columns(columns, table, where)
    return Examples(inputs, notes=tuple(notes))


def _read_path(path: Path, columns: Sequence[Column], shape: tuple[int, ...]) -> Examples:
    if not path_exists(path):
        shown = str(path) if len(str(path)) <= LONGEST_SHOWN else f"{str(path)[:LONGEST_SHOWN]}..."
        raise DataError(
            "there is no such file or folder", where=shown, remedy="Give the path of a file"
        )
    try:
        return _read_folder(path, shape) if path.is_dir() else _read_file(path, columns, shape)
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror or error}",
            where=str(error.filename or path),
            remedy="Give yourself access, or another file",
        ) from error


def _read_file(path: Path, columns: Sequence[Column], shape: tuple[int, ...]) -> Examples:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return _decode([path], path.parent, shape)
    if suffix in TABLES or suffix == ".parquet":
        if not columns:
            return Examples(read_path(path).inputs)
        table = read_csv_columns(path) if suffix in TABLES else read_table_columns(path)
        return _encode_table(columns, table, str(path))
    if suffix in (".npy", ".npz"):
        array = choose_inputs(load_arrays(path), where=str(path))
        return _as_rows(array, columns) if columns else Examples(as_inputs(array, where=str(path)))
    if "idx" in path.name:
        return Examples(to_channels_first(read_idx(path)))
    return Examples(read_path(path).inputs)


def _read_folder(folder: Path, shape: tuple[int, ...]) -> Examples:
    pictures, _ = list_pictures(folder)
    if pictures:
        return _decode(pictures, folder, shape)
    raw = read_path(folder)
    return Examples(raw.inputs, notes=raw.notes)


def _decode(paths: Sequence[Path], root: Path, shape: tuple[int, ...]) -> Examples:
    """Pictures, brought to the training's form as `fit` brings those of another one to it."""
    names = tuple(str(p.relative_to(root)) for p in paths)
    pictures = [Picture(name, p.read_bytes) for name, p in zip(names, paths, strict=True)]
    form = shape if len(shape) == 3 and shape[0] in (1, 3) else None
    decoded = decode_pictures(pictures, str(root), like=form)
    return Examples(decoded.images, names, tuple(decoded.notes))


def _held_shape(about: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(about["held_shape"] or about["input_shape"])


def _fit_shape(inputs: Tensor, about: Mapping[str, Any], where: str) -> Tensor:
    """The same numbers in the training's shape: flat images and a single example are taken too."""
    shape = _held_shape(about)
    if about["kind"] == "image" and inputs.ndim in (3, 4) and tuple(inputs.shape[1:]) != shape:
        channels_first = to_channels_first(inputs)
        inputs = channels_first if tuple(channels_first.shape[1:]) == shape else inputs
    if tuple(inputs.shape[1:]) == shape:
        return inputs
    size = torch.Size(shape).numel()
    if len(inputs) and size in (inputs.numel(), inputs[0].numel()):
        return inputs.reshape(-1, *shape)
    raise DataError(
        f"an example has the shape {tuple(inputs.shape[1:])}, the training had {shape}",
        where=where,
        remedy="Give examples as the training had them",
    )


def _refuse_other_unit(inputs: Tensor, about: Mapping[str, Any], where: str) -> None:
    """Bytes where the training had shares of one, or the other way round: silently wrong."""
    held = about.get("held_range")
    if about["kind"] != "image" or held is None or not inputs.numel():
        return
    low, high = (float(v) for v in inputs.aminmax())
    if held["integer"] and held["largest"] > 1 and inputs.is_floating_point():
        if low >= 0 and 0 < high <= 1:
            raise DataError(
                f"the images go from {low:g} to {high:g}, those of the training were bytes up to "
                f"{held['largest']:g}",
                where=where,
                remedy="Multiply by 255, or give the bytes themselves",
            )
    elif not held["integer"] and held["largest"] <= 1 < high and not inputs.is_floating_point():
        raise DataError(
            f"the images are bytes up to {high:g}, those of the training went up to "
            f"{held['largest']:g}",
            where=where,
            remedy="Give an array that is divided by 255, as the training had it",
        )
