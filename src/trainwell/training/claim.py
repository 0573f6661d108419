"""Which folder a new run gets, and what stands in the way of one."""

from __future__ import annotations

import contextlib
from pathlib import Path

from trainwell.errors import RunFolderError
from trainwell.training.lock import LOCK_NAME
from trainwell.training.retention import is_temporary, list_checkpoints, step_of
from trainwell.training.run_name import unique_name
from trainwell.training.storage import RUN, Disk

CHECKPOINTS = "checkpoints"
STARTED = (
    LOCK_NAME,
    CHECKPOINTS,
    "recipe.toml",
    "preprocess.safetensors",
    "preprocess.json",
    "split.safetensors",
    "metrics.jsonl",
    "events.jsonl",
    "findings.jsonl",
    "check.json",
)
MOST_NAMES_TRIED = 100


def make_unique(parent: Path, name: str, disk: Disk) -> Path:
    """A new folder; making it is what decides between processes that try the same name.

    Args:
        parent: Made if need be.
        name: What the run is called.
        disk: Where to.

    Raises:
        OSError: It cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for _ in range(MOST_NAMES_TRIED):
        path = parent / unique_name(name)
        with contextlib.suppress(FileExistsError):
            disk.make_folder(path)
            disk.sync_folder(parent)
            return path
    raise FileExistsError(f"{MOST_NAMES_TRIED} random names are taken")


def make_exact(path: Path, disk: Disk) -> bool:
    """Whether the folder is new; one that is there already must be empty.

    Args:
        path: Of the folder; its parents are made if need be.
        disk: Where to.

    Raises:
        OSError: It cannot be made.
        RunFolderError: It is not empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        disk.make_folder(path)
    except FileExistsError:
        used = sorted(entry.name for entry in path.iterdir())
        if not _is_unused(path, used):
            raise explain_used(path, used) from None
        return False
    disk.sync_folder(path.parent)
    return True


def _is_unused(path: Path, names: list[str]) -> bool:
    """Whether it is empty, or holds only what a start leaves that was cut off.

    `run.json` comes before the first step, so without it nothing was trained. The lock tells such
    a folder from one in which a person has put a recipe; a checkpoint of a later step, from a run
    whose `run.json` was lost.
    """
    ours = {name for name in names if name in STARTED or is_temporary(name)}
    trained = [path for path in list_checkpoints(path / CHECKPOINTS) if step_of(path) != 0]
    return not names or (LOCK_NAME in names and ours == set(names) and not trained)


def clear_started(path: Path, disk: Disk) -> None:
    """Removes what a start left that was cut off.

    Args:
        path: A folder without `run.json`, locked by this process.
        disk: Where it is.

    Raises:
        OSError: It cannot be removed.
    """
    for name in STARTED:
        if name == LOCK_NAME or not (path / name).exists():
            continue
        remove = disk.remove_tree if (path / name).is_dir() else disk.remove_file
        remove(path / name)


def explain_used(path: Path, names: list[str]) -> RunFolderError:
    """Why a folder that holds these names is not taken."""
    if RUN not in names:
        return RunFolderError(
            f"the folder is not empty: it holds {', '.join(names[:3])}",
            where=shown(path),
            remedy="Give a new or empty folder",
        )
    if not list_checkpoints(path / CHECKPOINTS):
        return RunFolderError(
            "the folder holds a run that has not saved anything yet",
            where=shown(path),
            remedy="Remove it, wait for it, or give another folder",
        )
    return RunFolderError(
        "the folder already holds a run",
        where=shown(path),
        remedy=f"Go on with it: trainwell resume {path}. Or give another folder",
    )


def explain_no_run(path: Path) -> RunFolderError:
    """What a path is that was given for a run."""
    remedy = "Give the run folder that fit has printed"
    if not path.is_dir():
        found = "this is a file" if path.is_file() else "there is no such folder"
        return RunFolderError(f"{found}, not a run", where=shown(path), remedy=remedy)
    for parent in path.resolve().parents:
        if (parent / RUN).is_file():
            return RunFolderError(
                "this is a part of a run", where=shown(path), remedy=f"Give {parent}"
            )
    inside = sorted(entry.parent.name for entry in path.glob(f"*/{RUN}"))
    if inside:
        remedy = f"Give one of the runs in it: {', '.join(inside[-3:])}"
    return RunFolderError(
        f"there is no {RUN}, so this is not a run", where=shown(path), remedy=remedy
    )


def shown(path: Path) -> str:
    """A path for a message: what a terminal could act on is escaped, and it is not endless."""
    text = str(path)
    if not text.isprintable():
        text = ascii(text)[1:-1]
    return text if len(text) <= 300 else f"{text[:300]}..."
