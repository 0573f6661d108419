"""The folder of all checkpoints: what each name in it means, and what may leave it."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

from trainwell.training.owner import PATTERN, Owner
from trainwell.training.storage import Disk

PUBLISHED = re.compile(r"step-(\d{6,18})(?:\.(\d{1,9}))?")
TEMPORARY = re.compile(rf"\.(?:saving|deleting|replacing)-({PATTERN})-[0-9a-f]+")
DAMAGED = re.compile(r"damaged-.+")

Purpose = Literal["saving", "deleting", "replacing"]


class LeftoverWarning(UserWarning):
    """Something that is not needed any more could not be deleted."""


def temporary_name(purpose: Purpose) -> str:
    """A new name that says whose it is."""
    return f".{purpose}-{Owner.current()}-{os.urandom(6).hex()}"


def is_temporary(name: str) -> bool:
    """Whether it is a name that `temporary_name` gives."""
    return TEMPORARY.fullmatch(name) is not None


def list_checkpoints(folder: Path) -> list[Path]:
    """All published checkpoints, newest first by step and counter; never by the clock.

    Raises:
        OSError: The folder cannot be read.
    """
    found = [(PUBLISHED.fullmatch(name), name) for name in _names(folder)]
    numbered = [(int(m[1]), int(m[2] or 0), name) for m, name in found if m]
    return [folder / name for *_, name in sorted(numbered, reverse=True)]


def list_quarantined(folder: Path) -> list[Path]:
    """Checkpoints that were put aside as damaged."""
    return [folder / name for name in sorted(_names(folder)) if DAMAGED.fullmatch(name)]


def step_of(path: Path) -> int | None:
    """The step in a published checkpoint's name; None for another name."""
    match = PUBLISHED.fullmatch(path.name)
    return int(match[1]) if match else None


def free_name(folder: Path, step: int) -> str:
    """A name that sorts after every checkpoint of the same step."""
    # One more than the highest: lower ones may be free again, and would sort before it.
    matches = (PUBLISHED.fullmatch(name) for name in _names(folder))
    counters = [int(m[2] or 0) for m in matches if m and int(m[1]) == step]
    return f"step-{step:06d}.{max(counters) + 1}" if counters else f"step-{step:06d}"


def remove_leftovers(folder: Path, disk: Disk, states: Collection[str] = ("dead",)) -> None:
    """Removes what a process was writing or deleting when it died.

    Args:
        folder: Of all checkpoints, or of the run.
        disk: Where to.
        states: Of the owners whose leftovers go; `"unknown"` only where nobody else can be
            writing, such as under the run's lock.
    """
    for name in _names(folder):
        match = TEMPORARY.fullmatch(name)
        if not match:
            continue
        owner = Owner.parse(match[1])
        if name.startswith(".deleting") or (owner is not None and owner.state() in states):
            remove_aside(folder / name, disk)


def rotate(
    folder: Path, keep: int, protect: Collection[int], is_whole: Callable[[Path], bool], disk: Disk
) -> None:
    """Removes checkpoints older than the newest `keep` whole ones.

    Args:
        folder: Of all checkpoints.
        keep: At least 2. Damaged ones and second copies of a step do not count.
        protect: Steps that stay.
        is_whole: Reads every byte.
        disk: Where to.
    """
    kept: set[int] = set()
    for path in list_checkpoints(folder):
        step = step_of(path)
        if len(kept) < max(keep, 2):
            # A step saved twice counts once; its older copy is of no more use.
            if step not in kept:
                if is_whole(path) and step is not None:
                    kept.add(step)
                continue
        elif step in protect and step not in kept:
            continue
        _remove_published(path, disk)


def remove_newer(folder: Path, path: Path, disk: Disk) -> None:
    """Removes every checkpoint that sorts after one.

    Args:
        folder: Of all checkpoints.
        path: A published one that stays.
        disk: Where to.
    """
    for newer in list_checkpoints(folder):
        if newer.name == path.name:
            return
        _remove_published(newer, disk)


def _remove_published(path: Path, disk: Disk) -> None:
    """By way of another name, so that no published name ever holds a part of a checkpoint."""
    aside = path.with_name(temporary_name("deleting"))
    try:
        disk.rename(path, aside)
        disk.sync_folder(path.parent)
    except OSError as error:
        _warn(path, error)
        return
    remove_aside(aside, disk)


def remove_aside(path: Path, disk: Disk) -> None:
    """Removes a file or folder that nobody reads; a warning where that fails."""
    try:
        if path.is_dir() and not path.is_symlink():
            disk.remove_tree(path)
        else:
            disk.remove_file(path)
    except FileNotFoundError:
        # Another process that cleans up was faster.
        return
    except OSError as error:
        _warn(path, error)


def _warn(path: Path, error: OSError) -> None:
    warnings.warn(
        f"{path} could not be deleted: {error.strerror or error}; the next save tries again",
        LeftoverWarning,
        stacklevel=4,
    )


def _names(folder: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return os.listdir(folder)
    return []
