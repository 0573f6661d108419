"""How long something takes, on a machine that others use too."""

from __future__ import annotations

import time


class Stopwatch:
    """Runs from its making.

    What other processes take is not counted: time passed, or time of the processor where that is
    less. With several threads the second is the more, with other processes the first.
    """

    def __init__(self) -> None:
        self.passed, self.used = time.monotonic(), time.process_time()

    def read(self) -> float:
        """Seconds since it was made."""
        return min(time.monotonic() - self.passed, time.process_time() - self.used)
