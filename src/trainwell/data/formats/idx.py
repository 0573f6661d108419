"""IDX files, as MNIST comes in (LeCun, Cortes & Burges 1998)."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy
import torch
from torch import Tensor

from trainwell.data.raw import RawData
from trainwell.data.targets import encode_targets
from trainwell.errors import DataError

GZIP = b"\x1f\x8b"
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PAIRS = {"train": "train", "test": "t10k"}
LARGEST = 8 * 2**30


def has_idx(folder: Path) -> bool:
    """Whether a folder holds MNIST-style files."""
    return _find(folder, "train", "images") is not None


def read_idx_folder(folder: Path) -> RawData:
    """Images and labels of a folder with `train-images…` and `train-labels…` files.

    Files that begin with `t10k` or `test` are the test split.

    Raises:
        DataError: A file is missing, cut short, or not IDX; or images and labels differ in number.
    """
    test = None
    for prefix in ("t10k", "test"):
        if _find(folder, prefix, "images") is not None:
            test = _read_pair(folder, prefix)
            break
    train = _read_pair(folder, "train")
    return RawData(train.kind, train.inputs, train.targets, train.classes, train.task, test=test)


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


def _read_pair(folder: Path, prefix: str) -> RawData:
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
    targets = encode_targets(labels, None, where=str(labels_path))
    if images.ndim == 3:
        images = images.unsqueeze(1)
    kind = "image" if images.ndim == 4 else "vector"
    return RawData(kind, images, targets.values, targets.classes, targets.task)


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
