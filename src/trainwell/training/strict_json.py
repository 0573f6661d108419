"""JSON as a run folder has it: nothing twice, nothing too deep, numbers that JSON knows."""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 64


def dump(value: Any) -> bytes:
    """Compact bytes, names in their order: the same value gives the same bytes.

    Raises:
        ValueError: A number is not finite, or it is nested deeper than `DEEPEST`.
        TypeError: A name is not text, or something is not a JSON type.
    """
    _refuse_odd(value, DEEPEST)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def parse(content: bytes) -> Any:
    """The value of JSON bytes.

    Raises:
        ValueError: Not JSON, a name twice in one object, a number that JSON does not know, or
            nested deeper than `DEEPEST`.
    """
    try:
        value = json.loads(
            content.decode("utf-8", "surrogatepass"),
            object_pairs_hook=_refuse_twice,
            parse_constant=_refuse_constant,
            parse_float=_parse_finite,
        )
        _refuse_odd(value, DEEPEST)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
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


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _refuse_odd(value: Any, left: int) -> None:
    if not isinstance(value, dict | list | tuple):
        return
    if left == 0:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        for name in value:
            # The writer would turn other names into text, and the reader not back.
            if not isinstance(name, str):
                raise TypeError(f"the name {name!r} is not text")
        value = value.values()
    for entry in value:
        _refuse_odd(entry, left - 1)
