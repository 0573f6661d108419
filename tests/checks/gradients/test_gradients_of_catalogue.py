"""Every model of the catalogue has the gradients of its loss."""

from __future__ import annotations

import os

import pytest

import trainwell as tw
from tests.models.fitting_data import few_examples, sizes_of
from trainwell.checks.gradients.gradient_check import look_at_gradients
from trainwell.checks.prepared import subject_of_setting
from trainwell.models.catalogue import CATALOGUE, spec_of
from trainwell.nn.objective import OwnObjective
from trainwell.training.defaults import complete_recipe
from trainwell.training.fitting import prepare
from trainwell.training.precision import PLAIN

SMALL = 300_000
LARGEST = 12_000_000
"""Parameters: larger ones are checked where TRAINWELL_EVERY_MODEL is set."""
MOST_TENSORS = 350

RULES = (
    "perceptron",
    "madaline",
    "madaline_2",
    "madaline_3",
    "rbm",
    "hopfield",
    "self_organising_map",
)
"""Models that follow no gradient of what they show as their loss."""


def marked_by_size() -> list[object]:
    chosen: list[object] = []
    for name in CATALOGUE:
        count, tensors = sizes_of(name)
        is_large = count > LARGEST or tensors > MOST_TENSORS
        if is_large and not os.environ.get("TRAINWELL_EVERY_MODEL"):
            continue
        is_small = count <= SMALL and tensors <= 100
        chosen.append(name if is_small else pytest.param(name, marks=pytest.mark.slow))
    return chosen


@pytest.mark.parametrize("name", marked_by_size())
def test_every_model_passes(name):
    data = few_examples(name, 16)
    model = tw.models.create(name, data, seed=0)
    recipe = complete_recipe(tw.Recipe(), data, spec_of(model))
    subject = subject_of_setting(prepare(model, data, recipe, None, PLAIN), name)
    if name in RULES:
        assert isinstance(model, OwnObjective)
        with pytest.raises(tw.TrainwellError, match="follows a rule of its own"):
            look_at_gradients(subject)
        return
    (verdict,) = look_at_gradients(subject)
    assert verdict.passed and not verdict.findings, verdict.findings
    assert not verdict.skipped
