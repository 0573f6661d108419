"""Finds the reader for a file or folder by what is in it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from trainwell.data.formats.archives import extract, is_archive
from trainwell.data.formats.arrays import read_npz
from trainwell.data.formats.cifar import has_cifar, read_cifar_folder
from trainwell.data.formats.idx import has_idx, read_idx_folder
from trainwell.data.formats.images import has_images, read_image_folder
from trainwell.data.formats.parquet import has_parquet, read_parquet, read_parquet_folder
from trainwell.data.formats.svhn import has_svhn, read_svhn_folder
from trainwell.data.formats.tables import read_csv
from trainwell.data.naming import name_some
from trainwell.data.raw import RawData, Reading
from trainwell.errors import DataError

TABLES = (".csv", ".tsv", ".txt")
AGAIN = "Get it again"
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")


def read_path(path: Path, reading: Reading | None = None) -> RawData:
    """Examples of a file or folder.

    Args:
        path: Exists.
        reading: What is predicted, and what becomes of damaged pictures.

    Raises:
        DataError: Unreadable, damaged, or nothing that is known.
    """
    reading = reading or Reading()
    try:
        if path.is_dir():
            return _read_folder(path, reading)
        return _read_file(path, reading)
    except PermissionError as error:
        raise DataError(
            "may not be read", where=str(error.filename or path), remedy="Give yourself access"
        ) from error


def path_exists(path: Path) -> bool:
    """Whether there is something; a name that no system can have has nothing behind it."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _read_file(path: Path, reading: Reading) -> RawData:
    if not path.is_file():
        raise DataError(
            "this is neither a file nor a folder", where=str(path), remedy="Give a file or folder"
        )
    suffix = path.suffix.lower()
    if path.stat().st_size == 0:
        raise DataError("the file is empty", where=str(path), remedy=AGAIN)
    if suffix == ".npz" or suffix == ".npy":
        return read_npz(path, reading.task)
    if suffix == ".parquet":
        return read_parquet(path, reading)
    if suffix in TABLES:
        return read_csv(path, reading.target, reading.task)
    if is_archive(path):
        return _read_archive(path, reading)
    if "-images" in path.name or "-labels" in path.name:
        return read_idx_folder(path.parent, reading.task)
    if suffix in ARCHIVES:
        raise DataError("this is not an archive, or it is damaged", where=str(path), remedy=AGAIN)
    raise DataError(
        f"files ending in {suffix or 'nothing'} are not known",
        where=str(path),
        remedy="Known: .csv .tsv .parquet .npz .zip .tar .tar.gz, and folders of IDX, CIFAR, "
        "Parquet or image files",
    )


def _read_folder(path: Path, reading: Reading) -> RawData:
    if not any(path.iterdir()):
        raise DataError("the folder is empty", where=str(path), remedy="Give one with data")
    if has_idx(path):
        return read_idx_folder(path, reading.task)
    if has_cifar(path):
        return read_cifar_folder(path)
    if has_parquet(path):
        return read_parquet_folder(path, reading)
    if has_svhn(path):
        return read_svhn_folder(path)
    inner = [entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")]
    # An archive often holds one folder with everything in it.
    if len(inner) == 1 and _is_wrapper(inner[0]):
        return _read_folder(inner[0], reading)
    if has_images(path):
        return read_image_folder(path, reading.corrupt)
    raise DataError(
        "nothing that is known is in this folder",
        where=str(path),
        remedy="Known: IDX files (train-images…), CIFAR batches, Parquet files, or one folder of "
        "images for each class",
    )


def _is_wrapper(path: Path) -> bool:
    """Whether a lone folder holds the data rather than the images of a lone class."""
    if path.is_symlink() or not path.is_dir():
        return False
    return not has_images(path) or any(entry.is_dir() for entry in path.iterdir())


def _read_archive(path: Path, reading: Reading) -> RawData:
    with tempfile.TemporaryDirectory(prefix="trainwell-") as folder:
        content = Path(folder) / "content"
        try:
            skipped = extract(path, content)
        except OSError as error:
            raise DataError(
                f"the archive cannot be read: {error}", where=str(path), remedy=AGAIN
            ) from error
        try:
            raw = _read_folder(content, reading)
        except DataError as error:
            # The user knows the archive, not the folder that it was unpacked into.
            found, where = (t.replace(str(content), str(path)) for t in (error.found, error.where))
            raise DataError(found, where=where, remedy=error.remedy) from error
    if not skipped:
        return raw
    note = (
        f"{len(skipped)} entries of {path.name} are no regular files and were skipped: "
        f"{name_some(skipped)}"
    )
    return replace(raw, notes=(*raw.notes, note))
