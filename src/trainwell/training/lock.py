"""One process a run folder: an operating-system lock that names its holder."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainwell.errors import RunFolderError
from trainwell.training import strict_json
from trainwell.training.owner import boot_id, host
from trainwell.training.storage import describe_failure

LOCK_NAME = ".lock"
# Between taking the lock and writing its name, a holder is nameless.
PATIENCE_SECONDS = 0.5

_held: set[int] = set()


def _forget_in_child() -> None:
    """A forked child shares its parent's lock and would keep it alive after the parent."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


@contextlib.contextmanager
def hold_lock(folder: Path) -> Iterator[str | None]:
    """Holds the lock of a run folder within; gives who died holding it before, if anybody.

    The kernel gives the lock up when its holder dies, so a lock is never stale. The file stays:
    removing it would let two processes each lock a file of that name.

    Raises:
        RunFolderError: Another process holds it (named), or the folder cannot be written.
    """
    descriptor = _open(folder)
    _held.add(descriptor)
    try:
        _take(descriptor, folder)
        abandoned_by = _read_holder(descriptor)
        _write_holder(descriptor, folder)
        try:
            yield abandoned_by
        finally:
            # A forked child that leaves this block does not hold the lock.
            if descriptor in _held:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, 0)
    finally:
        if descriptor in _held:
            _held.discard(descriptor)
            os.close(descriptor)


def _open(folder: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(folder / LOCK_NAME, flags, 0o600)
    except OSError as error:
        raise _as_error(folder, error) from error


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunFolderError(
            f"is in use by {_wait_for_holder(descriptor)}",
            where=str(folder),
            remedy="Wait for it or stop it, or train into another folder",
        ) from error
    except OSError as error:
        raise RunFolderError(
            f"cannot be locked: {error.strerror}",
            where=str(folder),
            remedy="Give a folder on a file system that can lock files",
        ) from error


def _write_holder(descriptor: int, folder: Path) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "host": host(), "boot": boot_id(), "since": now}
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, strict_json.dump(holder), 0)
    except OSError as error:
        raise _as_error(folder, error) from error


def _read_holder(descriptor: int) -> str | None:
    try:
        holder: Any = strict_json.parse(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError, OSError):
        return None


def _wait_for_holder(descriptor: int) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        named = _read_holder(descriptor)
        if named is not None:
            return named
        if time.monotonic() > deadline:
            return "another process"
        time.sleep(0.02)


def _as_error(folder: Path, error: OSError) -> RunFolderError:
    found, remedy = describe_failure(error, folder)
    return RunFolderError(f"cannot be written: {found}", where=str(folder), remedy=remedy)
