"""Proves a cause: the same few steps from the same weights, with the remedy and without it."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from trainwell.findings import Finding
from trainwell.training.randomness import RunRandomness
from trainwell.training.recipe import Recipe
from trainwell.training.session import Setting, build_step
from trainwell.watching.remedies import (
    Change,
    describe_change,
    propose_changes,
    propose_widely,
)

STEPS = 60
MOST_STEPS = 600
"""Momentum that remembers more is judged by these."""
LAST_SHARE = 5
"""The loss in the end is the mean over the last fifth of the steps."""
CLEARLY_BETTER = 0.1
"""Of the loss at the start, by which the remedy must end lower to be a proof."""
CLEARLY_LOWER = 0.05
"""Likewise, by which the loss must fall with the remedy."""
NO_BETTER = 0.02

Outcome = Literal["confirmed", "dismissed", "open"]


@dataclass(frozen=True)
class Replay:
    """What the loss did in a few steps.

    Attributes:
        start: Of the first batch, before any step.
        end: Mean over the last fifth of the steps; infinite where a loss was not finite.
    """

    start: float
    end: float

    @property
    def fall(self) -> float:
        """By how much the loss fell."""
        return self.start - self.end

    def __str__(self) -> str:
        if not math.isfinite(self.end):
            return "is not finite any more"
        return f"goes from {self.start:.3g} to {self.end:.3g}"


@dataclass(frozen=True)
class Proof:
    """A remedy that was tried against a finding.

    Attributes:
        code: Of the finding.
        change: Of the recipe.
        steps: Of each replay.
        without, with_change: What the loss did.
    """

    code: str
    change: Change
    steps: int
    without: Replay
    with_change: Replay

    @property
    def outcome(self) -> Outcome:
        """`"confirmed"` where the remedy helps, `"dismissed"` where it does not, else `"open"`."""
        scale = abs(self.without.start) or 1.0
        gain = self.without.end - self.with_change.end
        learns = self.with_change.fall > CLEARLY_LOWER * scale
        if learns and gain > CLEARLY_BETTER * scale:
            return "confirmed"
        if math.isfinite(gain) and gain <= NO_BETTER * scale:
            return "dismissed"
        return "open"

    def __str__(self) -> str:
        return (
            f"with {describe_change(self.change)} the loss {self.with_change} in {self.steps} "
            f"steps; without, it {self.without}"
        )

    def to_dict(self) -> dict[str, Any]:
        """This proof as plain JSON types."""
        return {
            "code": self.code,
            "change": dict(self.change),
            "steps": self.steps,
            "outcome": self.outcome,
            "start": self.without.start,
            "end_without": self.without.end,
            "end_with": self.with_change.end,
        }


def choose_steps(recipe: Recipe) -> int:
    """Of a replay: no fewer than momentum remembers, else its harm comes later."""
    memory = 1 / (1 - (recipe.momentum or 0.0))
    return max(STEPS, min(MOST_STEPS, round(memory)))


def prove(
    finding: Finding, setting: Setting, weights: Mapping[str, Tensor], steps: int | None = None
) -> Proof | None:
    """The mildest remedy that is confirmed, else the best one tried; None: none can be tried.

    Args:
        finding: Whose remedy is tried.
        setting: Of the run; its model is left as it is.
        weights: From which every replay starts.
        steps: Of each replay; None: as `choose_steps` says.
    """
    steps = choose_steps(setting.recipe) if steps is None else steps
    changes = propose_changes(finding.code, setting.recipe)
    tried: list[Proof] = []
    for proof in _try_changes(finding, changes, setting, weights, steps):
        if proof.outcome == "confirmed":
            return proof
        tried.append(proof)
    return min(tried, key=lambda proof: proof.with_change.end, default=None)


def prove_best(
    finding: Finding, setting: Setting, weights: Mapping[str, Tensor], steps: int
) -> Proof | None:
    """Of all remedies that are confirmed the one with which the loss ends lowest; None: none is.

    Tried is also what is not the remedy of the finding but has the same look, such as penalties.

    Args:
        finding: Whose remedies are tried.
        setting: Of the run; its model is left as it is.
        weights: From which every replay starts.
        steps: Of each replay.
    """
    changes = propose_widely(finding.code, setting.recipe)
    tried = _try_changes(finding, changes, setting, weights, steps)
    confirmed = [proof for proof in tried if proof.outcome == "confirmed"]
    return min(confirmed, key=lambda proof: proof.with_change.end, default=None)


def _try_changes(
    finding: Finding,
    changes: Sequence[Change],
    setting: Setting,
    weights: Mapping[str, Tensor],
    steps: int,
) -> Iterator[Proof]:
    """A proof for each change, in order."""
    if not changes:
        return
    without = replay(setting, weights, {}, steps)
    for change in changes:
        with_change = replay(setting, weights, change, steps)
        yield Proof(finding.code, change, steps, without, with_change)


def replay(setting: Setting, weights: Mapping[str, Tensor], change: Change, steps: int) -> Replay:
    """A few steps at a constant rate; the same each time.

    Schedule and warm-up are left out: what is on trial is the recipe's highest rate.

    Args:
        setting: Of the run; its model is left as it is.
        weights: At the start.
        change: Of the recipe.
        steps: At least 1.
    """
    recipe = setting.recipe.replace(**{"schedule": "constant", "warmup": 0.0, **change})
    model = copy.deepcopy(setting.model)
    model.load_state_dict(dict(weights))
    trial = dataclasses.replace(setting, recipe=recipe, model=model)
    with RunRandomness(recipe.seed, setting.device):
        batches = trial.batches(setting.data.train, train=True)
        step = build_step(trial, len(batches), None)
        model.train()
        endless = (batch for epoch in itertools.count() for batch in batches.read(epoch))
        losses: list[Tensor] = []
        for number, batch in enumerate(itertools.islice(endless, steps)):
            step.plain(batch, number)
            losses.append(step.totals.newest_loss)
    values = torch.stack(losses).double().tolist()
    tail = values[-max(1, steps // LAST_SHARE) :]
    end = math.fsum(tail) / len(tail) if all(map(math.isfinite, values)) else math.inf
    return Replay(values[0], end)


def with_proof(finding: Finding, proof: Proof) -> Finding:
    """The finding with what its remedy did; a dismissed one is no more than a note."""
    evidence = {
        **finding.evidence,
        "replay_fall_without": proof.without.fall,
        "replay_fall_with": proof.with_change.fall,
    }
    if proof.outcome == "confirmed":
        remedy = f"{finding.remedy} Proved: {proof}."
        return dataclasses.replace(finding, evidence=evidence, remedy=remedy)
    if proof.outcome == "dismissed":
        cause = f"{finding.cause} A replay speaks against it: {proof}."
        return dataclasses.replace(finding, evidence=evidence, cause=cause, severity="note")
    return dataclasses.replace(finding, evidence=evidence)
