"""What a command prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

MOST_NOTES = 8
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Text without terminal escapes, other control characters or marks that turn its direction."""
    return CONTROL.sub("", text)


def describe_notes(notes: Sequence[str]) -> list[str]:
    """What was done to the data, a line each; of many, the first and how many more there are."""
    lines = [plain(f"note: {note}") for note in notes[:MOST_NOTES]]
    more = len(notes) - MOST_NOTES
    return [*lines, f"note: and {more} more"] if more > 0 else lines


def say(message: str) -> None:
    """One message on standard error; a closed terminal is no reason to fail."""
    with contextlib.suppress(OSError):
        print(plain(message), file=sys.stderr, flush=True)


def open_console(*, on_error: bool = False) -> Console:
    """A console of rich that does not leave the process when nobody reads it any more (C5).

    Args:
        on_error: Whether it prints on standard error.
    """
    from rich.console import Console

    class Undisturbed(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Undisturbed(stderr=True, highlight=False, markup=False) if on_error else Undisturbed()


def print_json(document: Any) -> None:
    """The one JSON document of a command, on standard output; not-a-number becomes null."""
    print(json.dumps(finite(document), ensure_ascii=False, allow_nan=False), flush=True)


def finite(value: Any) -> Any:
    """The same JSON value with numbers that JSON does not have replaced by None."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def format_scores(metrics: dict[str, Any]) -> str:
    """Final metrics on one line, accuracies in per cent."""
    parts = []
    for name, value in metrics.items():
        if value is None:
            continue
        is_share = name.endswith("accuracy")
        parts.append(f"{name} {value:.2%}" if is_share else f"{name} {value:.4g}")
    return "  ".join(parts)
