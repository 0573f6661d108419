"""Columns of a table as numbers: what each column is, and how its values are encoded."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from trainwell.data.raw import Column
from trainwell.errors import DataError

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
INTEGER = re.compile(r"[+-]?\d+")
LARGEST_EXACT = 2**53
MOSTLY_NUMBERS = 0.8
MOST_CATEGORIES = 100


def describe_column(name: str, values: Sequence[Any], where: str) -> tuple[Column | None, str]:
    """What a column is, and a note on what was decided; None where it is left out.

    Numbers are numbers. Text is a category, unless nearly every row has a text of its own; so is
    an integer that floating point cannot hold.

    Raises:
        DataError: Infinite values, or a column of numbers with some text in it (with the row).
    """
    present = [(row, v) for row, v in enumerate(values) if not is_missing(v)]
    if not present:
        return None, f"column {name!r} is empty and was left out"
    numbers = [parse_number(v) for _, v in present]
    if all(n is not None for n in numbers):
        if any(is_huge(v) for _, v in present):
            return _as_category(name, present, "holds integers above 2^53")
        _refuse_infinite(name, present, numbers, where)
        commas = any(isinstance(v, str) and DECIMAL_COMMA.fullmatch(v.strip()) for _, v in present)
        note = f"column {name!r}: decimal commas were read as points" if commas else ""
        return Column(name, "number"), note
    share = sum(n is not None for n in numbers) / len(numbers)
    if share >= MOSTLY_NUMBERS and not any(isinstance(v, bool) for _, v in present):
        row, value = next(p for p, n in zip(present, numbers, strict=True) if n is None)
        raise DataError(
            f"column {name!r} holds numbers, but row {row} has {value!r}",
            where=where,
            remedy="Correct the value, or leave the cell empty if it is missing",
        )
    return _as_category(name, present, "")


def encode_column(column: Column, values: Sequence[Any], where: str) -> tuple[Tensor, str]:
    """A column as float64 `(N,)`, NaN where missing, and a note.

    Categories become their codes; one that the training did not have is missing.

    Raises:
        DataError: Text or infinity in a column of numbers, with the row.
    """
    if column.kind == "category":
        return _encode_category(column, values)
    encoded = [
        math.nan if is_missing(value) else _number_or_refuse(column.name, row, value, where)
        for row, value in enumerate(values)
    ]
    numbers = torch.tensor(encoded, dtype=torch.float64)
    return numbers, describe_missing(column.name, int(torch.isnan(numbers).sum()))


def describe_missing(name: str, count: int) -> str:
    """A note on missing values of a column; empty where there are none."""
    if count == 1:
        return f"column {name!r}: 1 missing value is filled in"
    return f"column {name!r}: {count} missing values are filled in" if count else ""


def _encode_category(column: Column, values: Sequence[Any]) -> tuple[Tensor, str]:
    codes = {name: float(code) for code, name in enumerate(column.categories)}
    missing = [is_missing(value) for value in values]
    encoded = [
        math.nan if absent else codes.get(as_text(value), math.nan)
        for value, absent in zip(values, missing, strict=True)
    ]
    numbers = torch.tensor(encoded, dtype=torch.float64)
    note = describe_missing(column.name, sum(missing))
    unknown = int(torch.isnan(numbers).sum()) - sum(missing)
    if unknown:
        as_new = f"{unknown} values are new and count as missing"
        note = f"{note}, {as_new}" if note else f"column {column.name!r}: {as_new}"
    return numbers, note


def _number_or_refuse(name: str, row: int, value: Any, where: str) -> float:
    number = parse_number(value)
    if number is None:
        raise DataError(
            f"column {name!r} holds numbers, but row {row} has {value!r}",
            where=where,
            remedy="Correct the value, or leave the cell empty if it is missing",
        )
    if math.isinf(number):
        raise DataError(
            f"column {name!r} has an infinite value in row {row}",
            where=where,
            remedy="Correct it, or leave the cell empty if it is missing",
        )
    return number


def encode_columns(
    columns: Sequence[Column], table: Mapping[str, Sequence[Any]], where: str
) -> tuple[Tensor, list[str]]:
    """Columns of a table as `(N, F)` float64, and notes.

    Raises:
        DataError: A column is missing, or has values that it cannot have.
    """
    missing = [c.name for c in columns if c.name not in table]
    if missing:
        raise DataError(
            f"the column {missing[0]!r} is missing",
            where=where,
            remedy=f"Columns needed: {', '.join(c.name for c in columns)}",
        )
    encoded = [encode_column(c, table[c.name], where) for c in columns]
    notes = [note for _, note in encoded if note]
    return torch.stack([values for values, _ in encoded], dim=1), notes


def is_missing(value: Any) -> bool:
    """Whether a cell is empty: nothing, not-a-number, or a word that stands for it."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and math.isnan(value)


def parse_number(value: Any) -> float | None:
    """The number of a cell, or None. A comma between digits is a decimal comma."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e300 or value != value else math.inf
    text = as_text(value).strip()
    if DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    # Python reads 1_000 as a number; nobody writes that in a table.
    if "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def is_huge(value: Any) -> bool:
    """Whether a cell is an integer that a float cannot hold exactly."""
    if isinstance(value, int):
        return abs(value) > LARGEST_EXACT
    text = as_text(value).strip()
    return bool(INTEGER.fullmatch(text)) and len(text) >= 16 and abs(int(text)) > LARGEST_EXACT


def as_text(value: Any) -> str:
    """A cell as the name of a category."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _as_category(
    name: str, present: list[tuple[int, Any]], reason: str
) -> tuple[Column | None, str]:
    categories = tuple(sorted({as_text(value) for _, value in present}))
    if len(categories) > MOST_CATEGORIES or len(categories) > max(20, len(present) // 2):
        why = f"{reason} and " if reason else ""
        return None, f"column {name!r} {why}has {len(categories)} different values: left out"
    note = f"column {name!r} {reason} and is read as text" if reason else ""
    return Column(name, "category", categories), note


def _refuse_infinite(
    name: str, present: list[tuple[int, Any]], numbers: list[float | None], where: str
) -> None:
    rows = [row for (row, _), n in zip(present, numbers, strict=True) if n and math.isinf(n)]
    if rows:
        raise DataError(
            f"column {name!r} has {len(rows)} infinite values, the first in row {rows[0]}",
            where=where,
            remedy="Correct them, or leave the cells empty if they are missing",
        )
