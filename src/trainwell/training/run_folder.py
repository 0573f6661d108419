"""The run folder: claimed by one process, everything in it relative to it, nothing ever torn."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from trainwell.errors import RunFolderError
from trainwell.training import strict_json
from trainwell.training.claim import (
    CHECKPOINTS,
    clear_started,
    explain_no_run,
    explain_used,
    make_exact,
    make_unique,
    shown,
)
from trainwell.training.journal import Journal, encode_rows, read_rows
from trainwell.training.lock import hold_lock
from trainwell.training.retention import remove_leftovers, temporary_name
from trainwell.training.storage import DISK, RUN, Disk, count_free_bytes, describe_failure
from trainwell.training.tensor_file import decode_signed, encode_signed
from trainwell.version import __version__

FORMAT = 1
RUNS = Path("runs")
METRICS, FINDINGS, EVENTS = "metrics.jsonl", "findings.jsonl", "events.jsonl"
LARGEST_JSON = 2**28


@dataclass(frozen=True)
class Forecast:
    """What a run's checkpoints will take on the volume that really holds them.

    Attributes:
        needed: Bytes.
        free: Bytes; None where the volume does not say.
    """

    needed: int
    free: int | None

    def __str__(self) -> str:
        free = "an unknown number of" if self.free is None else f"{self.free / 1e6:.1f}"
        return f"the checkpoints need about {self.needed / 1e6:.1f} MB, {free} MB are free"


class RunFolder:
    """A folder that holds one run. Use `claim` for a new one and `open` for one that exists.

    Args:
        path: Of the folder.
        disk: Where its files are written.
        is_claimed: It was found without a run, and the first `lock` makes sure that it still is.
    """

    def __init__(self, path: Path, disk: Disk = DISK, *, is_claimed: bool = False) -> None:
        self.path, self.disk = path, disk
        self._is_claimed = is_claimed

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
        path = RUNS if out is None else Path(out)
        try:
            if out is None:
                path, is_new = make_unique(RUNS, name, disk), True
            else:
                is_new = make_exact(path, disk)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise RunFolderError(
                f"the run folder cannot be made: {reason}",
                where=shown(path),
                remedy="Give another folder with --out",
            ) from error
        folder = cls(path, disk, is_claimed=True)
        try:
            folder.probe()
        except RunFolderError:
            if is_new:
                with contextlib.suppress(OSError):
                    disk.remove_tree(path)
            raise
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike[str], disk: Disk = DISK) -> RunFolder:
        """A folder that holds a run.

        Raises:
            RunFolderError: It does not exist, is something else, cannot be read, or a later
                version wrote it.
        """
        folder = cls(Path(path), disk)
        try:
            is_run = (folder.path / RUN).is_file()
        except (OSError, ValueError) as error:
            raise RunFolderError(f"cannot be read: {error}", where=shown(folder.path)) from error
        if not is_run:
            raise explain_no_run(folder.path)
        folder._refuse_newer()
        return folder

    @property
    def checkpoints(self) -> Path:
        """The folder of all checkpoints."""
        return self.path / CHECKPOINTS

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Only this process writes the run within.

        Raises:
            RunFolderError: Another process writes it (named), or has begun a run in a claimed one.
        """
        with hold_lock(self.path) as abandoned_by:
            is_new, self._is_claimed = self._is_claimed, False
            if is_new and (self.path / RUN).exists():
                raise explain_used(self.path, [RUN])
            # Nobody else can be writing: what an invisible process left is of a dead one.
            for place in (self.path, self.checkpoints):
                remove_leftovers(place, self.disk, ("dead", "unknown"))
            if is_new:
                self._clear_started()
            if abandoned_by is not None and not is_new:
                self.note("lock_taken_over", f"the run was left without an end by {abandoned_by}")
            yield

    def probe(self) -> None:
        """Writes, renames, syncs and removes a file as a save does: it fails now or never.

        Raises:
            RunFolderError: The folder cannot be used.
        """
        trial = self.path / temporary_name("replacing")
        renamed = trial.with_name(temporary_name("deleting"))
        try:
            self.disk.write_file(trial, b"probe")
            self.disk.rename(trial, renamed)
            self.disk.sync_folder(self.path)
            self.disk.remove_file(renamed)
        except OSError as error:
            for path in (trial, renamed):
                with contextlib.suppress(OSError):
                    self.disk.remove_file(path)
            raise self._cannot_write(self.path, error) from error

    def refuse_if_too_small(self, needed: int) -> Forecast:
        """Stops a run whose checkpoints could not fit.

        Args:
            needed: Bytes that all kept checkpoints and the one being written take.

        Raises:
            RunFolderError: Fewer bytes are free.
        """
        forecast = Forecast(needed, count_free_bytes(self.path))
        if forecast.free is not None and forecast.free < needed:
            raise RunFolderError(
                str(forecast),
                where=shown(self.path),
                remedy="Free space, or give a folder on another disk with --out",
            )
        return forecast

    def write_text(self, name: str, text: str) -> None:
        """Writes a whole file.

        Raises:
            RunFolderError: It cannot be written.
        """
        self._write(name, text.encode("utf-8", "surrogatepass"))

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file; NaN becomes null, and `run.json` gets its format.

        Raises:
            RunFolderError: It cannot be written.
        """
        if name == RUN:
            value = {"format": FORMAT, **value}
        self._write(name, strict_json.dump(strict_json.finite(value)))

    def read_text(self, name: str) -> str:
        """A whole file.

        Raises:
            RunFolderError: It cannot be read, or is not text.
        """
        try:
            return self._read(name).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise self.as_damaged(name, error) from error

    def read_json(self, name: str) -> Any:
        """The value of a JSON file.

        Raises:
            RunFolderError: It is missing or damaged.
        """
        try:
            return strict_json.parse(self._read(name))
        except ValueError as error:
            raise self.as_damaged(name, error) from error

    def read_json_or_empty(self, name: str) -> dict[str, Any]:
        """The object of a JSON file, or an empty one where there is no such file.

        Raises:
            RunFolderError: It is damaged.
        """
        value = self.read_json(name) if (self.path / name).is_file() else {}
        if not isinstance(value, dict):
            raise self.as_damaged(name, ValueError("it is not an object"))
        return value

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Writes a safetensors file with a digest of its tensors.

        Raises:
            RunFolderError: It cannot be written.
        """
        try:
            content = encode_signed(tensors)
        except ValueError as error:
            raise RunFolderError(f"cannot be written: {error}", where=name) from error
        self._write(name, content)

    def read_tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of a safetensors file, compared with their digest.

        Raises:
            RunFolderError: It is missing or damaged.
        """
        try:
            return decode_signed(self._read(name))
        except ValueError as error:
            raise self.as_damaged(name, error) from error

    def open_metrics(self) -> Journal:
        """The metrics, open for appending; damage in them is noted."""
        metrics = Journal(self.path / METRICS, self.disk)
        for message in metrics.messages:
            self.note("damaged_metrics", message)
        return metrics

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every whole row of the metrics."""
        return self._read_rows(METRICS)

    def write_findings(self, findings: Iterable[Mapping[str, Any]]) -> None:
        """Writes all findings, each as `Finding.to_dict` gives it.

        Raises:
            RunFolderError: It cannot be written.
        """
        self._write(FINDINGS, encode_rows(findings))

    def read_findings(self) -> list[dict[str, Any]]:
        """Every finding, as `Finding.to_dict` gave it."""
        return self._read_rows(FINDINGS)

    def read_events(self) -> list[dict[str, Any]]:
        """Everything noted, in order."""
        return self._read_rows(EVENTS)

    def note(self, event: str, message: str, **fields: Any) -> None:
        """Adds an event: something degraded, or a time. The clock is only for people.

        Raises:
            RunFolderError: It cannot be written.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with Journal(self.path / EVENTS, self.disk) as events:
            events.append({"time": now, "event": event, "message": message, **fields})

    def _clear_started(self) -> None:
        try:
            clear_started(self.path, self.disk)
        except OSError as error:
            raise self._cannot_write(self.path, error) from error

    def _read_rows(self, name: str) -> list[dict[str, Any]]:
        return [row.fields for row in read_rows(self.path / name)[0]]

    def _write(self, name: str, content: bytes) -> None:
        temporary = self.path / temporary_name("replacing")
        try:
            self.disk.replace_file(self.path / name, content, temporary)
        except OSError as error:
            raise self._cannot_write(self.path / name, error, len(content)) from error

    def _read(self, name: str) -> bytes:
        path = self.path / name
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_JSON + 1)
        except OSError as error:
            raise RunFolderError(f"cannot be read: {error.strerror}", where=shown(path)) from error
        if len(content) > LARGEST_JSON:
            raise RunFolderError(f"is larger than {LARGEST_JSON} bytes", where=shown(path))
        return content

    def _refuse_newer(self) -> None:
        about = self.read_json(RUN)
        if not isinstance(about, dict):
            raise self.as_damaged(RUN, ValueError("it is not an object"))
        number = about.get("format", FORMAT)
        if number != FORMAT:
            environment = about.get("environment")
            writer = environment.get("trainwell", "?") if isinstance(environment, dict) else "?"
            raise RunFolderError(
                f"the run was written by trainwell {writer} in format {number}; this is trainwell "
                f"{__version__}, which reads format {FORMAT}",
                where=shown(self.path),
                remedy="Update trainwell",
            )

    def as_damaged(self, name: str, error: ValueError) -> RunFolderError:
        """The error that says what is wrong with a file of the run."""
        return RunFolderError(
            f"is damaged: {error}",
            where=shown(self.path / name),
            remedy="Restore the file from a copy, or start a new run",
        )

    def _cannot_write(
        self, path: Path, error: OSError, needed: int | None = None
    ) -> RunFolderError:
        found, remedy = describe_failure(error, self.path, needed)
        return RunFolderError(f"cannot be written: {found}", where=shown(path), remedy=remedy)
