"""JSON as a run folder has it: nothing twice, nothing too deep, numbers that JSON knows."""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 64


def dump(value: Any) -> bytes:
    """Compact bytes, names in their order: the same value gives the same bytes.

    NaN and infinities become null.
    """
    text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def parse(content: bytes) -> Any:
    """The value of JSON bytes.

    Raises:
        ValueError: Not JSON, a name twice in one object, a number that JSON does not know, or
            nested deeper than `DEEPEST`.
    """
    try:
        value = json.loads(content, object_pairs_hook=_refuse_twice, parse_constant=_refuse_number)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    _refuse_deep(value, DEEPEST)
    return value


def finite(value: Any) -> Any:
    """The same value with NaN and infinities replaced by None."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _refuse_number(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _refuse_deep(value: Any, left: int) -> None:
    if left == 0:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            _refuse_deep(entry, left - 1)
