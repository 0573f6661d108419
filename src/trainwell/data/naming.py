"""Lists of names in a message, cut where they grow long."""

from __future__ import annotations

from collections.abc import Sequence

MOST_NAMED = 5


def name_some(names: Sequence[str], most: int = MOST_NAMED, separator: str = ", ") -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return separator.join(names[:most]) + more
