"""A training with a fault and the same without it: one is named, the other is left alone."""

from __future__ import annotations

from dataclasses import dataclass

from tests.watching.programs import Program
from trainwell.findings import Code, Finding


@dataclass(frozen=True)
class Twins:
    """Two trainings.

    Attributes:
        code: Of the fault.
        faulty: With it.
        healthy: Without it.
    """

    code: Code
    faulty: Program
    healthy: Program


_FOUND: dict[int, tuple[Program, list[Finding]]] = {}
"""Several faults share a healthy twin, which is trained once."""


def find(program: Program) -> list[Finding]:
    """What is said of a training at its end."""
    if id(program) not in _FOUND:
        watcher = program.run()[1]
        assert watcher is not None
        _FOUND[id(program)] = program, watcher.findings()
    return _FOUND[id(program)][1]


def assert_named(twins: Twins) -> None:
    """The fault is among the first three root causes, and no mere note."""
    first = [f.code for f in find(twins.faulty)[:3] if f.severity != "note"]
    assert twins.code in first


def assert_silent(twins: Twins) -> None:
    """Nothing is said of the healthy training, but for notes."""
    assert [f for f in find(twins.healthy) if f.severity != "note"] == []
