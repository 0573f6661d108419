"""What a program of the corpus is, and which half it belongs to."""

from __future__ import annotations

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

from trainwell.findings import Code, Finding

Half = Literal["development", "held-out"]
HALVES: tuple[Half, Half] = ("development", "held-out")


class Watcher(Protocol):
    """What `trainwell.watch` returns; other tools are given the same face."""

    def step(self, loss: Any, inputs: Any = None, outputs: Any = None, targets: Any = None) -> Any:
        """Is told of an update after it was made."""

    def epoch(
        self,
        *,
        train_loss: float | None = None,
        train_metric: float | None = None,
        valid_loss: float | None = None,
        valid_metric: float | None = None,
    ) -> Any:
        """Is told of an epoch after its validation."""

    def findings(self) -> list[Finding]:
        """What is wrong, the most likely root cause first."""


Watch = Callable[..., Watcher]
"""Called as `trainwell.watch` is: `watch(model, optimizer, loss_fn=, train=, valid=, task=)`."""


@dataclass(frozen=True)
class Outcome:
    """What came of a training; higher is better.

    Attributes:
        score: On clean examples that had no part in training: accuracy, balanced accuracy or R².
        reported: The validation score that the program's author sees.
    """

    score: float
    reported: float


Run = Callable[[Watch, bool], Outcome]


@dataclass(frozen=True)
class Program:
    """A small training with a fault and, with `faulty=False`, its healthy twin; or a healthy one.

    Attributes:
        name: Unique.
        codes: Root causes that are true names of the fault, the first being the one meant; empty
            for a healthy program that looks suspicious.
        run: Trains, with the fault or without.
        subtle: The faulty training still learns something or looks fine at a glance.
        learns: The healthy training's score is at least this.
        margin: By this much the fault spoils the score or, where it `inflates`, what is reported
            flatters it more than the twin's report does.
        inflates: The fault is seen in what is reported, which is better than the truth.
        version: Of the corpus that brought the program.
    """

    name: str
    codes: tuple[Code, ...]
    run: Run
    subtle: bool = False
    learns: float = 0.0
    margin: float = 0.05
    inflates: bool = False
    version: int = 1

    @property
    def family(self) -> str:
        """The file that has it."""
        return self.run.__module__.rsplit(".", 1)[-1]

    @property
    def is_healthy(self) -> bool:
        return not self.codes

    def train(self, watch: Watch, faulty: bool) -> Outcome:
        """Runs it, alike each time on one machine."""
        torch.manual_seed(zlib.crc32(self.name.encode()))
        return self.run(watch, faulty)


PROGRAMS: dict[str, Program] = {}


def faulty(
    name: str,
    *codes: Code,
    learns: float,
    margin: float = 0.05,
    subtle: bool = False,
    inflates: bool = False,
    version: int = 1,
) -> Callable[[Run], Run]:
    """Registers a program with a fault; see `Program`."""

    def register(run: Run) -> Run:
        _add(Program(name, codes, run, subtle, learns, margin, inflates, version))
        return run

    return register


def healthy(name: str, *, learns: float, version: int = 1) -> Callable[[Run], Run]:
    """Registers a healthy program that looks suspicious; it ignores `faulty`."""

    def register(run: Run) -> Run:
        _add(Program(name, (), run, learns=learns, version=version))
        return run

    return register


def _add(program: Program) -> None:
    if program.name in PROGRAMS:
        raise ValueError(f"two programs are named {program.name!r}")
    PROGRAMS[program.name] = program


def split_halves(programs: Sequence[Program]) -> dict[str, Half]:
    """The half of each program, by name.

    Programs of one version and one cause are put in the order of the SHA-256 digests of their names
    and go to the two halves in turn; which half the first goes to is the parity of the digest of
    the cause. So no one chooses, each cause is in both halves, and a program that a later version
    adds moves no other.
    """
    groups: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for program in programs:
        cause = program.codes[0] if program.codes else "healthy"
        groups[program.version, cause].append(program.name)
    halves: dict[str, Half] = {}
    for (version, cause), names in groups.items():
        first = _digest(f"{version} {cause}") % 2
        for place, name in enumerate(sorted(names, key=_digest)):
            halves[name] = HALVES[(first + place) % 2]
    return halves


def _digest(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest(), 16)
