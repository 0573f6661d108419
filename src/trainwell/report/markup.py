"""Small pieces of HTML; every text goes through `text`, so that no name can become markup."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

LONGEST_TEXT = 300
INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def text(value: Any) -> str:
    """Any value as text of a page: escaped, shortened, without marks that hide or turn it."""
    shown = format_value(value)
    if len(shown) > LONGEST_TEXT:
        shown = shown[:LONGEST_TEXT] + "…"
    return escape(INVISIBLE.sub("", shown), quote=True)


def format_value(value: Any) -> str:
    """A value for people: numbers short, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {format_value(v)}" for k, v in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(format_value, value))
    return str(value)


def section(title: str, content: str) -> str:
    """A part of the page with a heading."""
    return f"<section><h2>{text(title)}</h2>{content}</section>"


def figure(title: str, content: str) -> str:
    """A chart with a heading."""
    return f"<figure><figcaption>{text(title)}</figcaption>{content}</figure>"


def facts(pairs: Iterable[tuple[str, Any]]) -> str:
    """Names and values in two columns."""
    rows = "".join(f"<tr><th>{text(name)}</th><td>{text(v)}</td></tr>" for name, v in pairs)
    return f'<table class="facts">{rows}</table>'
