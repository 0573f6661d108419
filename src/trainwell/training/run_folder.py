"""The run folder: claimed by one process, everything in it relative to it, nothing ever torn."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from trainwell.errors import RunFolderError
from trainwell.training import strict_json
from trainwell.training.journal import Journal, read_rows
from trainwell.training.lock import hold_lock
from trainwell.training.storage import DISK, Disk, replace_file

RUN = "run.json"
RUNS = Path("runs")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
LONGEST_NAME = 60


class RunFolder:
    """A folder that holds one run. Use `claim` for a new one and `open` for one that exists.

    Args:
        path: Of the folder.
        disk: Where its files are written.
    """

    def __init__(self, path: Path, disk: Disk = DISK) -> None:
        self.path, self.disk = path, disk

    @classmethod
    def claim(
        cls, out: str | os.PathLike[str] | None, *, name: str, disk: Disk = DISK
    ) -> RunFolder:
        """A new folder that no other run has, and that can be written.

        Args:
            out: Exactly this folder, new or empty. None: a new one below `runs`.
            name: What the run is called there; time and a random suffix are added.
            disk: Where its files are written.

        Raises:
            RunFolderError: The folder is not empty, or cannot be made or written.
        """
        path = Path(out) if out is not None else RUNS / unique_name(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                disk.make_folder(path)
            used = [entry.name for entry in path.iterdir()]
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise RunFolderError(
                f"the run folder cannot be made: {reason}",
                where=str(path),
                remedy="Give another folder with --out",
            ) from error
        if used:
            go_on = RUN in used
            raise RunFolderError(
                "the folder already holds a run" if go_on else "the folder is not empty",
                where=str(path),
                remedy=f"Go on with it: trainwell resume {path}. Or give another folder"
                if go_on
                else "Give a new or empty folder",
            )
        folder = cls(path, disk)
        folder.probe()
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike[str], disk: Disk = DISK) -> RunFolder:
        """A folder that holds a run.

        Raises:
            RunFolderError: It does not exist or is something else.
        """
        folder = cls(Path(path), disk)
        if not (folder.path / RUN).is_file():
            found = "there is no such folder" if not folder.path.is_dir() else f"there is no {RUN}"
            raise RunFolderError(
                f"{found}, so this is not a run",
                where=str(path),
                remedy="Give the run folder that fit has printed",
            )
        return folder

    @property
    def checkpoints(self) -> Path:
        """The folder of all checkpoints."""
        return self.path / "checkpoints"

    @contextlib.contextmanager
    def lock(self) -> Any:
        """Only this process writes the run within.

        Raises:
            RunFolderError: Another process writes it (named).
        """
        with hold_lock(self.path):
            yield

    def probe(self) -> None:
        """Writes, renames and removes a file as a save does, so that it fails now or never.

        Raises:
            RunFolderError: The folder cannot be used.
        """
        trial, renamed = self.path / ".probe", self.path / ".probe-renamed"
        try:
            self.disk.write_file(trial, b"probe")
            self.disk.rename(trial, renamed)
            self.disk.sync_folder(self.path)
            renamed.unlink()
        except OSError as error:
            raise RunFolderError(
                f"the run folder cannot be written: {error.strerror}",
                where=str(self.path),
                remedy="Give a folder that you may write, on a disk with space, with --out",
            ) from error

    def refuse_if_too_small(self, needed: int) -> None:
        """Stops a run whose checkpoints could not fit.

        Args:
            needed: Bytes.

        Raises:
            RunFolderError: Fewer bytes are free.
        """
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise RunFolderError(
                f"the checkpoints need about {needed / 1e6:.1f} MB, {free / 1e6:.1f} MB are free",
                where=str(self.path),
                remedy="Free space, or give a folder on another disk with --out",
            )

    def write_text(self, name: str, text: str) -> None:
        """Writes a whole file.

        Raises:
            RunFolderError: It cannot be written.
        """
        self._write(name, text.encode())

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file; NaN becomes null."""
        self._write(name, strict_json.dump(value))

    def read_text(self, name: str) -> str:
        """A whole file.

        Raises:
            RunFolderError: It cannot be read.
        """
        return self._read(name).decode(errors="replace")

    def read_json(self, name: str) -> Any:
        """The value of a JSON file.

        Raises:
            RunFolderError: It is missing or damaged.
        """
        try:
            return strict_json.parse(self._read(name))
        except ValueError as error:
            raise RunFolderError(f"is damaged: {error}", where=str(self.path / name)) from error

    def read_json_or_empty(self, name: str) -> dict[str, Any]:
        """The object of a JSON file, or an empty one where there is no such file."""
        return self.read_json(name) if (self.path / name).is_file() else {}

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Writes a safetensors file."""
        whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        self._write(name, safetensors.torch.save(whole))

    def read_tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of a safetensors file.

        Raises:
            RunFolderError: It is missing or damaged.
        """
        try:
            return safetensors.torch.load(self._read(name))
        except SafetensorError as error:
            raise RunFolderError(f"is damaged: {error}", where=str(self.path / name)) from error

    def open_metrics(self) -> Journal:
        """The metrics, open for appending."""
        return Journal(self.path / "metrics.jsonl", self.disk)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every whole row of the metrics."""
        return [row.fields for row in read_rows(self.path / "metrics.jsonl")[0]]

    def read_findings(self) -> list[dict[str, Any]]:
        """Every finding, as `Finding.to_dict` gave it."""
        return [row.fields for row in read_rows(self.path / "findings.jsonl")[0]]

    def read_events(self) -> list[dict[str, Any]]:
        """Everything noted, in order."""
        return [row.fields for row in read_rows(self.path / "events.jsonl")[0]]

    def note(self, event: str, message: str, **fields: Any) -> None:
        """Adds an event: something degraded, or a time. The clock is only for people."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with Journal(self.path / "events.jsonl", self.disk) as events:
            events.append({"time": now, "event": event, "message": message, **fields})

    def _write(self, name: str, content: bytes) -> None:
        try:
            replace_file(self.path / name, content, self.disk)
        except OSError as error:
            raise RunFolderError(
                f"cannot be written: {error.strerror}",
                where=str(self.path / name),
                remedy="Free space or restore access, then resume the run",
            ) from error

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise RunFolderError(
                f"cannot be read: {error.strerror}", where=str(self.path / name)
            ) from error


def unique_name(name: str) -> str:
    """A folder name for people, with a random suffix that keeps it unique.

    Args:
        name: Anything; what a file system could mistake is replaced.
    """
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return f"{slug(name)}-{now}-{os.urandom(5).hex()}"


def slug(name: str) -> str:
    """Lower-case letters, digits, dots and dashes; never empty, hidden or a device's name."""
    text = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:LONGEST_NAME].strip("-.")
    if not text or RESERVED.match(text):
        return f"run-{text}".rstrip("-")
    return text
