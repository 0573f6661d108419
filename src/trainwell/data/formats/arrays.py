"""Arrays: `.npz` files, and `(X, y)` from Python."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from trainwell.data.dataset import Kind, Task
from trainwell.data.dense import as_dense
from trainwell.data.raw import RawData
from trainwell.data.targets import as_target_array, encode_like, encode_targets
from trainwell.errors import DataError

MOST_CHANNELS = 4
INPUT_NAMES = ("X", "x", "inputs", "images", "data")
TARGET_NAMES = ("y", "targets", "labels", "label")
GIVEN_NAMES = {"valid": ("valid", "val"), "test": ("test",)}
UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    AttributeError,
    RuntimeError,  # also NotImplementedError: a compression that Python does not know
    zipfile.BadZipFile,
    zlib.error,
)


def from_arrays(inputs: Any, targets: Any, task: Task | None = None, *, where: str) -> RawData:
    """Examples from arrays or tensors.

    Args:
        inputs: `(N, F)` vectors, `(N, H, W)`, `(N, C, H, W)` or `(N, H, W, C)` images of bytes,
            `(N, C, H, W)` images of floats, or `(N, T, F)` sequences of floats.
        targets: `(N,)` or `(N, K)`; None for a reconstruction.
        task: What is predicted; None finds out.
        where: The source, for messages.

    Raises:
        DataError: Ragged, empty, not numbers, not finite (with row and column), or inputs and
            targets differ in number.
    """
    values = as_inputs(inputs, where=where)
    if len(values) == 0:
        raise DataError("there are no examples", where=where, remedy="Give at least a few")
    kind = find_kind(values)
    if kind == "image":
        values = to_channels_first(values)
    if task == "reconstruction":
        empty = torch.zeros(len(values), 0)
        return RawData(kind, values, empty, (), "reconstruction")
    if targets is None:
        raise DataError(
            "there are no targets", where=where, remedy="Give (X, y), or task='reconstruction'"
        )
    array = as_target_array(targets, where=where)
    if len(values) != len(array):
        raise DataError(f"{len(values)} inputs but {len(array)} targets", where=where)
    encoded = encode_targets(array, task, where=where)
    return RawData(kind, values, encoded.values, encoded.classes, encoded.task)


def as_inputs(inputs: Any, *, where: str) -> Tensor:
    """Inputs as a tensor of uint8, float32 or float64.

    Raises:
        DataError: Ragged, not numbers, or not finite (with row and column).
    """
    try:
        if isinstance(inputs, Tensor):
            values = as_dense(inputs, "inputs", where=where)
        else:
            values = _to_tensor(inputs)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"the inputs are not one array of numbers: {reason}",
            where=where,
            remedy="Give examples of equal shape, or a DataFrame for columns of different kinds",
        ) from error
    if values.ndim == 1:
        values = values.unsqueeze(1)
    if values.ndim == 0 or values.ndim > 4:
        raise DataError(f"inputs of shape {tuple(values.shape)} are not examples", where=where)
    if values.dtype not in (torch.uint8, torch.float32, torch.float64):
        values = values.to(torch.float64 if values.dtype == torch.int64 else torch.float32)
    refuse_non_finite(values, where)
    return values


def refuse_non_finite(values: Tensor, where: str) -> None:
    """Stops at NaN or infinity, naming row, column and how many there are.

    Raises:
        DataError: There are some.
    """
    if not values.is_floating_point() or bool(torch.isfinite(values).all()):
        return
    bad = ~torch.isfinite(values)
    row, *column = (int(i) for i in torch.nonzero(bad)[0])
    raise DataError(
        f"{int(bad.sum())} inputs are not finite, the first in row {row}, column "
        f"{', '.join(map(str, column))}",
        where=where,
        remedy="Fill them in or remove these rows; a table with empty cells is filled in for you",
    )


def find_kind(values: Tensor) -> Kind:
    """Images have four dimensions, or three of bytes; sequences have three of floats."""
    if values.ndim == 4 or (values.ndim == 3 and values.dtype == torch.uint8):
        return "image"
    return "sequence" if values.ndim == 3 else "vector"


def to_channels_first(images: Tensor) -> Tensor:
    """`(N, H, W)` and `(N, H, W, C)` images as `(N, C, H, W)`."""
    if images.ndim == 3:
        return images.unsqueeze(1)
    if images.shape[1] > MOST_CHANNELS >= images.shape[3]:
        return images.permute(0, 3, 1, 2).contiguous()
    return images


def read_npz(path: Path, task: Task | None = None) -> RawData:
    """Examples of an `.npz` file with `X` and `y`, or `x_train`, `y_train`, `x_test`, `y_test`.

    `x_valid` and `y_valid` (or `x_val`, `y_val`) are the validation split.

    Raises:
        DataError: Unreadable, Python objects in it, or no such arrays.
    """
    arrays = load_arrays(path)
    where = str(path)
    if "x_train" in arrays:
        return _read_splits(arrays, task, where)
    inputs = choose_inputs(arrays, where=where)
    name = next((n for n in TARGET_NAMES if n in arrays), None)
    return from_arrays(inputs, arrays[name] if name else None, task, where=where)


def load_arrays(path: Path) -> dict[str, numpy.ndarray]:
    """The arrays of an `.npz` file by name; that of an `.npy` file is called `X`.

    Raises:
        DataError: Unreadable, or Python objects in it.
    """
    try:
        file = numpy.load(path, allow_pickle=False)
        if isinstance(file, numpy.ndarray):
            return {"X": file}
        with file:
            return {name: file[name] for name in file.files}
    except UNREADABLE as error:
        raise DataError(
            f"cannot be read as NumPy arrays: {error}",
            where=str(path),
            remedy="Save it again with numpy.savez, without Python objects",
        ) from error


def choose_inputs(arrays: Mapping[str, numpy.ndarray], *, where: str) -> numpy.ndarray:
    """The array that holds the inputs, by its name.

    Raises:
        DataError: None has such a name.
    """
    name = next((n for n in INPUT_NAMES if n in arrays), None)
    if name is None:
        raise DataError(
            f"there is no array X, only {', '.join(arrays) or 'nothing'}",
            where=where,
            remedy="Save it with numpy.savez(path, X=..., y=...)",
        )
    return arrays[name]


def _read_splits(arrays: Mapping[str, numpy.ndarray], task: Task | None, where: str) -> RawData:
    train = from_arrays(arrays["x_train"], arrays.get("y_train"), task, where=where)
    given = {
        split: _read_given(arrays, name, train, where)
        for split, names in GIVEN_NAMES.items()
        for name in names
        if f"x_{name}" in arrays or f"y_{name}" in arrays
    }
    return replace(train, **given)


def _read_given(
    arrays: Mapping[str, numpy.ndarray], name: str, train: RawData, where: str
) -> RawData:
    """A split that came by itself; it is compared with the training split when assembled."""
    inputs, targets = (arrays.get(f"{letter}_{name}") for letter in "xy")
    if inputs is None or (targets is None and train.task != "reconstruction"):
        there, lacking = ("y", "x") if inputs is None else ("x", "y")
        raise DataError(
            f"there is {there}_{name}, but no {lacking}_{name}",
            where=where,
            remedy="Save both, or neither",
        )
    values = as_inputs(inputs, where=f"{where}, x_{name}")
    if train.kind == "image":
        values = to_channels_first(values)
    if train.task == "reconstruction":
        encoded = torch.zeros(len(values), 0)
    else:
        encoded = encode_like(targets, train.classes, where=f"{where}, y_{name}")
    return replace(train, inputs=values, targets=encoded, notes=())


def _to_tensor(inputs: Any) -> Tensor:
    array = numpy.asarray(inputs)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"they are {array.dtype}")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(numpy.int64)
    if array.dtype == numpy.float16:
        array = array.astype(numpy.float32)
    return torch.from_numpy(numpy.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))
