"""Whatever changes in a training is in its checkpoint: found by looking, not from a list."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

import trainwell as tw
from tests.training.noisy_runs import RECIPE, Noisy
from trainwell.data.batches import Batch
from trainwell.training.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from trainwell.training.defaults import complete_recipe
from trainwell.training.fitting import prepare
from trainwell.training.randomness import RunRandomness
from trainwell.training.recipe import Recipe
from trainwell.training.session import Session
from trainwell.training.signals import StopRequest
from trainwell.training.step import TrainingStep

NOT_SAVED = {
    "loop.saved_at": "time only decides when the next save is",
    "loop.steps_per_epoch": "follows from recipe and data",
    "loop.step.gradient_norm": "computed anew in every step before it is read",
    "loop.step.totals.newest_loss": "computed anew in every step before it is read",
    "loop.epoch.newest_loss": "is not read",
    "loop.step.newest": "computed anew in every step before it is read",
    "loop.step.guard.seen": "of the steps of a window; a save looks at them first",
    "loop.recorder": "of this test",
    "loop.observers": "of this test",
    "loop.stop": "belongs to the process",
}
EXAMPLES = ("inputs", "targets", "ids", "preprocess")
"""Names of what holds the data, which does not change."""


class Silent:
    """A recorder that keeps nothing."""

    def record(self, reading: Mapping[str, Any]) -> None: ...
    def note(self, event: str, message: str, **fields: Any) -> None: ...
    def save(self) -> None: ...


class StopsAt:
    """Asks for a stop at a step."""

    def __init__(self, stop: StopRequest, step: int) -> None:
        self.stop, self.step = stop, step

    def stepped(self, reading: Mapping[str, Any]) -> None:
        if reading["step"] == self.step:
            self.stop.signal_number = signal.SIGTERM

    def epoch_ended(self, reading: Mapping[str, Any]) -> None: ...


def leaves(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Every number, text and tensor that can be reached from an object of the training."""
    if isinstance(value, Tensor):
        yield path, value.detach().clone()
    elif isinstance(value, int | float | str | bool | None):
        yield path, value
    elif id(value) in seen:
        return
    else:
        seen.add(id(value))
        for name, part in parts_of(value):
            yield from leaves(part, f"{path}.{name}", seen)


def parts_of(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, nn.Module | Optimizer | GradScaler):
        yield from value.state_dict().items()
    elif isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(number), part) for number, part in enumerate(value))
    elif type(value).__module__.partition(".")[0] in ("trainwell", "torch"):
        known = getattr(value, "__dict__", {})
        yield from ((name, part) for name, part in known.items() if name not in EXAMPLES)


def look(session: Session) -> dict[str, Any]:
    """All that a session is at present, the random numbers included."""
    found = dict(leaves(session.loop, "loop", set()))
    found |= dict(leaves(session.randomness.capture(), "randomness", set()))
    return {k: v for k, v in found.items() if not k.startswith(tuple(NOT_SAVED))}


def open_session(recipe: Recipe, stop_at: int) -> Session:
    data = tw.load("blobs")
    setting = prepare(Noisy(), data, complete_recipe(recipe, data, None), None)
    stop = StopRequest()
    observers: Any = [StopsAt(stop, stop_at)]
    return Session.open(setting, stop, lambda state, position: Silent(), observers)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return type(one) is type(other) and one == other


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    nothing = object()
    return {k for k in {*one, *other} if not equal(one.get(k, nothing), other.get(k, nothing))}


def changed_and_lost(recipe: Recipe, stop_at: int, folder: Path) -> tuple[set[str], set[str]]:
    """Paths of what training changes, and of what a checkpoint does not bring back."""
    with RunRandomness(recipe.seed, torch.device("cpu")):
        fresh = open_session(recipe, stop_at)
        before = look(fresh)
        trained = open_session(recipe, stop_at)
        trained.train()
        saved: Checkpoint = trained.state.capture(trained.loop.position.step, {})
        after = look(trained)
        fresh.state.restore(read_checkpoint(save_checkpoint(folder, saved)))
        restored = look(fresh)
    return differing(before, after), differing(restored, after)


RICH = RECIPE.replace(epochs=3, schedule="plateau(patience=1, factor=0.5)", average=0.9)


@pytest.mark.parametrize("average", [0.9, "stochastic(start=0.3)", None])
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("stop_at", [12, 10**9])
def test_a1_everything_that_changes_while_training_comes_back_from_the_checkpoint(
    average: float | str | None, precision: str, stop_at: int, tmp_path: Path
) -> None:
    recipe = RICH.replace(average=average, precision=precision)
    changed, lost = changed_and_lost(recipe, stop_at, tmp_path)
    assert lost == set()
    wanted = {"hidden.weight", "position.step", "momentum_buffer"}
    wanted |= {"early_stop.best_loss", "randomness", "schedule.best_loss"}
    wanted |= {"average"} if average is not None and stop_at > 12 else set()
    missed = {part for part in wanted if not any(part in path for path in changed)}
    assert missed == set(), "the walk does not see these"


def test_a_counter_that_nobody_saves_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = TrainingStep._update

    def counted(self: Any, batch: Batch) -> None:
        self.forgotten = getattr(self, "forgotten", 0) + 1
        plain(self, batch)

    monkeypatch.setattr(TrainingStep, "_update", counted)
    _, lost = changed_and_lost(RICH, 12, tmp_path)
    assert lost == {"loop.step.forgotten"}
