"""Units that no longer answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.watching.programs import Program, blobs, mlp, rings
from tests.watching.rules.histories import (
    FACTS,
    OUTPUTS,
    codes,
    falling,
    history,
    readings,
    stuck,
    units,
)
from tests.watching.rules.twins import Twins, assert_named, assert_silent
from trainwell.watching.data_facts import DataFacts
from trainwell.watching.facts import collect_facts
from trainwell.watching.loss_graph import LossGraph
from trainwell.watching.readings import LayerReading

BLOBS = blobs()


def dead() -> nn.Module:
    model = mlp(20, 5)
    nn.init.constant_(model[0].bias, -30.0)
    return model


def saturated() -> nn.Module:
    model = mlp(2, 2, activation=nn.Tanh)
    for layer in (model[0], model[2]):
        nn.init.uniform_(layer.bias, 15.0, 25.0)
    return model


CASES = {
    "biases far below zero": Twins(
        "dying_relu", Program(dead, BLOBS, epochs=6), Program(lambda: mlp(20, 5), BLOBS, epochs=6)
    ),
    "tanh at its ends": Twins(
        "saturated_units",
        Program(saturated, rings(), epochs=6),
        Program(lambda: mlp(2, 2, activation=nn.Tanh), rings(), epochs=20),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named_with_its_layer(name: str) -> None:
    assert_named(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_its_healthy_twin_is_left_alone(name: str) -> None:
    assert_silent(CASES[name])


@pytest.mark.parametrize(("share", "found"), [(0.95, True), (0.6, True), (0.4, False)])
def test_more_than_half_of_the_units_must_be_dead(share: float, found: bool) -> None:
    assert ("dying_relu" in codes(stuck(windows=[units(share)] * 6))) == found


def test_units_that_answered_in_one_window_of_the_last_are_not_dead() -> None:
    windows = [units(0.95)] * 5 + [units(0.2)]
    assert "dying_relu" not in codes(stuck(windows=windows))


def test_few_examples_are_too_few_to_call_a_unit_dead() -> None:
    assert "dying_relu" not in codes(stuck(windows=[units(0.95, examples=10)] * 3))


def test_sparse_units_of_a_training_that_learns_are_no_fault() -> None:
    assert codes(history(windows=[units(0.7)] * 6)) == []


@pytest.mark.parametrize(("neighbour_fit", "found"), [(0.9, True), (0.3, False)])
def test_dead_units_are_none_that_a_regression_lacks_where_it_reaches_its_neighbours(
    neighbour_fit: float, found: bool
) -> None:
    answers = replace(
        OUTPUTS,
        columns=1,
        target_counts=(),
        right_counts=(),
        predicted_counts=(),
        target_mean=0.0,
        target_std=1.0,
        standard_loss=1.0,
        accuracy=float("nan"),
    )
    seen = history(
        facts=replace(FACTS, task="regression"),
        graph=LossGraph(kind="mse", reduction="mean", direct=True),
        losses=falling(1.0, 0.6),
        readings=readings(outputs=answers),
        windows=[units(0.6)] * 6,
        data=DataFacts(examples=500, features=20, neighbour_fit=neighbour_fit),
    )
    assert ("dying_relu" in codes(seen)) == found


@pytest.mark.parametrize(("share", "found"), [(0.9, True), (0.5, False)])
def test_more_than_sixty_per_cent_must_be_saturated(share: float, found: bool) -> None:
    layers = (LayerReading("1", "tanh", 0.0, 1.0, share),)
    seen = stuck(readings=readings(layers=layers))
    assert ("saturated_units" in codes(seen)) == found


def test_an_attention_that_always_looks_at_one_place_is_saturated() -> None:
    layers = (LayerReading("1", "softmax", 0.1, 0.3, 1.0),)
    assert "saturated_units" in codes(stuck(readings=readings(layers=layers)))


@pytest.mark.parametrize(("bias", "found"), [(20.0, True), (5.0, False)])
def test_a_gate_that_is_held_shut_is_saturated(bias: float, found: bool) -> None:
    seen = stuck(facts=replace(FACTS, recurrent=True, first_gates=bias))
    assert ("saturated_units" in codes(seen)) == found


def test_the_bias_of_a_gate_is_that_of_both_of_torchs_biases() -> None:
    cells = nn.GRU(2, 4)
    nn.init.constant_(cells.bias_ih_l0[4:8], 6.0)
    nn.init.constant_(cells.bias_hh_l0[4:8], 5.0)
    optimizer = torch.optim.SGD(cells.parameters(), lr=0.1)
    assert collect_facts(cells, optimizer, None, None).first_gates == pytest.approx(11.0)


def test_units_that_died_in_the_first_half_of_a_short_training_are_dead() -> None:
    windows = [units(share) for share in (0.0, 0.4, 0.7, 0.8, 0.7)]
    assert "dying_relu" in codes(stuck(windows=windows))
