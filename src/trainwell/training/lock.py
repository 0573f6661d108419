"""One process a run folder: an operating-system lock that names its holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from trainwell.errors import RunFolderError
from trainwell.training import strict_json

LOCK_NAME = ".lock"


@contextlib.contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Holds the lock of a run folder within.

    The kernel gives the lock up when its holder dies, so a lock is never stale.

    Raises:
        RunFolderError: Another process holds it (named), or the folder cannot be written.
    """
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RunFolderError(
            f"cannot be written: {error.strerror}",
            where=str(folder),
            remedy="Give a folder that you may write",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunFolderError(
                f"is in use by {_describe_holder(descriptor)}",
                where=str(folder),
                remedy="Wait for it or stop it, or train into another folder",
            ) from error
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "boot": boot_id()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, strict_json.dump(holder), 0)
        yield
    finally:
        os.close(descriptor)


def boot_id() -> str:
    """Tells one start of the machine from the next; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _describe_holder(descriptor: int) -> str:
    try:
        holder = strict_json.parse(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
