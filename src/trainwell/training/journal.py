"""An append-only log of JSON objects, one a line, each with its own number and checksum."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from trainwell.errors import RunFolderError
from trainwell.training import strict_json
from trainwell.training.storage import DISK, Disk, describe_failure

RESERVED = ("n", "crc")


@dataclass(frozen=True)
class Row:
    """A whole line.

    Attributes:
        number: How many rows were before it when it was appended.
        fields: What was appended.
        start: Offset of its first byte.
        end: Offset of the byte after the line.
    """

    number: int
    fields: dict[str, Any]
    start: int
    end: int


def encode_row(number: int, fields: Mapping[str, Any]) -> bytes:
    """A line: the object, its number, the CRC-32 of all that, and a newline.

    Args:
        number: From 0.
        fields: JSON types; NaN and infinities become null.

    Raises:
        ValueError: A name is one of those the line needs for itself.
    """
    if any(name in fields for name in RESERVED):
        raise ValueError(f"a row cannot have fields called {' or '.join(RESERVED)}")
    body = strict_json.dump(strict_json.finite({**fields, "n": number}))
    return body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body)


def encode_rows(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """All lines of a log that is written at once."""
    return b"".join(encode_row(number, fields) for number, fields in enumerate(rows))


def decode_row(line: bytes) -> tuple[int, dict[str, Any]]:
    """Number and fields of a line without its newline.

    Raises:
        ValueError: The line is torn or damaged.
    """
    body, mark, checksum = line.rpartition(b',"crc":"')
    if not mark or checksum != b'%08x"}' % zlib.crc32(body + b"}"):
        raise ValueError("the checksum does not match")
    fields = strict_json.parse(body + b"}")
    number = fields.pop("n", None) if isinstance(fields, dict) else None
    if type(number) is not int or number < 0:
        raise ValueError("the line is not a numbered object")
    return number, fields


def read_rows(path: Path) -> tuple[list[Row], list[str]]:
    """The whole lines of a log, and a message for each damaged or missing one.

    A last line without its newline was being written when the process died: it is dropped without
    a message. A log that does not exist has no lines.

    Raises:
        RunFolderError: It cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise _as_error(path, error) from error
    rows: list[Row] = []
    messages: list[str] = []
    start = 0
    for line_number, line in enumerate(content.split(b"\n")[:-1], start=1):
        end = start + len(line) + 1
        try:
            row = Row(*decode_row(line), start, end)
        except ValueError as error:
            messages.append(f"{path.name} line {line_number}: {error}")
        else:
            messages += _place(rows, row, path.name)
        start = end
    return rows, messages


def _place(rows: list[Row], row: Row, name: str) -> list[str]:
    """Adds a row after those with lower numbers; says what is missing or stands twice."""
    messages = []
    if rows and row.number <= rows[-1].number:
        messages.append(f"{name} row {row.number} stands twice: the later one counts")
        while rows and rows[-1].number >= row.number:
            rows.pop()
    expected = rows[-1].number + 1 if rows else 0
    if row.number > expected:
        messages.append(f"{name} rows {expected} to {row.number - 1} are missing")
    rows.append(row)
    return messages


class Journal:
    """A log open for appending; a context that closes it.

    Args:
        path: Made if it does not exist. A torn last line is removed.
        disk: Where to.

    Attributes:
        count: Rows that belong to the log, damaged ones included; the number of the next one.
        messages: What was damaged or missing when it was opened or last cut.

    Raises:
        RunFolderError: It cannot be opened.
    """

    def __init__(self, path: Path, disk: Disk = DISK) -> None:
        self.path, self.disk = path, disk
        self.failed = ""
        self.is_listed = False
        try:
            self.descriptor = disk.open_log(path)
        except OSError as error:
            raise _as_error(path, error) from error
        try:
            rows, self.messages = read_rows(path)
            self.count = rows[-1].number + 1 if rows else 0
            self._drop_torn_tail()
        except BaseException:
            disk.close(self.descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; nothing is left to write."""
        with contextlib.suppress(OSError):
            self.disk.close(self.descriptor)

    def append(self, fields: Mapping[str, Any]) -> None:
        """Adds a line, or nothing. It then survives the death of this process.

        Args:
            fields: JSON types; NaN and infinities become null.

        Raises:
            RunFolderError: The disk is full or failed.
        """
        self._refuse_if_failed()
        line = encode_row(self.count, fields)
        size = self._size()
        try:
            self.disk.write_all(self.descriptor, line)
        except BaseException as error:
            self._take_back(size)
            if isinstance(error, OSError):
                raise _as_error(self.path, error, len(line)) from error
            raise
        self.count += 1

    def sync(self) -> None:
        """Waits until every line is on disk. Once it failed the log is not written any more.

        Raises:
            RunFolderError: The disk failed.
        """
        self._refuse_if_failed()
        try:
            self.disk.sync(self.descriptor)
            if not self.is_listed:
                # A new file is only there once its folder is on disk as well.
                self.disk.sync_folder(self.path.parent)
                self.is_listed = True
        except OSError as error:
            self.failed = error.strerror or str(error)
            raise _as_error(self.path, error) from error

    def cut(self, count: int) -> None:
        """Takes every row after the first `count` out of the log: they will be made again.

        They are kept in a file of the same name with `superseded` in it.

        Raises:
            RunFolderError: The disk is full or failed.
        """
        rows, _ = read_rows(self.path)
        size = self._size()
        end = self._end_of(rows, count, size)
        if end < size:
            self._keep_superseded(end)
            self._truncate(end)
            self.sync()
        rows, self.messages = read_rows(self.path)
        there = rows[-1].number + 1 if rows else 0
        if there < count:
            self.messages.append(f"{self.path.name} rows {there} to {count - 1} are missing")
        self.count = count

    def cut_to_step(self, step: int) -> None:
        """Takes every row of a later step out of the log; see `cut`."""
        rows, _ = read_rows(self.path)
        later = (row.number for row in rows if row.fields.get("step", 0) > step)
        self.cut(next(later, self.count))

    @staticmethod
    def _end_of(rows: list[Row], count: int, size: int) -> int:
        """Offset after row `count - 1`, or of what follows it where that row is damaged."""
        if count == 0:
            return 0
        for row in rows:
            if row.number == count - 1:
                return row.end
            if row.number >= count:
                return row.start
        return size

    def _keep_superseded(self, start: int) -> None:
        content = os.pread(self.descriptor, self._size() - start, start)
        kept = self.path.with_suffix(f".superseded{self.path.suffix}")
        try:
            descriptor = self.disk.open_log(kept)
            try:
                self.disk.write_all(descriptor, content)
            finally:
                self.disk.close(descriptor)
        except OSError as error:
            raise _as_error(kept, error, len(content)) from error

    def _drop_torn_tail(self) -> None:
        size = self._size()
        end = self.path.read_bytes().rfind(b"\n") + 1
        # A torn last line must not be glued to the next row.
        if end < size:
            self._truncate(end)

    def _truncate(self, size: int) -> None:
        try:
            self.disk.truncate(self.descriptor, size)
        except OSError as error:
            raise _as_error(self.path, error) from error

    def _take_back(self, size: int) -> None:
        try:
            self.disk.truncate(self.descriptor, size)
        except OSError as error:
            self.failed = error.strerror or str(error)

    def _size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def _refuse_if_failed(self) -> None:
        if self.failed:
            raise RunFolderError(
                f"is not written any more since the disk failed: {self.failed}",
                where=str(self.path),
                remedy="Mend that, then resume the run",
            )


def _as_error(path: Path, error: OSError, needed: int | None = None) -> RunFolderError:
    found, remedy = describe_failure(error, path.parent, needed)
    return RunFolderError(f"cannot be used: {found}", where=str(path), remedy=remedy)
