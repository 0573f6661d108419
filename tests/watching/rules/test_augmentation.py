"""Augmentation that destroys what the labels rest on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.watching.rules.histories import (
    FACTS,
    INPUTS,
    OUTPUTS,
    STEPS,
    codes,
    history,
    readings,
    standing,
    stuck,
)
from trainwell.watching.data_facts import DataFacts
from trainwell.watching.loss_graph import LossGraph
from trainwell.watching.readings import EpochReading

SEEN_PLAIN = [(0.0, 1.0)] * 3
CHANGED = DataFacts(examples=500, features=20, changed=0.95)


@pytest.mark.parametrize(
    ("moved", "valid_accuracy", "found"),
    [(1.0, 0.7, True), (1.0, 0.93, False), (0.3, 0.7, False)],
)
def test_inputs_that_all_lie_elsewhere_are_named_where_the_validation_suffers(
    moved: float, valid_accuracy: float, found: bool
) -> None:
    told = {"train_metric": 0.95, "valid_metric": valid_accuracy}
    seen = history(
        data=CHANGED,
        readings=readings(inputs=replace(INPUTS, mean=moved)),
        eval_inputs=SEEN_PLAIN,
        epochs=[EpochReading(step, told) for step in (100, 150, STEPS)],
    )
    assert ("bad_augmentation" in codes(seen)) == found


@pytest.mark.parametrize(("neighbours", "found"), [(0.9, True), (0.3, False)])
def test_a_classification_learns_less_than_its_unchanged_neighbours_tell(
    neighbours: float, found: bool
) -> None:
    seen = stuck(data=replace(CHANGED, neighbours=neighbours), eval_inputs=SEEN_PLAIN)
    assert ("bad_augmentation" in codes(seen)) == found


@pytest.mark.parametrize(("neighbour_fit", "found"), [(0.8, True), (0.3, False)])
def test_a_regression_learns_less_than_its_unchanged_neighbours_tell(
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
        losses=standing(1.0),
        readings=readings(outputs=answers),
        data=replace(CHANGED, neighbour_fit=neighbour_fit),
        eval_inputs=SEEN_PLAIN,
    )
    assert ("bad_augmentation" in codes(seen)) == found
