"""Tables: CSV files and DataFrames."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from trainwell.data.dataset import Task
from trainwell.data.formats.columns import (
    describe_column,
    encode_columns,
    is_missing,
    parse_number,
)
from trainwell.data.raw import Column, RawData
from trainwell.data.targets import encode_targets
from trainwell.errors import DataError

DELIMITERS = (",", ";", "\t", "|")
USUAL_TARGETS = ("target", "label", "class", "y")
MOST_COLUMNS = 100_000
LONGEST_HEADER = 8 * 2**20
WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_csv(path: Path, target: str | None, task: Task | None) -> RawData:
    """A CSV file with a heading.

    Raises:
        DataError: Not text, ragged (with the line), a column name twice, no rows, or no such
            target.
    """
    return from_columns(read_csv_columns(path), target, task, where=str(path))


def read_csv_columns(path: Path) -> dict[str, list[str]]:
    """The cells of a CSV file by column, as text.

    Commas, semicolons, tabs or bars between cells; UTF-8, with or without a byte order mark, or
    UTF-16 with one.

    Raises:
        DataError: Not text, ragged (with the line), a column name twice, or no rows.
    """
    text = _read_text(path)
    heading = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=heading.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader)]
        _refuse_names(names, path)
        rows = []
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise DataError(
                    f"line {reader.line_num} has {len(row)} cells, the heading has {len(names)}",
                    where=str(path),
                    remedy="Correct the line; a cell with a delimiter in it needs quotes",
                )
            rows.append(row)
    except csv.Error as error:
        raise DataError(f"line {reader.line_num}: {error}", where=str(path)) from error
    if not rows:
        raise DataError("there are no rows below the heading", where=str(path))
    return {name: list(cells) for name, cells in zip(names, zip(*rows, strict=True), strict=True)}


def from_frame(frame: Any, target: str | None, task: Task | None, *, where: str) -> RawData:
    """A DataFrame of pandas or polars.

    Raises:
        DataError: A column name twice, no rows, or no such target.
    """
    return from_columns(frame_columns(frame, where), target, task, where=where)


def frame_columns(frame: Any, where: str) -> dict[str, list[Any]]:
    """The values of a DataFrame by column.

    Raises:
        DataError: A column name twice.
    """
    names = [str(name) for name in frame.columns]
    _refuse_twice(names, where)
    if type(frame).__module__.partition(".")[0] == "polars":
        return {name: frame[name].to_list() for name in names}
    return {name: frame.iloc[:, i].astype(object).tolist() for i, name in enumerate(names)}


def from_columns(
    table: Mapping[str, Sequence[Any]], target: str | None, task: Task | None, *, where: str
) -> RawData:
    """A table as numbers: `(N, F)` float64, with NaN where a cell is empty.

    Raises:
        DataError: No rows, no such target, no column left, or values a column cannot have.
    """
    names = list(table)
    chosen = _choose_target(names, target, where)
    labels = [None if is_missing(v) else _as_number_if_all(v) for v in table[chosen]]
    if not labels:
        raise DataError("there are no rows", where=where, remedy="Give some")
    if any(isinstance(v, str) for v in labels):
        labels = [None if is_missing(v) else str(v) for v in table[chosen]]
    if None in labels:
        raise DataError(
            f"the target {chosen!r} is missing in {labels.count(None)} rows, the first is row "
            f"{labels.index(None)}",
            where=where,
            remedy="Remove these rows or fill in their targets",
        )
    columns, notes = [], []
    for name in names:
        if name == chosen:
            continue
        column, note = describe_column(name, table[name], where)
        notes += [note] if note else []
        columns += [column] if column else []
    if not columns:
        raise DataError("no column is left to predict from", where=where)
    inputs, _ = encode_columns(columns, table, where)
    notes += _describe_missing(columns, inputs)
    encoded = encode_targets(labels, task, where=f"{where}, column {chosen!r}")
    return RawData(
        "vector",
        inputs,
        encoded.values,
        encoded.classes,
        encoded.task,
        columns=tuple(columns),
        notes=tuple(notes),
    )


def _read_text(path: Path) -> str:
    with path.open("rb") as file:
        start = file.readline(LONGEST_HEADER)
        if len(start) == LONGEST_HEADER or max(map(start.count, b",;\t|")) > MOST_COLUMNS:
            raise DataError(
                f"the heading is longer than {MOST_COLUMNS} columns or {LONGEST_HEADER} bytes",
                where=str(path),
                remedy="This is not a table that can be trained on; is it transposed?",
            )
        content = start + file.read()
    if b"\0" in content[:4096] and not content.startswith(WIDE_MARKS):
        raise DataError("this is not text", where=str(path), remedy="Save it as CSV in UTF-8")
    encoding = "utf-16" if content.startswith(WIDE_MARKS) else "utf-8-sig"
    try:
        return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"line {line} is not UTF-8 (byte {content[error.start]:#04x})",
            where=str(path),
            remedy="Save the file in UTF-8",
        ) from error


def _refuse_names(names: list[str], path: Path) -> None:
    if not any(names):
        raise DataError("the first line has no column names", where=str(path))
    _refuse_twice(names, str(path))


def _refuse_twice(names: list[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(
                f"the column {name!r} stands twice in the heading",
                where=where,
                remedy="Give each column a name of its own",
            )
        seen.add(name)


def _choose_target(names: list[str], target: str | None, where: str) -> str:
    if target in names:
        return str(target)
    if target is None:
        usual = [name for name in names if name.lower() in USUAL_TARGETS]
        if len(usual) == 1:
            return usual[0]
        raise DataError(
            "the column to predict is not named",
            where=where,
            remedy=f"Name it with --target COLUMN: {', '.join(names[:20])}",
        )
    near = difflib.get_close_matches(target, names, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise DataError(
        f"there is no column {target!r}",
        where=where,
        remedy=f"{hint}Columns: {', '.join(names[:20])}",
    )


def _as_number_if_all(value: Any) -> Any:
    """A label as a number where it is one: whole ones as integers."""
    if isinstance(value, bool):
        return value
    number = parse_number(value)
    if number is None:
        return str(value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _describe_missing(columns: list[Column], inputs: torch.Tensor) -> list[str]:
    counts = torch.isnan(inputs).sum(0).tolist()
    return [
        f"column {column.name!r}: {count} missing values are filled in"
        for column, count in zip(columns, counts, strict=True)
        if count
    ]
