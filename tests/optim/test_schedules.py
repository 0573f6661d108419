"""Schedules: the lectures' formulas, composition, units, the plateau, and resuming it."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import trainwell as tw
from trainwell.errors import Interrupted, RecipeError
from trainwell.optim.schedules import SCHEDULES, Plateau, build_schedule, rate_at

FALLING = sorted(set(SCHEDULES) - {"one_cycle"})


@pytest.mark.parametrize("name", FALLING)
def test_a_schedule_starts_at_the_full_rate_and_never_rises_after_warm_up(name: str) -> None:
    rates = [rate_at(s, 1000, build_schedule(name), 0.1) for s in range(1000)]
    assert 0 < rates[0] < 0.02
    assert max(rates) == pytest.approx(1.0)
    assert all(a >= b for a, b in itertools.pairwise(rates[100:]))
    assert min(rates) >= 0


@given(st.floats(0, 1))
def test_schedules_are_the_formulas_of_the_lectures(t: float) -> None:
    k = math.log(100)
    assert build_schedule("exponential")(t) == pytest.approx(math.exp(-k * t))
    assert build_schedule("inverse_time")(t) == pytest.approx(1 / (1 + 99 * t))
    assert build_schedule("inverse_time(end=0.5)")(t) == pytest.approx(1 / (1 + t))
    assert build_schedule("linear(0.5, 0.25)")(t) == pytest.approx(0.5 - 0.25 * t)
    assert build_schedule("cosine(end=0.1)")(t) == pytest.approx(
        0.1 + 0.9 * (1 + math.cos(math.pi * t)) / 2
    )


@pytest.mark.parametrize("name", ["exponential", "inverse_time", "halving"])
def test_the_lectures_decays_end_a_hundred_times_lower_or_more(name: str) -> None:
    assert build_schedule(name)(1.0) <= 0.01 + 1e-12


@pytest.mark.parametrize(
    ("text", "torchs"),
    [
        (
            "cosine(end=0.1)",
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100, eta_min=0.1),
        ),
        (
            "step(factor=0.2, at=(0.3, 0.8))",
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [30, 80], gamma=0.2),
        ),
        ("linear", lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=100)),
        (
            "cosine(cycles=4)",
            lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 25),
        ),
    ],
)
def test_rates_equal_those_of_torchs_schedulers(text: str, torchs: object) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torchs(optimizer)  # type: ignore[operator]
    schedule = build_schedule(text)
    for step in range(100):
        assert rate_at(step, 100, schedule, 0.0) == pytest.approx(
            optimizer.param_groups[0]["lr"], abs=1e-9
        )
        optimizer.step()
        scheduler.step()


def test_one_cycle_rises_to_the_full_rate_and_falls_to_nothing() -> None:
    schedule = build_schedule("one_cycle(peak=0.4, start=0.1)")
    assert [schedule(t) for t in (0.0, 0.2, 0.4, 0.7, 1.0)] == pytest.approx([0.1, 0.55, 1, 0.5, 0])


def test_parts_follow_each_other_each_over_a_progress_of_its_own() -> None:
    schedule = build_schedule("linear(start=0, end=1) until 0.2, constant until 0.6, cosine")
    shares = [schedule(t) for t in (0.0, 0.1, 0.2, 0.59, 0.6, 0.8, 1.0)]
    assert shares == pytest.approx([0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0], abs=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin", "'cosine'"),
        ("step(factr=0.5)", "Did you mean 'factor'"),
        ("step(factor=2)", "between 0 and 1"),
        ("exponential(end=0)", "between 0 and 1"),
        ("cosine(cycles=0)", "whole number"),
        ("constant, cosine", "do not follow each other"),
        ("constant until 0.5, cosine until 0.4", "do not follow each other"),
        ("constant until 0.5, linear until 0.9", "do not follow each other"),
        ("constant until 0.5, plateau", "cannot be a part"),
        ("constant until 0.5.5, cosine", "not a number"),
        ("cosine(", "Write a name"),
        ("__import__('os')", "Known: constant"),
        ("cosine(end=open('x'))", "Write a name"),
        ("(" * 10_000, "Write a name"),
        ("cosine(end='a')", "impossible"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        tw.Recipe(schedule=text)


def test_by_the_epoch_the_rate_changes_only_between_epochs(tmp_path: Path) -> None:
    recipe = tw.Recipe(epochs=4, window=1, schedule="linear", schedule_unit="epoch", warmup=0.0)
    run = tw.fit("mlp", "iris", recipe.replace(learning_rate=0.1), out=tmp_path / "run")
    rates = {(r["epoch"], r["learning_rate"]) for r in run.history if r["kind"] == "window"}
    assert sorted(rates) == [
        (1, pytest.approx(0.1)),
        (2, pytest.approx(0.075)),
        (3, pytest.approx(0.05)),
        (4, pytest.approx(0.025)),
    ]


def test_a_plateau_lowers_the_rate_as_torchs_does() -> None:
    losses = [1.0, 0.9, 0.95, 0.9, 0.93, 0.8, math.nan, 0.81, 0.82, 0.83, 0.84, 0.79, math.inf, 1.0]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=1e-3
    )
    plateau = Plateau(factor=0.5, patience=2)
    for loss in losses:
        plateau.observe(loss)
        torchs.step(loss)
        assert plateau(0.3) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert plateau(0.3) < 1


class InterruptAfter:
    """Raises SIGINT within an epoch."""

    def __init__(self, step: int) -> None:
        self.step = step

    def started(self, progress: object) -> None: ...

    def stepped(self, reading: dict[str, int]) -> None:
        import signal

        if reading["step"] == self.step and reading["kind"] == "window":
            signal.raise_signal(signal.SIGINT)

    def epoch_ended(self, reading: object) -> None: ...

    def ended(self, reason: str) -> None: ...


def test_a_plateau_goes_on_where_it_was_when_the_run_is_resumed(tmp_path: Path) -> None:
    recipe = tw.Recipe(
        epochs=12, schedule="plateau(patience=1, factor=0.5, threshold=0.2)", window=2, warmup=0.0
    )
    whole = tw.fit("mlp", "iris", recipe, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        tw.fit("mlp", "iris", recipe, out=tmp_path / "cut", observers=[InterruptAfter(58)])
    resumed = tw.resume(tmp_path / "cut")
    assert resumed.weights_sha256 == whole.weights_sha256
    rates = [row["learning_rate"] for row in whole.history if row["kind"] == "epoch"]
    assert rates[-1] < rates[0]
    assert dataclasses.asdict(whole.recipe)["schedule"].startswith("plateau")
