"""Tables: CSV files and DataFrames."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainwell.data.dataset import Task
from trainwell.data.formats.columns import (
    as_text,
    describe_column,
    encode_columns,
    is_missing,
    parse_number,
)
from trainwell.data.raw import RawData
from trainwell.data.targets import encode_like, encode_targets
from trainwell.errors import DataError

DELIMITERS = (",", ";", "\t", "|")
USUAL_TARGETS = ("target", "label", "class", "y")
MOST_COLUMNS = 100_000
LONGEST_HEADER = 8 * 2**20
LEADING_ZERO = re.compile(r"[+-]?0\d")
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
    if not text.strip():
        raise DataError("the file is empty", where=str(path), remedy="Get it again")
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
        raise DataError(
            f"line {reader.line_num}: {error}", where=str(path), remedy="Correct the line"
        ) from error
    if not rows:
        raise DataError(
            "there are no rows below the heading", where=str(path), remedy="Give some rows"
        )
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
    labels = read_labels(chosen, table[chosen], where, are_numbers=task == "regression")
    columns, notes = [], []
    for name in names:
        if name == chosen:
            continue
        column, note = describe_column(name, table[name], where)
        notes += [note] if note else []
        columns += [column] if column else []
    if not columns:
        raise DataError("no column is left to predict from", where=where)
    inputs, missing = encode_columns(columns, table, where)
    notes += missing
    encoded = encode_targets(labels, task, where=f"{where}, column {chosen!r}")
    return RawData(
        "vector",
        inputs,
        encoded.values,
        encoded.classes,
        encoded.task,
        columns=tuple(columns),
        notes=tuple(notes),
        target=chosen,
    )


def from_columns_like(train: RawData, table: Mapping[str, Sequence[Any]], *, where: str) -> RawData:
    """A split that came by itself, encoded by the columns and classes of the training split.

    Raises:
        DataError: It lacks a column, or has values or labels that the training split cannot have.
    """
    if train.target not in table:
        raise DataError(
            f"the column {train.target!r}, which is predicted, is missing",
            where=where,
            remedy=f"Columns: {', '.join(list(table)[:20])}",
        )
    are_numbers = train.task == "regression"
    labels = read_labels(train.target, table[train.target], where, are_numbers=are_numbers)
    inputs, notes = encode_columns(train.columns, table, where)
    numbered = encode_like(labels, train.classes, where=f"{where}, column {train.target!r}")
    return replace(train, inputs=inputs, targets=numbered, notes=tuple(notes))


def read_labels(
    name: str, cells: Sequence[Any], where: str, *, are_numbers: bool = False
) -> list[Any]:
    """The targets of a column: numbers where all are, else text.

    Args:
        name: Of the column, for messages.
        cells: Of the column.
        where: The source, for messages.
        are_numbers: Whether `007` is 7; else it is a code and keeps its zeros.

    Raises:
        DataError: No rows, or a target is missing (with the row).
    """
    is_code = not are_numbers and any(LEADING_ZERO.match(as_text(v).strip()) for v in cells)
    labels = [None if is_missing(v) else _as_number_if_all(v) for v in cells]
    if not labels:
        raise DataError("there are no rows", where=where, remedy="Give some")
    if is_code or any(isinstance(v, str) for v in labels):
        labels = [None if is_missing(v) else as_text(v) for v in cells]
    if None in labels:
        raise DataError(
            f"the target {name!r} is missing in {labels.count(None)} rows, the first is row "
            f"{labels.index(None)}",
            where=where,
            remedy="Remove these rows or fill in their targets",
        )
    return labels


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
        raise DataError(
            "the first line has no column names", where=str(path), remedy="Give each column a name"
        )
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
