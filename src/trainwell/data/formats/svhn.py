"""SVHN in cropped digits, as MATLAB files (Netzer et al. 2011)."""

from __future__ import annotations

from pathlib import Path

import numpy
import torch
from torch import Tensor

from trainwell.data.raw import RawData
from trainwell.errors import DataError

TRAIN, TEST = "train_32x32.mat", "test_32x32.mat"
CLASSES = tuple(str(digit) for digit in range(10))


def has_svhn(folder: Path) -> bool:
    """Whether a folder holds SVHN's training file."""
    return (folder / TRAIN).is_file()


def read_svhn_folder(folder: Path) -> RawData:
    """Images `(N, 3, 32, 32)` uint8 and digits 0 to 9.

    Raises:
        DataError: A file is damaged.
    """
    test = None
    if (folder / TEST).is_file():
        test = RawData("image", *_read(folder / TEST), CLASSES, "multiclass")
    return RawData("image", *_read(folder / TRAIN), CLASSES, "multiclass", test=test)


def _read(path: Path) -> tuple[Tensor, Tensor]:
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=["X", "y"])
        images = numpy.ascontiguousarray(content["X"].transpose(3, 2, 0, 1))
        # The digit zero has the label ten.
        labels = content["y"].reshape(-1).astype(numpy.int64) % 10
    except Exception as error:
        raise DataError(f"cannot be read as SVHN: {error}", where=str(path)) from error
    return torch.from_numpy(images), torch.from_numpy(labels)
