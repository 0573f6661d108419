"""What processes that read streamed data do: failures are told, signals are left to the parent."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from torch.utils.data import default_collate

from trainwell.errors import DataError, first_line


@dataclass(frozen=True)
class Unreadable:
    """An example that could not be read. It travels as data, since an error loses its fields.

    Attributes:
        example: Number in its source.
        reason: What was wrong.
    """

    example: int
    reason: str

    def as_error(self) -> DataError:
        """The error to raise in the process that trains."""
        return DataError(
            f"item {self.example} cannot be read: {self.reason}",
            where="streamed data",
            remedy="Mend the data, then resume the run",
        )


def collate(items: Sequence[Any]) -> Any:
    """The items as one batch; the first that could not be read, where there is one."""
    for item in items:
        if isinstance(item, Unreadable):
            return item
    try:
        return default_collate(list(items))
    except (RuntimeError, TypeError) as error:
        shapes = sorted({str(tuple(inputs.shape)) for inputs, _, _ in items})
        reason = f"its batch has items of the shapes {', '.join(shapes)}: {first_line(error)}"
        return Unreadable(items[0][2], reason)


def leave_signals_to_the_parent(worker: int) -> None:
    """A terminal sends Ctrl-C to workers too; the parent needs them until its step is saved (C5).

    The parent ends a worker that is stuck by SIGTERM, and asks twice; a scheduler that stops the
    whole group asks once.

    Args:
        worker: Number of this one.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:
            os._exit(128 + number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, note)


def explain_dead_worker(error: RuntimeError) -> DataError:
    """A process that read died (B17)."""
    return DataError(
        f"a process that reads data died: {first_line(error)}",
        where="streamed data",
        remedy="Use fewer workers or more (shared) memory, then resume the run",
    )
