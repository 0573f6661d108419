"""Folders of images, one folder a class."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import torch

from trainwell.data.formats.pictures import Picture, decode_pictures
from trainwell.data.naming import name_some
from trainwell.data.raw import Corrupt, RawData
from trainwell.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
SPLITS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation"),
    "test": ("test",),
}


def has_images(folder: Path) -> bool:
    """Whether a folder holds folders of images."""
    return any(name.lower().endswith(SUFFIXES) for _, _, names in os.walk(folder) for name in names)


def read_image_folder(folder: Path, corrupt: Corrupt = "fail") -> RawData:
    """Images of `CLASS/…` below a folder, or below its `train`, `valid` and `test` folders.

    Classes are numbered in the order of their sorted names. Links, devices and other files that
    are no pictures are left out and counted in a note.

    Raises:
        DataError: A class without images, a picture that cannot be read (all named), or a single
            class.
    """
    given = {split: _find_split(folder, names) for split, names in SPLITS.items()}
    root = given["train"] or folder
    classes = _class_names(root)
    train = _read_classes(root, classes, corrupt)
    others = {}
    for split in ("valid", "test"):
        path = given[split]
        if given["train"] and path:
            _refuse_unknown_classes(path, classes)
            form = tuple(train.inputs.shape[1:])
            others[split] = _read_classes(path, classes, corrupt, form)
    return replace(train, **others)


def _find_split(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _class_names(root: Path) -> tuple[str, ...]:
    classes = _list_classes(root)
    if len(classes) < 2:
        raise DataError(
            f"there are {len(classes)} class folders",
            where=str(root),
            remedy="Put the images of each class into a folder with the name of the class",
        )
    return classes


def _list_classes(root: Path) -> tuple[str, ...]:
    folders = (e for e in os.scandir(root) if e.is_dir(follow_symlinks=False))
    return tuple(sorted(e.name for e in folders if not e.name.startswith(".")))


def _refuse_unknown_classes(path: Path, classes: tuple[str, ...]) -> None:
    unknown = [name for name in _list_classes(path) if name not in classes]
    if unknown:
        raise DataError(
            f"the class {unknown[0]!r} is not in the training split",
            where=str(path),
            remedy="Add images of it to the training split, or remove the folder",
        )


def _read_classes(
    root: Path,
    classes: tuple[str, ...],
    corrupt: Corrupt,
    like: tuple[int, ...] | None = None,
) -> RawData:
    pictures, targets, left_out = [], [], []
    for number, name in enumerate(classes):
        if not (root / name).is_dir():
            # A given split need not have every class.
            continue
        found, others = list_pictures(root / name)
        left_out += others
        if not found:
            raise DataError(
                f"the class {name!r} has no images",
                where=str(root / name),
                remedy="Add images, or remove the folder",
            )
        pictures += [Picture(str(p.relative_to(root)), p.read_bytes) for p in found]
        targets += [number] * len(found)
    decoded = decode_pictures(pictures, str(root), corrupt, like)
    notes = decoded.notes
    if left_out:
        named = name_some([str(path.relative_to(root)) for path in left_out])
        notes.append(
            f"{len(left_out)} links, devices or files of other kinds were left out: {named}"
        )
    task = "binary" if len(classes) == 2 else "multiclass"
    return RawData(
        "image",
        decoded.images,
        torch.tensor(targets)[decoded.kept],
        classes,
        task,
        notes=tuple(notes),
    )


def list_pictures(folder: Path) -> tuple[list[Path], list[Path]]:
    """Regular image files below a folder, sorted by name; and the other entries.

    Raises:
        OSError: A folder may not be read.
    """
    found, others = [], []
    for parent, folders, names in os.walk(folder, followlinks=False, onerror=_fail):
        folders.sort()
        others += [link for name in folders if (link := Path(parent, name)).is_symlink()]
        for name in sorted(names):
            path = Path(parent, name)
            is_picture = stat.S_ISREG(path.lstat().st_mode) and name.lower().endswith(SUFFIXES)
            (found if is_picture else others).append(path)
    return found, others


def _fail(error: OSError) -> None:
    raise error
