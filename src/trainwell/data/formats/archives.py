"""Archives, extracted by rules of our own: regular files only, inside the root, within limits.

Python's own filters were bypassed before (CVE-2025-4517), so nothing is left to them.
"""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from trainwell.errors import DataError

CHUNK = 2**20
UNREADABLE = (
    EOFError,
    # Encrypted; as NotImplementedError, packed by a method that Python does not know.
    RuntimeError,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to.

    Attributes:
        files: Regular files.
        size: Bytes of all files together.
        ratio: Unpacked bytes for a byte of the archive, beyond `free`.
        free: Bytes that any archive may unpack to.
    """

    files: int = 2_000_000
    size: int = 64 * 2**30
    ratio: int = 200
    free: int = 64 * 2**20


def is_archive(path: Path) -> bool:
    """Whether a file is a .zip or a .tar, by its content."""
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except (EOFError, zlib.error, lzma.LZMAError):
        # Packed content that is cut short: not even the first entry can be read.
        return False


def extract(path: Path, folder: Path, limits: Limits = Limits()) -> list[str]:
    """Writes an archive's regular files into a new folder.

    Args:
        path: A .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz.
        folder: Does not exist yet.
        limits: Checked while reading: headers may lie.

    Returns:
        Names of entries that are no regular files (links, devices) and were skipped.

    Raises:
        DataError: Damaged, encrypted, an entry would leave the folder, or a limit is passed; the
            folder is removed.
    """
    folder.mkdir()
    try:
        return _extract(path, folder, limits)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _extract(path: Path, folder: Path, limits: Limits) -> list[str]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _write_all(_zip_entries(archive), path, folder, limits)
        with tarfile.open(path) as archive:
            return _write_all(_tar_entries(archive), path, folder, limits)
    except UNREADABLE as error:
        raise DataError(
            f"the archive cannot be read: {error}",
            where=str(path),
            remedy="Get it again, or unpack it yourself and give the folder",
        ) from error


Entry = tuple[str, bool, IO[bytes] | None]


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[Entry]:
    for info in archive.infolist():
        if info.is_dir():
            continue
        mode = info.external_attr >> 16
        is_regular = not mode or stat.S_IFMT(mode) in (0, stat.S_IFREG)
        if not is_regular:
            yield info.filename, False, None
            continue
        with archive.open(info) as file:
            yield info.filename, True, file


def _tar_entries(archive: tarfile.TarFile) -> Iterator[Entry]:
    for info in archive:
        if info.isdir():
            continue
        if not info.isreg():
            yield info.name, False, None
            continue
        yield info.name, True, archive.extractfile(info)


def _write_all(entries: Iterator[Entry], path: Path, folder: Path, limits: Limits) -> list[str]:
    packed = path.stat().st_size
    largest = min(limits.size, limits.free + limits.ratio * packed)
    written, skipped, count = 0, [], 0
    for name, is_regular, file in entries:
        if not is_regular or file is None:
            skipped.append(name)
            continue
        count += 1
        if count > limits.files:
            raise DataError(
                f"it holds more than {limits.files} files",
                where=str(path),
                remedy="Unpack it yourself",
            )
        target = _place(name, folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            while chunk := file.read(CHUNK):
                written += len(chunk)
                if written > largest:
                    raise DataError(
                        f"it unpacks to more than {largest} bytes",
                        where=str(path),
                        remedy="If it is what you think it is, unpack it yourself",
                    )
                out.write(chunk)
    return skipped


def _place(name: str, folder: Path, path: Path) -> Path:
    parts = PurePosixPath(name.replace("\\", "/"))
    target = (folder / parts).resolve()
    outside = parts.is_absolute() or ".." in parts.parts or "\0" in name
    if outside or not target.is_relative_to(folder.resolve()) or target.exists():
        raise DataError(
            f"the entry {name!r} would be written outside of the archive's folder, or twice",
            where=str(path),
            remedy="Do not trust this archive",
        )
    return target
