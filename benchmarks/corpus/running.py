"""Runs programs under a watcher, several at once."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, Literal

import torch

from benchmarks.corpus.program import Program, Watcher
from benchmarks.corpus.programs import PROGRAMS
from benchmarks.corpus.watchers import WATCHERS
from trainwell.findings import Finding

Kind = Literal["faulty", "twin", "healthy"]


@dataclass(frozen=True)
class Named:
    """A finding as far as it counts here."""

    code: str
    severity: str


@dataclass(frozen=True)
class Result:
    """What a watcher said of one training.

    Attributes:
        name: Of the program.
        kind: Which of its trainings, or a healthy program's only one.
        causes: True names of the fault; empty where there is none.
        findings: As the watcher ranked them.
        score, reported: See `Outcome`; NaN where the program failed.
        valid_losses: Of the epochs, as the program told its watcher.
        seconds: Of processor time of the whole training, watched.
        error: The traceback where the program failed; else empty.
    """

    name: str
    kind: Kind
    causes: tuple[str, ...]
    findings: tuple[Named, ...] = ()
    score: float = float("nan")
    reported: float = float("nan")
    valid_losses: tuple[float, ...] = ()
    seconds: float = 0.0
    error: str = ""

    @property
    def alarms(self) -> tuple[Named, ...]:
        """Findings that ask for action: errors and warnings, not notes."""
        return tuple(named for named in self.findings if named.severity != "note")

    @property
    def is_detected(self) -> bool:
        return bool(self.alarms)

    def names_a_cause(self, among: int) -> bool:
        """Whether one of the first so many alarms is a true root cause."""
        return any(named.code in self.causes for named in self.alarms[:among])


class Overheard:
    """A watcher, whose validation losses are noted too."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.valid_losses: list[float] = []

    def step(self, *given: Any, **named: Any) -> None:
        self.watcher.step(*given, **named)

    def epoch(self, **told: Any) -> None:
        self.valid_losses.append(told.get("valid_loss", float("nan")))
        self.watcher.epoch(**told)

    def findings(self) -> list[Finding]:
        return self.watcher.findings()


Training = tuple[str, Kind]


def list_trainings(programs: Iterable[Program]) -> list[Training]:
    """The trainings of programs: two of each faulty one, one of each healthy one."""
    trainings: list[Training] = []
    for program in programs:
        kinds: tuple[Kind, ...] = ("healthy",) if program.is_healthy else ("faulty", "twin")
        trainings.extend((program.name, kind) for kind in kinds)
    return trainings


def run_all(trainings: list[Training], watcher: str, jobs: int) -> Iterator[Result]:
    """Results in the order of the trainings, each as soon as it and those before it are there."""
    run = partial(run_one, watcher=watcher)
    if jobs == 1:
        yield from map(run, trainings)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_use_one_thread) as pool:
        yield from pool.map(run, trainings)


def run_one(training: Training, watcher: str) -> Result:
    """Trains once under a watcher, on one thread; an exception is a result too."""
    threads = torch.get_num_threads()
    _use_one_thread()
    try:
        return _observe(training, watcher)
    finally:
        torch.set_num_threads(threads)


def _observe(training: Training, watcher: str) -> Result:
    name, kind = training
    program = PROGRAMS[name]
    causes = program.codes if kind == "faulty" else ()
    watch = WATCHERS[watcher]()
    started: list[Overheard] = []

    def start(*given: Any, **named: Any) -> Watcher:
        started.append(Overheard(watch(*given, **named)))
        return started[-1]

    begin = time.process_time()
    try:
        outcome = program.train(start, kind == "faulty")
        findings = [finding for one in started for finding in one.findings()]
    except Exception:
        error, seconds = traceback.format_exc(), time.process_time() - begin
        return Result(name, kind, causes, seconds=seconds, error=error)
    return Result(
        name,
        kind,
        causes,
        tuple(Named(finding.code, finding.severity) for finding in findings),
        outcome.score,
        outcome.reported,
        tuple(loss for one in started for loss in one.valid_losses),
        time.process_time() - begin,
    )


def _use_one_thread() -> None:
    """The networks are small: threads would only wait for each other."""
    torch.set_num_threads(1)
    # The broadcast of (N, 1) against (N,) is one of the faults.
    warnings.filterwarnings("ignore", message="Using a target size")
