"""IDX files, as MNIST comes in (LeCun, Cortes & Burges 1998)."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from pathlib import Path

import numpy
import torch
from torch import Tensor

from trainwell.data.dataset import Task
from trainwell.data.raw import RawData
from trainwell.data.targets import encode_like, encode_targets
from trainwell.errors import DataError

GZIP = b"\x1f\x8b"
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
TEST_PREFIXES = ("t10k", "test")
MOST_DIMENSIONS = 4
LARGEST = 8 * 2**30


def has_idx(folder: Path) -> bool:
    """Whether a folder holds MNIST-style files."""
    return _find(folder, "train", "images") is not None


def read_idx_folder(folder: Path, task: Task | None = None) -> RawData:
    """Images and labels of a folder with `train-images…` and `train-labels…` files.

    Files that begin with `t10k` or `test` are the test split.

    Raises:
        DataError: A file is missing, cut short, or not IDX; or images and labels differ in number.
    """
    images, labels, where = _read_pair(folder, "train")
    targets = encode_targets(labels, task, where=where)
    kind = "image" if images.ndim == 4 else "vector"
    train = RawData(kind, images, targets.values, targets.classes, targets.task)
    prefix = next((p for p in TEST_PREFIXES if _find_any(folder, p)), None)
    if prefix is None:
        return train
    images, labels, where = _read_pair(folder, prefix)
    numbered = encode_like(labels, train.classes, where=where)
    return replace(train, test=replace(train, inputs=images, targets=numbered))


def read_idx(path: Path) -> Tensor:
    """The array of one IDX file, gzipped or not.

    Raises:
        DataError: Unreadable, wrong magic number, cut short or too long.
    """
    content = _read_bytes(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES:
        raise DataError(
            f"this is not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}",
            where=str(path),
            remedy="IDX files begin with 00 00, a type and the number of dimensions",
        )
    dimensions = content[3]
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise DataError(
            f"the header tells of {dimensions} dimensions",
            where=str(path),
            remedy=f"Images and labels have 1 to {MOST_DIMENSIONS}: get the file again",
        )
    header = 4 + 4 * dimensions
    shape = tuple(int(n) for n in numpy.frombuffer(content[4:header], dtype=">u4"))
    dtype = numpy.dtype(TYPES[content[2]])
    expected = header + dtype.itemsize * int(numpy.prod(shape, dtype=object))
    if len(shape) != dimensions or len(content) != expected:
        raise DataError(
            f"the file has {len(content)} bytes, its header {shape} needs {expected}",
            where=str(path),
            remedy="The file is cut short or damaged: get it again",
        )
    array = numpy.frombuffer(content, dtype=dtype, offset=header).reshape(shape)
    return torch.from_numpy(array.astype(dtype.newbyteorder("=")))


def _read_pair(folder: Path, prefix: str) -> tuple[Tensor, Tensor, str]:
    """Images, labels, and the name of the labels' file."""
    images_path, labels_path = (_find(folder, prefix, what) for what in ("images", "labels"))
    if images_path is None or labels_path is None:
        missing = "images" if images_path is None else "labels"
        raise DataError(
            f"there is no {prefix}-{missing} file",
            where=str(folder),
            remedy="Give the folder with the images and the labels file",
        )
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim < 2 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"images {tuple(images.shape)} and labels {tuple(labels.shape)} do not belong together",
            where=str(folder),
        )
    return images.unsqueeze(1) if images.ndim == 3 else images, labels, str(labels_path)


def _find_any(folder: Path, prefix: str) -> bool:
    return any(_find(folder, prefix, what) for what in ("images", "labels"))


def _find(folder: Path, prefix: str, what: str) -> Path | None:
    found = sorted(p for p in folder.glob(f"{prefix}-{what}*") if p.is_file())
    return found[0] if found else None


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        if content[:2] == GZIP:
            with gzip.open(path) as file:
                content = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"cannot be read: {error}", where=str(path), remedy="Get the file again"
        ) from error
    if len(content) > LARGEST:
        raise DataError(f"unpacks to more than {LARGEST} bytes", where=str(path))
    return content
