"""Every file operation with which a run is saved, in one place.

Nothing here is retried: after a failed `fsync` the kernel may have dropped the data and report
success the next time (PostgreSQL's fsync errors, 2018).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path

RUN = "run.json"
"""Once it is there, a run can be resumed."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# Some network file systems cannot sync a folder; their entries are durable by other means.
FOLDER_SYNC_MISSING = frozenset({errno.EINVAL, errno.ENOTSUP})
# macOS answers fsync before the drive has written; this call waits for the drive.
FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


class Disk:
    """The operations a save is made of; tests stand a disk that fails or records in its place."""

    def make_folder(self, path: Path) -> None:
        """Makes a folder that does not exist yet, readable by its owner only."""
        os.mkdir(path, 0o700)

    def open_new(self, path: Path) -> int:
        """Makes a file that does not exist yet, readable by its owner only; its descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def open_log(self, path: Path) -> int:
        """Opens a file, made if need be, so that every write goes to its end; its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, content: memoryview) -> int:
        """Writes some bytes and says how many."""
        return os.write(descriptor, content)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cuts a file to a size in bytes."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Waits until a file's content is on disk."""
        if FULL_SYNC is not None:
            fcntl.fcntl(descriptor, FULL_SYNC)
        else:
            os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Closes a file."""
        os.close(descriptor)

    def sync_folder(self, path: Path) -> None:
        """Waits until a folder's entries are on disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in FOLDER_SYNC_MISSING:
                raise
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file or folder another name on the same file system."""
        os.rename(old, new)

    def remove_file(self, path: Path) -> None:
        """Removes a file."""
        os.unlink(path)

    def remove_folder(self, path: Path) -> None:
        """Removes an empty folder."""
        os.rmdir(path)

    def write_all(self, descriptor: int, content: bytes) -> None:
        """Writes all bytes, however many calls that takes."""
        rest = memoryview(content)
        while rest:
            written = self.write(descriptor, rest)
            if written == 0:
                raise OSError(errno.EIO, "the disk took no bytes")
            rest = rest[written:]

    def write_file(self, path: Path, content: bytes) -> None:
        """Writes a file that does not exist yet; on return it is on disk."""
        descriptor = self.open_new(path)
        try:
            self.write_all(descriptor, content)
            self.sync(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                self.close(descriptor)
            raise
        self.close(descriptor)

    def replace_file(self, path: Path, content: bytes, temporary: Path) -> None:
        """Writes a file so that a reader sees the old content or the new, never a part.

        Args:
            path: May exist.
            content: The whole file.
            temporary: A name in the same folder that does not exist.
        """
        try:
            self.write_file(temporary, content)
            self.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                self.remove_file(temporary)
            raise
        self.sync_folder(path.parent)

    def remove_tree(self, path: Path) -> None:
        """Removes a folder and everything in it; links are removed, not followed."""
        with os.scandir(path) as found:
            entries = list(found)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                self.remove_tree(Path(entry.path))
            else:
                self.remove_file(Path(entry.path))
        self.remove_folder(path)


DISK = Disk()


def read_file(path: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises:
        ValueError: It is something else (a link, a pipe, a folder), or larger.
        OSError: It cannot be read.
    """
    # A pipe would be waited for, and a link could lead out of the run.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError("is a link") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a regular file")
        if status.st_size > most:
            raise ValueError(f"has {status.st_size} bytes, expected at most {most}")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def count_free_bytes(path: Path) -> int | None:
    """Bytes that this user can still write to the volume of a folder; None where unknown."""
    try:
        volume = os.statvfs(path)
    except OSError:
        return None
    # Some network file systems do not count their blocks.
    return volume.f_bavail * volume.f_frsize if volume.f_blocks else None


def describe_failure(error: OSError, folder: Path, needed: int | None = None) -> tuple[str, str]:
    """What failed and what to do about it, for a message.

    Args:
        error: Of a file operation.
        folder: On the volume in question: of a run, or of its checkpoints.
        needed: Bytes that were to be written.
    """
    found = error.strerror or str(error)
    free = count_free_bytes(folder)
    if needed is not None and free is not None:
        found += f" ({needed} bytes needed, {free} bytes free)"
    # Before there is a run, there is nothing to resume.
    has_run = any((place / RUN).exists() for place in (folder, folder.parent))
    again = "resume the run" if has_run else "start again"
    if error.errno in FULL:
        return found, f"Free space on that disk, then {again}"
    if error.errno == errno.EFBIG:
        return found, f"Raise the limit on the size of files (ulimit -f), then {again}"
    if error.errno in FORBIDDEN:
        return found, "Give yourself write access, or use another folder"
    if error.errno == errno.EIO and has_run:
        return found, "The disk may be failing: copy the run to another one, then resume it there"
    if error.errno == errno.EIO:
        return found, "The disk may be failing: start again on another one"
    return found, f"Mend that, then {again}"
