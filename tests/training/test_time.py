"""Time decides when a run is saved, and nothing else (A1, A18)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import trainwell as tw
from tests.training.noisy_runs import RECIPE, Noisy, outcome
from trainwell.training.checkpoint import list_checkpoints
from trainwell.training.observer import Progress
from trainwell.training.retention import step_of

BY_TIME = RECIPE.replace(checkpoint_every=None, epochs=2)
DAY = 86400.0


class LosePower(Exception):
    """The training ends as it would in a power cut: nothing is saved."""


class LosesPower:
    """Ends the training at a window."""

    def __init__(self, step: int) -> None:
        self.step = step

    def started(self, progress: Progress) -> None: ...
    def stepped(self, reading: Mapping[str, Any]) -> None:
        if reading["step"] == self.step:
            raise LosePower

    def epoch_ended(self, reading: Mapping[str, Any]) -> None: ...
    def ended(self, reason: str) -> None: ...


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("whole") / "run"
    tw.fit(Noisy(), "blobs", BY_TIME.replace(checkpoint_seconds=1e9), out=folder)
    return outcome(folder)


def test_a1_an_old_checkpoint_is_renewed_within_an_epoch_and_no_bit_depends_on_it(
    expected: object, tmp_path: Path
) -> None:
    recipe = BY_TIME.replace(checkpoint_seconds=0.0)
    with pytest.raises(LosePower):
        tw.fit(Noisy(), "blobs", recipe, out=tmp_path / "run", observers=[LosesPower(8)])
    newest = list_checkpoints(tmp_path / "run" / "checkpoints")[0]
    assert step_of(newest) == 4, "the window before, in the middle of the epoch"
    tw.resume(tmp_path / "run", model=Noisy())
    assert outcome(tmp_path / "run") == expected


def test_a_young_checkpoint_is_not_renewed_within_an_epoch(tmp_path: Path) -> None:
    recipe = BY_TIME.replace(checkpoint_seconds=1e9)
    with pytest.raises(LosePower):
        tw.fit(Noisy(), "blobs", recipe, out=tmp_path / "run", observers=[LosesPower(8)])
    assert step_of(list_checkpoints(tmp_path / "run" / "checkpoints")[0]) == 0


def test_a18_a_clock_that_jumps_by_a_day_at_every_look_changes_nothing(
    expected: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, jumps = time.time, itertools.cycle((DAY, -DAY, 0.0))
    looks = []

    def jumping() -> float:
        looks.append(next(jumps))
        return honest() + looks[-1]

    monkeypatch.setattr(time, "time", jumping)
    monkeypatch.setattr(time, "time_ns", lambda: int(jumping() * 1e9))
    jumping()
    with pytest.raises(LosePower):
        recipe = BY_TIME.replace(checkpoint_seconds=0.0)
        tw.fit(Noisy(), "blobs", recipe, out=tmp_path / "run", observers=[LosesPower(8)])
    run = tw.resume(tmp_path / "run", model=Noisy())
    assert outcome(tmp_path / "run") == expected
    assert 0 <= run.result["seconds"] < 3600
