"""The symptom that is left when no cause was found."""

from __future__ import annotations

import pytest
import torch

from tests.watching.programs import Program, blobs, mlp
from tests.watching.rules.histories import codes, falling, history, standing, stuck
from tests.watching.rules.twins import find
from trainwell.findings import Finding
from trainwell.watching.causes import rank


def test_a_training_without_a_pattern_in_its_data_does_not_learn() -> None:
    x, _ = blobs()
    y = torch.randint(5, (600,), generator=torch.Generator().manual_seed(9))
    program = Program(lambda: mlp(20, 5, hidden=4), (x, y), epochs=10)
    everything = [g.code for f in find(program) for g in (f, *f.effects)]
    assert "not_learning" in everything


@pytest.mark.parametrize(("steps", "found"), [(149, False), (200, True)])
def test_nothing_is_said_before_150_steps(steps: int, found: bool) -> None:
    assert ("not_learning" in codes(stuck(losses=standing(steps=steps)))) == found


def test_a_loss_that_falls_is_learning() -> None:
    assert codes(history(losses=falling())) == []


def test_the_symptom_is_never_the_root_of_a_training_whose_cause_is_known() -> None:
    cause = Finding("lr_too_low", "warning")
    (root,) = rank([Finding("not_learning", "warning"), cause])
    assert root.code == "lr_too_low"
    assert [effect.code for effect in root.effects] == ["not_learning"]
