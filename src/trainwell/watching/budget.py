"""What watching may cost: which steps are read, so that the share of the time stays small."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Budget:
    """Keeps the time spent on watching within a share of the time spent on training.

    The first steps are always read, since most faults show there. Later readings grow further
    apart, so that a run is read evenly on a logarithmic scale. An allowance in seconds lets a
    short training be read more closely than its share, which nobody notices either; it is an
    advance on the share, not something besides.

    Attributes:
        share: Of the training's time that watching may cost.
        allowance: Seconds that watching may cost before the share counts.
        first: Steps at the start that are always read.
        clock: Seconds of the day; another one in tests.
        meter: Seconds that this thread has worked, which other programs on the machine do not
            lengthen; dearer to read than the clock.
        spent: Seconds that watching has cost so far.
    """

    share: float = 0.03
    allowance: float = 0.25
    first: int = 6
    clock: Callable[[], float] = time.perf_counter
    meter: Callable[[], float] = time.thread_time
    spent: float = 0.0
    _started: float = field(init=False)
    _reading_cost: float = 0.0
    _last_read: int = 0

    def __post_init__(self) -> None:
        self._started = self.clock()

    @contextlib.contextmanager
    def metered(self) -> Iterator[None]:
        """Counts the work inside as spent."""
        start = self.meter()
        try:
            yield
        finally:
            self.spent += self.meter() - start

    def note_reading(self, seconds: float) -> None:
        """Remembers what one read step cost, as a moving mean that follows quickly."""
        known = self._reading_cost
        self._reading_cost = seconds if not known else 0.7 * known + 0.3 * seconds

    @property
    def training_seconds(self) -> float:
        """Time since the start that was not spent on watching."""
        return max(self.clock() - self._started - self.spent, 0.0)

    @property
    def overhead(self) -> float:
        """Time spent on watching as a share of the time spent on training."""
        training = self.training_seconds
        return self.spent / training if training > 0 else 0.0

    def affords(self, seconds: float) -> bool:
        """Whether so many more seconds stay within the budget."""
        return self.spent + seconds <= max(self.allowance, self.share * self.training_seconds)

    def wants_reading(self, step: int) -> bool:
        """Whether the next step, `step` from 0, is to be read; if so, it counts as read."""
        if step >= self.first:
            spacing = min(max(self._last_read // 6, 1), 400)
            if step - self._last_read < spacing or not self.affords(self._reading_cost):
                return False
        self._last_read = step
        return True
