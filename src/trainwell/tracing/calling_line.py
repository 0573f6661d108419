"""The line of the user's own code that is being run, as a hook or a function mode sees it."""

from __future__ import annotations

import sys
import sysconfig
from functools import cache
from pathlib import Path
from types import FrameType

import torch
from torch import nn

_CALLS = nn.Module._call_impl.__code__
_OURS = Path(__file__).parents[1]


def find_calling_line(root: nn.Module | None = None) -> str:
    """Such as `"model.py:31"`: the innermost line that is of no library; empty where there is none.

    Args:
        root: Lines outside of its call, such as those of the training loop, do not count.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if root is not None and frame.f_code is _CALLS and frame.f_locals.get("self") is root:
            return ""
        if _is_users(frame.f_code.co_filename):
            return f"{shorten(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


@cache
def _is_users(path: str) -> bool:
    """Whether a file is none of Python, of an installed library, or of trainwell."""
    if path.startswith("<"):
        return False
    resolved = Path(path).resolve()
    return not any(resolved.is_relative_to(library) for library in _libraries())


@cache
def _libraries() -> tuple[Path, ...]:
    """The folders of libraries."""
    installed = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
    return tuple(Path(p).resolve() for p in (*installed, str(Path(torch.__file__).parent), _OURS))


def shorten(path: str) -> str:
    """A file's path, relative where it lies below the present folder."""
    resolved, here = Path(path).resolve(), Path.cwd().resolve()
    return str(resolved.relative_to(here) if resolved.is_relative_to(here) else resolved)
