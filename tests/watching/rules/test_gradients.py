"""Gradients that vanish or explode."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.watching.programs import Program, adam, blobs, echoes, mlp
from tests.watching.rules.histories import (
    FACTS,
    codes,
    falling,
    history,
    parameters,
    readings,
    standing,
    stuck,
)
from tests.watching.rules.twins import Twins, assert_named, assert_silent
from trainwell.watching.probing import Probe

BLOBS = blobs()


class Stretching(nn.Module):
    """A recurrence whose matrix begins as a multiple of the identity."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.cells = nn.RNN(3, 16, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(16, 2)
        with torch.no_grad():
            self.cells.weight_hh_l0.copy_(factor * torch.eye(16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cells(x)[0][:, -1])


def one_bad_row() -> tuple[torch.Tensor, torch.Tensor]:
    x = BLOBS[0].clone()
    x[37] = math.nan
    return x, BLOBS[1]


CASES = {
    "ten layers of sigmoid": Twins(
        "vanishing_gradient",
        Program(lambda: mlp(20, 5, depth=10, activation=nn.Sigmoid), BLOBS, epochs=6),
        Program(lambda: mlp(20, 5, depth=3), BLOBS, epochs=6),
    ),
    "a recurrence that stretches its state": Twins(
        "exploding_or_nan",
        Program(lambda: Stretching(2.0), echoes(steps=60), optimizer=adam(1e-2), epochs=4),
        Program(lambda: Stretching(0.9), echoes(steps=12), optimizer=adam(5e-3), epochs=16),
    ),
    "a row of the data that is NaN": Twins(
        "exploding_or_nan",
        Program(lambda: mlp(20, 5), one_bad_row(), epochs=2),
        Program(lambda: mlp(20, 5), BLOBS, epochs=6),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named(name: str) -> None:
    assert_named(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_its_healthy_twin_is_left_alone(name: str) -> None:
    assert_silent(CASES[name])


def test_a_healthy_history_is_left_alone() -> None:
    assert codes(history()) == []


@pytest.mark.parametrize(("ratio", "found"), [(5e-4, True), (2e-3, False)])
def test_first_layers_vanish_below_a_thousandth_of_the_last(ratio: float, found: bool) -> None:
    late = readings(parameters=parameters((0.01 * ratio, 0.002, 0.01)))
    mixed = (*readings()[:4], *late[4:])
    assert ("vanishing_gradient" in codes(stuck(readings=mixed))) == found


@pytest.mark.parametrize(("ratio", "found"), [(5e-3, True), (2e-2, False)])
def test_below_a_hundredth_is_enough_where_it_was_so_from_the_start(
    ratio: float, found: bool
) -> None:
    start = readings(parameters=parameters((1e-5, 0.002, 0.01)))
    late = readings(parameters=parameters((0.01 * ratio, 0.002, 0.01)))
    mixed = (*start[:4], *late[4:])
    assert ("vanishing_gradient" in codes(stuck(readings=mixed))) == found


def test_a_small_gradient_of_a_training_that_learns_is_no_fault() -> None:
    small = readings(parameters=parameters((1e-6, 0.002, 0.01)))
    assert codes(history(readings=small)) == []


def test_one_step_with_a_small_gradient_is_no_fault() -> None:
    once = readings(parameters=parameters((1e-7, 0.002, 0.01)))
    mixed = (*readings()[:12], once[12], *readings()[13:])
    assert "vanishing_gradient" not in codes(stuck(readings=mixed))


def test_before_twenty_steps_nothing_is_said_of_gradients() -> None:
    small = readings(parameters=parameters((1e-7, 0.002, 0.01)))
    young = stuck(losses=standing(steps=19), readings=small[:3])
    assert "vanishing_gradient" not in codes(young)


@pytest.mark.parametrize(
    ("ratio", "recurrent", "found"),
    [(1e-6, True, True), (1e-2, True, False), (1e-6, False, False)],
)
def test_a_recurrent_model_that_is_stuck_must_hear_of_its_first_time_step(
    ratio: float, recurrent: bool, found: bool
) -> None:
    seen = stuck(facts=replace(FACTS, recurrent=recurrent), probe=Probe(time_ratio=ratio))
    assert ("vanishing_gradient" in codes(seen)) == found


@pytest.mark.parametrize(("end", "found"), [(100.0, True), (20.0, False)])
def test_a_loss_explodes_at_twenty_times_its_start(end: float, found: bool) -> None:
    rising = [(k, 1.6 * (end / 1.6) ** min(1.0, k / 100)) for k in range(200)]
    assert ("exploding_or_nan" in codes(history(losses=rising))) == found


@pytest.mark.parametrize(("end", "found"), [(1e4, True), (1.0, False)])
def test_a_first_loss_of_a_million_is_an_explosion_only_if_it_stays_high(
    end: float, found: bool
) -> None:
    losses = [(k, end + 1e6 * 0.9**k) for k in range(200)]
    wrong = tuple(replace(r, outputs=replace(r.outputs, standard_loss=1e6)) for r in readings())
    seen = history(losses=losses, readings=wrong)
    assert ("exploding_or_nan" in codes(seen)) == found


def test_a_loss_that_is_not_finite_is_an_explosion_even_without_a_known_origin() -> None:
    broken = [*falling(steps=50), (50, math.nan)]
    assert "exploding_or_nan" in codes(history(losses=broken))


def test_recurrent_weights_that_forget_are_named() -> None:
    sizes = {**FACTS.first_sizes, "cells.weight_hh_l0": 0.03}
    facts = replace(FACTS, recurrent=True, first_sizes=sizes)
    assert "vanishing_gradient" in codes(stuck(facts=facts, probe=Probe()))


@pytest.mark.parametrize(("spread", "found"), [(1e-9, True), (0.1, False)])
def test_a_recurrent_model_that_answers_alike_to_everything_has_forgotten(
    spread: float, found: bool
) -> None:
    seen = stuck(facts=replace(FACTS, recurrent=True), probe=Probe(time_ratio=1.0))
    made = [replace(r, outputs=replace(r.outputs, spread=spread)) for r in seen.readings]
    alike = replace(seen, readings=made)
    assert ("vanishing_gradient" in codes(alike)) == found


@pytest.mark.parametrize(("first", "found"), [(1e-9, False), (1e-2, True)])
def test_a_gradient_that_began_with_nothing_grows_by_any_factor(first: float, found: bool) -> None:
    early = readings(parameters=parameters((first, 1e-2, 1e-2)))
    now = readings(parameters=parameters((1e3 * 1.2 * first, 0.02, 0.02)))
    assert ("exploding_or_nan" in codes(stuck(readings=(*early[:6], *now[6:])))) == found
