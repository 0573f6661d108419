"""Do the short replays of `diagnose` say what whole trainings say?

    python -m benchmarks.replays --processes 2

Small trainings with a fault in the recipe, and without one. For each, remedies of four kinds are
put on trial in short replays, those of the findings and those that nobody asked for; then
whole trainings tell whether they help.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import trainwell as tw
from benchmarks.false_alarms import share
from trainwell.errors import NonFiniteError
from trainwell.findings import Code, Finding
from trainwell.models.catalogue import ModelSpec, create_from
from trainwell.training.fitting import prepare
from trainwell.training.precision import Resolved
from trainwell.training.session import Setting
from trainwell.watching.remedies import Change, propose_changes
from trainwell.watching.replay import Outcome, prove

ON_TRIAL: tuple[Code, ...] = (
    "lr_too_high",
    "lr_too_low",
    "momentum_too_high",
    "over_regularised",
)
"""One cause for each kind of remedy that a replay can try."""
SAME_REMEDY: Mapping[Code, Code] = {
    "exploding_or_nan": "lr_too_high",
    "dying_relu": "lr_too_high",
    "saturated_units": "lr_too_high",
}
CLEARLY_LOWER = 0.05
"""Of the loss at the start, by which a whole training that was helped ends lower."""


@dataclass(frozen=True)
class Problem:
    """A healthy training of a second or so."""

    data: str
    model: str
    recipe: tw.Recipe


SGD = tw.Recipe(epochs=15, batch_size=16, optimizer="sgd", learning_rate=0.1, compile=False)
PROBLEMS = (
    Problem("iris", "mlp", SGD.replace(epochs=30)),
    Problem("moons", "mlp", SGD.replace(optimizer="nesterov", learning_rate=0.05)),
    Problem("wine", "mlp", SGD.replace(optimizer="adamw", learning_rate=0.003)),
    Problem("breast-cancer", "mlp", SGD.replace(optimizer="momentum", learning_rate=0.03)),
    Problem("digits", "mlp", SGD.replace(epochs=5, batch_size=32)),
    Problem("digits", "lenet5", SGD.replace(epochs=3, optimizer="nesterov", learning_rate=0.02)),
    Problem("diabetes", "mlp", SGD.replace(optimizer="adamw", learning_rate=0.003)),
)
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "rate x 1000": {"learning_rate": 1000},
    "rate x 50": {"learning_rate": 50},
    "rate / 300": {"learning_rate": 1 / 300},
    "rate / 10000": {"learning_rate": 1e-4},
    "momentum 0.999": {"momentum": 0.999},
    "decay": {"weight_decay": 2.0},
    "l2": {"l2": 1.0},
}
"""What is done to the recipe; the rate is multiplied."""


@dataclass(frozen=True)
class Trial:
    """A remedy on trial.

    Attributes:
        data, model, fault: Of the training.
        code: Whose remedies were tried.
        found: Whether the watcher had found it.
        outcome: Of the replays.
        helps: Whether a whole training ends clearly lower: with the change that was confirmed, else
            with any of those that could have been.
    """

    data: str
    model: str
    fault: str
    code: Code
    found: bool
    outcome: Outcome
    helps: bool

    @property
    def speaks(self) -> bool:
        return self.outcome != "open"

    @property
    def agrees(self) -> bool:
        return self.helps == (self.outcome == "confirmed")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    progress = sys.stderr if options.json else sys.stdout
    asked = [
        (problem, fault)
        for problem in PROBLEMS
        if options.data is None or problem.data in options.data
        for fault in FAULTS
        if is_possible(problem, fault)
    ]
    trials: list[Trial] = []
    for tried in try_all(asked, options.processes):
        trials += tried
        for trial in tried:
            print(line_of(trial), file=progress, flush=True)
    if options.json:
        print(json.dumps([asdict(trial) for trial in trials], indent=1))
    print(summary(trials), file=progress)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="replays", description="Replays against trainings.")
    parser.add_argument("--data", action="append", choices=sorted({p.data for p in PROBLEMS}))
    parser.add_argument("--processes", type=int, default=1, help="that train side by side")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser.parse_args(arguments)


def is_possible(problem: Problem, fault: str) -> bool:
    """Whether the optimiser has what the fault is in."""
    return "momentum" not in FAULTS[fault] or problem.recipe.optimizer in ("momentum", "nesterov")


def try_all(asked: Sequence[tuple[Problem, str]], processes: int) -> Iterator[list[Trial]]:
    if processes == 1:
        for problem, fault in asked:
            yield try_remedies(problem, fault)
        return
    with multiprocessing.get_context("spawn").Pool(processes, torch.set_num_threads, (1,)) as pool:
        yield from pool.imap(_try_pair, asked)


def _try_pair(pair: tuple[Problem, str]) -> list[Trial]:
    return try_remedies(*pair)


def try_remedies(problem: Problem, fault: str) -> list[Trial]:
    """A trial for each kind of remedy that the recipe has room for."""
    recipe = plant(problem.recipe, FAULTS[fault])
    with tempfile.TemporaryDirectory() as folder:
        end = train(problem, recipe, Path(folder) / "run")
        found, setting, weights = open_run(Path(folder) / "run")
    trials: list[Trial] = []
    for code in ON_TRIAL:
        proof = prove(Finding(code, "warning"), setting, weights)
        if proof is None:
            continue
        confirmed = proof.outcome == "confirmed"
        changes = [proof.change] if confirmed else propose_changes(code, setting.recipe)
        start = abs(proof.without.start)
        helps = proof.outcome != "open" and does_help(problem, recipe, changes, end, start)
        trials.append(
            Trial(problem.data, problem.model, fault, code, code in found, proof.outcome, helps)
        )
    return trials


def open_run(folder: Path) -> tuple[set[Code], Setting, Mapping[str, Tensor]]:
    """The causes that were found, what was trained, and its first weights."""
    run = tw.load_run(folder)
    found: set[Code] = {
        SAME_REMEDY.get(f.code, f.code) for f in run.findings if f.severity != "note"
    }
    resolved = Resolved(**{**run.about["resolved"], "compiled": False})
    setting = prepare(run.model, run.data, run.recipe, run.loss_fn, resolved)
    first = create_from(ModelSpec.from_dict(run.about["model"]), run.recipe.seed)
    return found, setting, first.state_dict()


def does_help(
    problem: Problem, recipe: tw.Recipe, changes: Sequence[Change], end: float, start: float
) -> bool:
    """Whether a whole training ends clearly lower than at `end` with any of the changes."""
    for change in changes:
        with tempfile.TemporaryDirectory() as folder:
            changed = train(problem, recipe.replace(**change), Path(folder) / "run")
        if changed < end - CLEARLY_LOWER * start or (math.isinf(end) and changed < start):
            return True
    return False


def train(problem: Problem, recipe: tw.Recipe, out: Path) -> float:
    """The training loss in the end; infinite where it was not finite."""
    try:
        run = tw.fit(problem.model, problem.data, recipe, out=out)
    except NonFiniteError:
        return math.inf
    loss = run.metrics["train_loss"]
    return loss if math.isfinite(loss) else math.inf


def plant(recipe: tw.Recipe, fault: Mapping[str, Any]) -> tw.Recipe:
    """The recipe with the fault in it."""
    changed = dict(fault)
    if "learning_rate" in changed:
        changed["learning_rate"] *= recipe.learning_rate
    return recipe.replace(**changed)


def line_of(trial: Trial) -> str:
    asked = "found" if trial.found else "not found"
    said = {"open": "nothing"}.get(trial.outcome, f"{'helps' if trial.helps else 'does not help'}")
    agrees = "" if not trial.speaks or trial.agrees else "  DISAGREE"
    named = f"{trial.data} / {trial.model}, {trial.fault}: {trial.code} ({asked})"
    return f"{named}: {trial.outcome}; the whole training says: {said}{agrees}"


def summary(trials: Sequence[Trial]) -> str:
    """How often replays and whole trainings agree, of what was found and of everything."""
    lines: list[str] = []
    for name, some in (
        ("of what was found", [trial for trial in trials if trial.found]),
        ("of everything", trials),
    ):
        spoke = [trial for trial in some if trial.speaks]
        agreed = sum(trial.agrees for trial in spoke)
        lines.append(f"{name}: {len(some)} trials, {len(spoke)} speak; agree: ")
        lines[-1] += share(agreed, len(spoke))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
