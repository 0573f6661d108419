"""Signals that ask a run to stop: noticed at once, honoured where the state is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from trainwell.errors import Interrupted

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Context in which SIGINT, SIGTERM and SIGHUP only raise a flag.

    A second SIGINT leaves at once: what is on disk is whole at any moment. Handlers are only set
    in the main thread, where Python allows it. A context around this one learns of the signal when
    this one ends.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def __enter__(self) -> StopRequest:
        self.before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            # Under nohup a hang-up is ignored, and stays so.
            caught = [n for n in STOP_SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
            self.before = {n: signal.signal(n, self._notice) for n in caught}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        outer = getattr(self.before.get(self.signal_number or 0), "__self__", None)
        if isinstance(outer, StopRequest):
            # Whoever runs several trainings must not start the next one.
            outer.signal_number = self.signal_number

    def _notice(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal_number = number

    @property
    def is_raised(self) -> bool:
        """Whether a signal has asked for the stop."""
        return self.signal_number is not None

    def as_error(self, run_folder: str) -> Interrupted:
        """What to raise once everything is saved."""
        number = self.signal_number or signal.SIGINT
        return Interrupted(
            f"stopped by {signal.Signals(number).name}; everything is saved",
            signal_number=number,
            where=run_folder,
            remedy=f"Go on with: trainwell resume {run_folder}",
        )
