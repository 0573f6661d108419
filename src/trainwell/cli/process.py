"""The command as a process: its streams, and signals outside of a training."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn


class SignalledError(BaseException):
    """A signal asked to leave where no training was there to save; no error of the program.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def leaving_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the command within, so that nothing half done is left behind.

    A training has handlers of its own, which save first. What is ignored stays so: `nohup`.
    """

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SignalledError(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        wanted = (signal.SIGTERM, signal.SIGHUP)
        caught = [n for n in wanted if signal.getsignal(n) is signal.SIG_DFL]
        before = {number: signal.signal(number, leave) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_missing_streams() -> None:
    """Where standard output or error is closed, its number would go to the next file opened.

    Whatever a library prints would then be written into a checkpoint or a log.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
