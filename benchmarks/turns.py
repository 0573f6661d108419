"""Lets several trainings, each with a loop of its own, take turns in one thread.

A machine's speed drifts while a benchmark runs. When every contender trains one epoch in each
round, they all meet the same drift. Greenlets, not threads: threads would each start their own
pool of OpenMP workers, and the pools would slow each other down.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

import torch
from greenlet import getcurrent, greenlet

Result = TypeVar("Result")


@dataclass
class Turn:
    """What a contender tells while it trains; every epoch's end hands on to the next contender.

    Attributes:
        training: Seconds of each epoch's updates.
        epoch: Seconds of each epoch, validation included, and everything since the one before.
        note: What people should know of this contender.
    """

    training: list[float] = field(default_factory=list)
    epoch: list[float] = field(default_factory=list)
    note: str = ""
    _began: float = 0.0
    _trained: float = 0.0

    def start(self) -> None:
        """Everything is set up; the first update is next."""
        self._hand_on()

    def trained(self) -> None:
        """An update of the present epoch has been made; the last one told counts."""
        self._trained = time.perf_counter()

    def epoch_ended(self) -> None:
        """The present epoch has been trained and validated."""
        self.epoch.append(time.perf_counter() - self._began)
        self.training.append(self._trained - self._began)
        self._hand_on()

    def _hand_on(self) -> None:
        gradients = torch.is_grad_enabled()
        conductor = getcurrent().parent
        assert conductor is not None, "a turn was told something outside take_turns"
        conductor.switch()
        torch.set_grad_enabled(gradients)
        self._began = self._trained = time.perf_counter()


def take_turns(
    trainings: Mapping[str, Callable[[Turn], Result]],
    log: IO[str],
    tell: Callable[[str, Turn], Any],
) -> tuple[dict[str, Turn], dict[str, Result]]:
    """Runs every training to its end, one epoch of each in turn.

    Args:
        trainings: By name; each is called with its turn.
        log: Takes what the trainings print.
        tell: Called with name and turn after each epoch.

    Returns:
        Turns and results by name.
    """
    turns = {name: Turn() for name in trainings}
    players = {name: greenlet(training) for name, training in trainings.items()}
    results: dict[str, Result] = {}
    for number, order in enumerate(_orders(list(trainings))):
        if len(results) == len(trainings):
            break
        for name in order:
            if name in results:
                continue
            # A contender that was left within `no_grad` must not decide for the next.
            with _printing_to(log), torch.enable_grad():
                # The first switch into a greenlet carries the argument of its function.
                value = players[name].switch(*([turns[name]] if number == 0 else []))
            if players[name].dead:
                results[name] = value
            elif number > 0:
                tell(name, turns[name])
    return turns, results


def _orders(names: list[str]) -> Iterator[list[str]]:
    """Another contender goes first in every round."""
    while True:
        yield list(names)
        names.append(names.pop(0))


@contextlib.contextmanager
def _printing_to(log: IO[str]) -> Iterator[None]:
    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        yield
