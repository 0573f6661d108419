"""Readings made by hand: a healthy training, of which a test changes one number."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from trainwell.findings import Finding
from trainwell.watching.facts import Facts
from trainwell.watching.history import History, Modes
from trainwell.watching.loss_graph import LossGraph
from trainwell.watching.readings import (
    InputReading,
    OutputReading,
    ParameterReading,
    Reading,
    UnitReading,
)
from trainwell.watching.rules import judge

STEPS = 200
NAMES = ("0.weight", "2.weight", "4.weight")

FACTS = Facts(
    optimizer="sgd",
    parameters=2000,
    hidden_units=32,
    narrowest=32,
    weight_layers=3,
    trainable=NAMES,
    first_sizes=dict.fromkeys(NAMES, 0.15),
)
OUTPUTS = OutputReading(
    rows=32, columns=5, minimum=-3.0, maximum=3.0, std=1.0, spread=0.9, row_sum_error=4.0,
    accuracy=0.95, standard_loss=0.2, target_counts=(7.0, 6.0, 7.0, 6.0, 6.0),
    right_counts=(7.0, 6.0, 7.0, 5.0, 5.0), predicted_counts=(7.0, 7.0, 7.0, 6.0, 5.0),
    label_runs=0.2, misfits=0.0, scale=1.0,
)  # fmt: skip
INPUTS = InputReading(32, 0.0, 1.0, -3.0, 3.0, 0.0, 1.1, 0.9, 0.1)


def parameters(
    gradients: Sequence[float] = (0.01, 0.01, 0.01), ratio: float = 1e-3, weight: float = 0.15
) -> tuple[ParameterReading, ...]:
    return tuple(
        ParameterReading(name, 500, True, 20, gradient, weight, update_ratio=ratio)
        for name, gradient in zip(NAMES, gradients, strict=True)
    )


def readings(count: int = 20, **changes: Any) -> tuple[Reading, ...]:
    """Evenly spread over the steps; `changes` are fields of `Reading`."""
    usual: dict[str, Any] = {
        "parameters": parameters(), "inputs": INPUTS, "outputs": OUTPUTS,
        "kept_gradient": False, "cosine": -0.99, "turn": 0.1,
    }  # fmt: skip
    made = {**usual, **changes}
    return tuple(Reading(step=k * STEPS // count, **made) for k in range(count))


def falling(start: float = 1.6, end: float = 0.2, steps: int = STEPS) -> list[tuple[int, float]]:
    """A loss that falls quickly at first."""
    return [(k, end + (start - end) * 0.97**k) for k in range(steps)]


def standing(at: float = 1.6, steps: int = STEPS) -> list[tuple[int, float]]:
    """A loss that hardly moves."""
    return [(k, at + 0.01 * (-1) ** k) for k in range(steps)]


def history(**changes: Any) -> History:
    """A healthy classification of five classes, with these fields of `History` changed."""
    losses = changes.get("losses", falling())
    usual = History(
        facts=FACTS,
        losses=losses,
        rates=[(step, 0.1) for step, _ in losses],
        readings=readings(),
        modes=Modes(len(losses), updates_read=20),
        graph=LossGraph(kind="cross_entropy", reduction="mean", direct=True),
        called=frozenset(("0", "2", "4")),
    )
    return dataclasses.replace(usual, **changes)


def stuck(**changes: Any) -> History:
    """A training whose loss stands and whose outputs are no better than chance."""
    wrong = dataclasses.replace(OUTPUTS, accuracy=0.2, standard_loss=1.6)
    made = changes.pop("readings", readings())
    as_wrong = tuple(dataclasses.replace(r, outputs=wrong) for r in made)
    return history(**{"losses": standing(), "readings": as_wrong, **changes})


def units(stuck: float, kind: str = "relu", examples: int = 200) -> list[UnitReading]:
    return [UnitReading("1", kind, 32, stuck, examples)]


def codes(found: History) -> list[str]:
    """Codes of what all rules find, notes excepted."""
    findings: list[Finding] = judge(found)
    return [f.code for f in findings if f.severity != "note"]
