"""Kinds of lines of the user's code that a watcher keeps; activations have their own names."""

from __future__ import annotations

CUT = "cut"
"""A tensor leaves its graph."""
CALL = "call"
"""A layer is called."""
