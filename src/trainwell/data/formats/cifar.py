"""CIFAR-10 and CIFAR-100, as Python batches and as binary batches (Krizhevsky 2009)."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from trainwell.data.raw import RawData
from trainwell.errors import DataError

PIXELS = 3 * 32 * 32
LARGEST = 2**30
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads a pickle of dicts, lists, text, numbers and arrays; anything else is refused.

    A pickle can name any function to call. This one looks up only what NumPy needs to rebuild an
    array, none of which runs code of the file.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def has_cifar(folder: Path) -> bool:
    """Whether a folder holds CIFAR batches."""
    return bool(_batch_files(folder, train=True))


def read_cifar_folder(folder: Path) -> RawData:
    """Images `(N, 3, 32, 32)` uint8 of all batches of a folder.

    Raises:
        DataError: A batch is damaged, or asks for more than arrays.
    """
    train = _read_batches(_batch_files(folder, train=True))
    if not len(train[1]):
        raise DataError("there are no examples", where=str(folder), remedy="Get it again")
    test_files = _batch_files(folder, train=False)
    classes = _class_names(folder, int(train[1].max()) + 1)
    test = None
    if test_files:
        images, labels = _read_batches(test_files)
        _refuse_out_of_range(labels, len(classes), folder)
        test = RawData("image", images, labels, classes, "multiclass")
    _refuse_out_of_range(train[1], len(classes), folder)
    return RawData("image", *train, classes, "multiclass", test=test)


def read_pickle(path: Path) -> dict[Any, Any]:
    """The dict of a Python batch, read without running anything of it.

    Raises:
        DataError: Damaged, or it asks for more than arrays.
    """
    content = path.read_bytes()
    try:
        found = ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:
        # A damaged pickle can fail in any way that its opcodes can.
        raise DataError(
            f"the batch cannot be read safely: {error}",
            where=str(path),
            remedy="Get it again from its makers",
        ) from error
    if not isinstance(found, dict):
        raise DataError("the batch is not a dict", where=str(path))
    return found


def _batch_files(folder: Path, *, train: bool) -> list[Path]:
    patterns = ("data_batch_*", "train", "train.bin") if train else ("test_batch*", "test*.bin")
    names = [p for pattern in patterns for p in sorted(folder.glob(pattern)) if p.is_file()]
    if not train and (folder / "test").is_file():
        names.append(folder / "test")
    return list(dict.fromkeys(names))


def _read_batches(paths: list[Path]) -> tuple[Tensor, Tensor]:
    batches = [_read_binary(p) if p.suffix == ".bin" else _read_python(p) for p in paths]
    return torch.cat([b[0] for b in batches]), torch.cat([b[1] for b in batches])


def _read_python(path: Path) -> tuple[Tensor, Tensor]:
    batch = read_pickle(path)
    labels = batch.get(b"labels", batch.get(b"fine_labels"))
    data = batch.get(b"data")
    if labels is None or not isinstance(data, numpy.ndarray) or data.shape[1:] != (PIXELS,):
        raise DataError("the batch has no data and labels of CIFAR", where=str(path))
    if len(labels) != len(data):
        raise DataError(f"{len(data)} images but {len(labels)} labels", where=str(path))
    images = torch.from_numpy(numpy.array(data, dtype=numpy.uint8)).reshape(-1, 3, 32, 32)
    return images, _as_class_numbers(labels, path)


def _as_class_numbers(labels: Any, path: Path) -> Tensor:
    try:
        return torch.tensor(labels, dtype=torch.int64).reshape(len(labels))
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError("the labels are not whole numbers", where=str(path)) from error


def _read_binary(path: Path) -> tuple[Tensor, Tensor]:
    content = numpy.frombuffer(path.read_bytes(), dtype=numpy.uint8)
    # A row of CIFAR-100 has a coarse label before the fine one.
    for label_bytes in (1, 2):
        if len(content) and len(content) % (PIXELS + label_bytes) == 0:
            rows = content.reshape(-1, PIXELS + label_bytes)
            labels = torch.from_numpy(rows[:, label_bytes - 1].astype(numpy.int64))
            images = torch.from_numpy(rows[:, label_bytes:].copy()).reshape(-1, 3, 32, 32)
            return images, labels
    raise DataError(
        f"{len(content)} bytes are no whole number of CIFAR rows",
        where=str(path),
        remedy="The file is cut short or damaged: get it again",
    )


def _class_names(folder: Path, count: int) -> tuple[str, ...]:
    for name in ("batches.meta.txt", "fine_label_names.txt"):
        if (folder / name).is_file():
            return tuple((folder / name).read_text(encoding="utf-8").split())
    for name, key in (("batches.meta", b"label_names"), ("meta", b"fine_label_names")):
        if (folder / name).is_file():
            names = read_pickle(folder / name).get(key, [])
            return tuple(n.decode() if isinstance(n, bytes) else str(n) for n in names)
    return tuple(str(n) for n in range(count))


def _refuse_out_of_range(labels: Tensor, classes: int, folder: Path) -> None:
    bad = (labels < 0) | (labels >= classes)
    if bool(bad.any()):
        row = int(torch.nonzero(bad)[0])
        raise DataError(
            f"row {row} has the label {int(labels[row])}, but there are {classes} classes",
            where=str(folder),
        )
