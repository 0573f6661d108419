"""`tw.check` names planted faults and is silent about their healthy twins."""

from __future__ import annotations

import os

import pytest
import torch

from tests.checks.planted.outcomes import observe_all
from tests.checks.planted.registry import FAULTS
from tests.checks.planted.twins import train_twin
from trainwell.findings import CODES

NAMES = [fault.name for fault in FAULTS]
SOME = FAULTS if os.environ.get("TRAINWELL_EVERY_PROGRAM") else FAULTS[1::2]
"""The whole suite takes ten minutes (`make test-corpus`)."""


def test_the_suite_is_as_large_as_promised_and_every_name_is_its_own() -> None:
    assert len(SOME) >= 60
    assert len(set(NAMES)) == len(NAMES)
    assert all(fault.codes and set(fault.codes) <= set(CODES) for fault in FAULTS)
    assert all(fault.about.endswith(".") for fault in FAULTS)


@pytest.mark.parametrize("name", ["wine-as-measured", "empty-cells", "attention-between-texts"])
@pytest.mark.parametrize("faulty", [True, False])
def test_a_program_is_alike_each_time(name: str, faulty: bool) -> None:
    fault = FAULTS[NAMES.index(name)]
    first, second = fault.build(faulty), fault.build(faulty)
    for one, other in zip(first.data, second.data, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_at_least_95_percent_of_faults_are_named_and_at_most_2_percent_of_twins_alarmed() -> None:
    outcomes = list(observe_all([fault.name for fault in SOME]))
    missed = [outcome.name for outcome in outcomes if not outcome.is_named]
    alarms = {outcome.name: outcome.twin for outcome in outcomes if outcome.is_false_alarm}
    assert len(missed) <= 0.05 * len(outcomes), missed
    assert len(alarms) <= 0.02 * len(outcomes), alarms


@pytest.mark.slow
def test_every_healthy_twin_learns() -> None:
    idle = [fault.name for fault in SOME if not train_twin(fault).learned]
    assert not idle
