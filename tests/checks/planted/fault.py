"""A planted fault, and what a program hands to `tw.check`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

import trainwell as tw
from trainwell.checks.verdict import FAILING, CheckReport
from trainwell.data.dataset import Task
from trainwell.data.draw import Augmentation
from trainwell.data.seeding import derive_seed
from trainwell.findings import Code
from trainwell.nn.losses import Loss


@dataclass(frozen=True)
class Arguments:
    """What a program has before its first step; what is None is not told to `tw.check`."""

    model: nn.Module
    data: Any
    valid: Any = None
    loss_fn: Loss | None = None
    optimizer: Optimizer | None = None
    batch_size: int | None = None
    task: Task | None = None
    augment: Augmentation | None = None
    shuffle: bool | None = None

    def check(self) -> CheckReport:
        """What `tw.check` says of the program."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        model, data = told.pop("model"), told.pop("data")
        return tw.check(model, data, **{name: v for name, v in told.items() if v is not None})


Program = Callable[[bool], Arguments]
"""Called with whether the fault is in."""


@dataclass(frozen=True)
class PlantedFault:
    """A program that can be had with and without one fault.

    Attributes:
        name: Unique.
        codes: Findings of which any one names the fault rightly.
        about: The fault, in a sentence.
        program: Makes the program.
        family: The file it is written in.
    """

    name: str
    codes: tuple[Code, ...]
    about: str
    program: Program
    family: str

    def build(self, faulty: bool) -> Arguments:
        """The program, alike each time; both twins draw the same random numbers."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(0, self.name))
            return self.program(faulty)


class Family:
    """The faults of one file, in the order in which they are written."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[PlantedFault] = []

    def plant(self, *codes: Code) -> Callable[[Program], Program]:
        """Enters a program; its name and docstring are the fault's."""

        def enter(program: Program) -> Program:
            name = program.__name__.replace("_", "-")
            about = " ".join((program.__doc__ or "").split())
            self.faults.append(PlantedFault(name, codes, about, program, self.name))
            return program

        return enter


def failing_codes(report: CheckReport) -> tuple[Code, ...]:
    """Codes found at error or warning, the gravest first, each once."""
    found = [f.code for f in report.findings if f.severity in FAILING]
    return tuple(dict.fromkeys(found))
