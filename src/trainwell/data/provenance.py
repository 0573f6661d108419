"""Which files data came from, so that a change is noticed when it is loaded again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainwell.errors import DataError

MOST_FILES = 64


def describe_files(path: Path) -> list[dict[str, Any]]:
    """Path, size, time of change (ns) and SHA-256 of a file, or of each file of a folder.

    A folder of more than `MOST_FILES` files is described as a whole, by names and sizes:
    the digest of the data that was read stands in the run as well.
    """
    files = [path] if path.is_file() else list_files(path)
    if len(files) > MOST_FILES:
        facts = "\n".join(f"{f.relative_to(path)} {f.stat().st_size}" for f in files)
        digest = hashlib.sha256(facts.encode("utf-8", "surrogateescape")).hexdigest()
        return [{"path": str(path.resolve()), "files": len(files), "sha256": digest}]
    return [_describe(file) for file in files]


def refuse_changed_files(described: Sequence[Mapping[str, Any]]) -> None:
    """Stops where a file is gone or has another content.

    Raises:
        DataError: Names the file.
    """
    for record in described:
        path = Path(record["path"])
        if not path.exists():
            raise DataError("the data is gone", where=str(path), remedy="Put it back")
        now = describe_files(path)
        if now[0].get("sha256") != record["sha256"]:
            raise DataError(
                "the data has changed since the run was started",
                where=str(path),
                remedy="Restore it, or start a new run",
            )


def list_files(folder: Path) -> list[Path]:
    """Regular files below a folder, sorted; links are not followed."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        candidates = (Path(parent, name) for name in sorted(names))
        found += [c for c in candidates if c.is_file() and not c.is_symlink()]
    return found


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    status = path.stat()
    return {
        "path": str(path.resolve()),
        "size": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "sha256": digest,
    }
