"""Every file operation with which a run is saved, in one place.

Nothing here is retried: after a failed `fsync` the kernel may have dropped the data and report
success the next time (PostgreSQL's fsync errors, 2018).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


class Disk:
    """The operations a save is made of; tests stand a disk that fails in its place."""

    def make_folder(self, path: Path) -> None:
        """Makes a folder that does not exist yet, readable by its owner only."""
        os.mkdir(path, 0o700)

    def write_file(self, path: Path, content: bytes) -> None:
        """Writes a file that does not exist yet; on return it is on disk."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self.write_all(descriptor, content)
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def write_all(self, descriptor: int, content: bytes) -> None:
        """Writes all bytes, however many calls that takes."""
        rest = memoryview(content)
        while rest:
            rest = rest[self.write(descriptor, rest) :]

    def write(self, descriptor: int, content: memoryview) -> int:
        """Writes some bytes and says how many."""
        return os.write(descriptor, content)

    def sync(self, descriptor: int) -> None:
        """Waits until a file's content is on disk."""
        os.fsync(descriptor)

    def sync_folder(self, path: Path) -> None:
        """Waits until a folder's entries are on disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file or folder another name on the same file system."""
        os.rename(old, new)

    def remove_tree(self, path: Path) -> None:
        """Removes a folder and everything in it."""
        shutil.rmtree(path)

    def remove_file(self, path: Path) -> None:
        """Removes a file, if it is there."""
        path.unlink(missing_ok=True)


DISK = Disk()


def replace_file(path: Path, content: bytes, disk: Disk = DISK) -> None:
    """Writes a small file so that a reader sees the old content or the new, never a part.

    Args:
        path: May exist.
        content: The whole file.
        disk: Where to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        disk.write_file(temporary, content)
        disk.rename(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    disk.sync_folder(path.parent)
