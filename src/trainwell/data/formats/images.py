"""Folders of images, one folder a class."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import torch

from trainwell.data.formats.pictures import Picture, decode_pictures
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
            others[split] = _read_classes(path, classes, corrupt)
    return RawData(**{**vars(train), **others})


def _find_split(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _class_names(root: Path) -> tuple[str, ...]:
    classes = tuple(
        sorted(
            e.name
            for e in os.scandir(root)
            if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")
        )
    )
    if len(classes) < 2:
        raise DataError(
            f"there are {len(classes)} class folders",
            where=str(root),
            remedy="Put the images of each class into a folder with the name of the class",
        )
    return classes


def _refuse_unknown_classes(path: Path, classes: tuple[str, ...]) -> None:
    unknown = [name for name in _class_names(path) if name not in classes]
    if unknown:
        raise DataError(f"the class {unknown[0]!r} is not in the training split", where=str(path))


def _read_classes(root: Path, classes: tuple[str, ...], corrupt: Corrupt) -> RawData:
    pictures, targets, left_out = [], [], 0
    for number, name in enumerate(classes):
        found, others = _list_pictures(root / name)
        left_out += others
        if not found and (root / name).is_dir():
            raise DataError(
                f"the class {name!r} has no images",
                where=str(root / name),
                remedy="Add images, or remove the folder",
            )
        pictures += [Picture(str(p.relative_to(root)), p.read_bytes) for p in found]
        targets += [number] * len(found)
    decoded = decode_pictures(pictures, where=str(root), corrupt=corrupt)
    notes = decoded.notes
    if left_out:
        notes.append(f"{left_out} links, devices or files of other kinds were left out")
    task = "binary" if len(classes) == 2 else "multiclass"
    return RawData(
        "image",
        decoded.images,
        torch.tensor(targets)[decoded.kept],
        classes,
        task,
        notes=tuple(notes),
    )


def _list_pictures(folder: Path) -> tuple[list[Path], int]:
    """Regular image files below a folder, sorted by name, and how many other entries there are."""
    found, others = [], 0
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        others += sum(Path(parent, name).is_symlink() for name in folders)
        for name in sorted(names):
            path = Path(parent, name)
            is_regular = stat.S_ISREG(path.lstat().st_mode)
            if is_regular and name.lower().endswith(SUFFIXES):
                found.append(path)
            else:
                others += 1
    return found, others
