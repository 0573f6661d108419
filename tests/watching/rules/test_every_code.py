"""No code of the vocabulary is without a training that shows it."""

from __future__ import annotations

from tests.watching.rules import (
    test_fit,
    test_gradients,
    test_initialisation,
    test_inputs,
    test_labels,
    test_learning_rate,
    test_modes,
    test_outputs,
    test_units,
    test_wiring,
)
from trainwell.findings import CODES

FAMILIES = (
    test_fit, test_gradients, test_initialisation, test_inputs, test_labels, test_learning_rate,
    test_modes, test_outputs, test_units, test_wiring,
)  # fmt: skip


def test_every_root_cause_has_a_training_with_it_and_a_healthy_twin() -> None:
    shown = {twins.code for family in FAMILIES for twins in family.CASES.values()}
    assert shown == set(CODES) - {"not_learning"}
