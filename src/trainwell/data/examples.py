"""New examples for a trained model, in the form in which the training had them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainwell.data.files import TABLES, read_path
from trainwell.data.formats.arrays import as_inputs, to_channels_first
from trainwell.data.formats.columns import encode_columns
from trainwell.data.formats.idx import read_idx
from trainwell.data.formats.images import SUFFIXES
from trainwell.data.formats.pictures import Picture, decode_pictures
from trainwell.data.formats.tables import frame_columns, read_csv_columns
from trainwell.data.raw import Column
from trainwell.errors import DataError


def read_examples(source: Any, about: Mapping[str, Any]) -> Tensor:
    """Inputs `(N, ...)` as held.

    Args:
        source: An array or tensor, a DataFrame, or a path.
        about: The `data` part of a run's description.

    Raises:
        DataError: They do not look like those of the training.
    """
    columns = [Column.from_dict(fields) for fields in about["schema"]]
    if isinstance(source, str | os.PathLike):
        inputs = _read_path(Path(source), columns)
    elif type(source).__name__ == "DataFrame":
        inputs, _ = encode_columns(columns, frame_columns(source, "DataFrame"), "DataFrame")
    elif columns and isinstance(source, Tensor):
        inputs = source.double()
    elif columns:
        inputs = _as_rows(source)
    else:
        inputs = as_inputs(source, where="examples")
    return _fit_shape(inputs, about)


def _as_rows(source: Any) -> Tensor:
    try:
        return torch.as_tensor(source, dtype=torch.float64)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(
            f"the examples are not rows of numbers: {error}",
            where="examples",
            remedy="Give a DataFrame where columns are text",
        ) from error


def _read_path(path: Path, columns: list[Column]) -> Tensor:
    if not path.exists():
        raise DataError("there is no such file or folder", where=str(path))
    if path.suffix.lower() in SUFFIXES:
        return decode_pictures([Picture(path.name, path.read_bytes)], str(path)).images
    if columns and path.suffix.lower() in TABLES:
        return encode_columns(columns, read_csv_columns(path), str(path))[0]
    if columns and path.suffix.lower() == ".parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        cells = {name: table.column(name).to_pylist() for name in table.column_names}
        return encode_columns(columns, cells, str(path))[0]
    if path.is_dir() and not any(entry.is_dir() for entry in path.iterdir()):
        loose = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        if loose:
            pictures = [Picture(p.name, p.read_bytes) for p in loose]
            return decode_pictures(pictures, str(path)).images
    if path.suffix.lower() in (".npy", ".npz"):
        return _read_arrays(path)
    if path.is_file() and "idx" in path.name:
        return to_channels_first(read_idx(path))
    return read_path(path).inputs


def _read_arrays(path: Path) -> Tensor:
    import numpy

    try:
        found = numpy.load(path, allow_pickle=False)
        array = found if isinstance(found, numpy.ndarray) else found[found.files[0]]
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"cannot be read as NumPy arrays: {error}", where=str(path)) from error
    return as_inputs(array, where=str(path))


def _fit_shape(inputs: Tensor, about: Mapping[str, Any]) -> Tensor:
    """The same numbers in the training's shape: flat images and a single example are taken too."""
    shape = tuple(about["held_shape"] or about["input_shape"])
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
        where="examples",
        remedy="Give examples as the training had them",
    )
