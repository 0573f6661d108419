"""An append-only log of JSON objects, one a line, each with its own checksum."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainwell.errors import RunFolderError
from trainwell.training import strict_json
from trainwell.training.storage import DISK, Disk


@dataclass(frozen=True)
class Row:
    """A whole line.

    Attributes:
        fields: What was appended.
        end: Offset of the byte after the line.
    """

    fields: dict[str, Any]
    end: int


def encode_row(fields: Mapping[str, Any]) -> bytes:
    """A line: the object, the CRC-32 of its own bytes as last name, and a newline."""
    body = strict_json.dump(dict(fields))
    return body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body)


def decode_row(line: bytes) -> dict[str, Any]:
    """The object of a line.

    Raises:
        ValueError: The line is torn or damaged.
    """
    body, mark, tail = line.rpartition(b',"crc":"')
    if not mark or tail != b'%08x"}' % zlib.crc32(body + b"}"):
        raise ValueError("the checksum does not match")
    fields = strict_json.parse(body + b"}")
    if not isinstance(fields, dict):
        raise ValueError("the line is not an object")
    return fields


def read_rows(path: Path) -> tuple[list[Row], list[str]]:
    """The whole lines of a log, and a message for each damaged one.

    A last line without its newline was being written when the process died: it is dropped without
    a message. A log that does not exist has no lines.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], []
    rows, messages, start = [], [], 0
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        end = start + len(line) + 1
        try:
            rows.append(Row(decode_row(line), end))
        except ValueError as error:
            messages.append(f"{path.name} line {number}: {error}")
        start = end
    return rows, messages


class Journal:
    """A log open for appending.

    Args:
        path: Made if it does not exist.
        disk: Where to.

    Raises:
        RunFolderError: It cannot be opened.
    """

    def __init__(self, path: Path, disk: Disk = DISK) -> None:
        self.path, self.disk = path, disk
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self.descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise _as_error(path, error) from error
        rows, _ = read_rows(path)
        # A torn last line must not be glued to the next row.
        if not rows or os.fstat(self.descriptor).st_size != rows[-1].end:
            self._drop_torn_tail()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.descriptor)

    def append(self, fields: Mapping[str, Any]) -> None:
        """Adds a line, or nothing.

        Raises:
            RunFolderError: The disk is full or failed.
        """
        size = os.fstat(self.descriptor).st_size
        try:
            self.disk.write_all(self.descriptor, encode_row(fields))
        except OSError as error:
            os.ftruncate(self.descriptor, size)
            raise _as_error(self.path, error) from error

    def sync(self) -> None:
        """Waits until every line is on disk.

        Raises:
            RunFolderError: The disk failed.
        """
        try:
            self.disk.sync(self.descriptor)
        except OSError as error:
            raise _as_error(self.path, error) from error

    def cut(self, count: int) -> None:
        """Drops every row after the first `count`: they will be written again.

        Raises:
            RunFolderError: There are fewer rows.
        """
        rows, _ = read_rows(self.path)
        if len(rows) < count:
            raise RunFolderError(
                f"{self.path.name} has {len(rows)} whole rows, the checkpoint counts on {count}",
                where=str(self.path),
                remedy="Restore the file, or start a new run",
            )
        os.ftruncate(self.descriptor, rows[count - 1].end if count else 0)
        self.sync()

    def _drop_torn_tail(self) -> None:
        content = self.path.read_bytes()
        os.ftruncate(self.descriptor, content.rfind(b"\n") + 1)


def _as_error(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"cannot be written: {error.strerror}",
        where=str(path),
        remedy="Free space or restore access, then resume the run",
    )
