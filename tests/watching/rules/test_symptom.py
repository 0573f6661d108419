"""The symptom that is left when no cause was found."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import trainwell as tw
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


def test_a_generator_whose_judge_is_undecided_may_have_learned() -> None:
    torch.manual_seed(0)
    model, judge = mlp(8, 2), mlp(2, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.5, 0.9))
    judging = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.9))
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    real, made = torch.ones(64, 1), torch.zeros(64, 1)
    bce = functional.binary_cross_entropy_with_logits
    for _ in range(300):
        examples, noise = 1 + 0.3 * torch.randn(64, 2), torch.randn(64, 8)
        judged = bce(judge(examples), real) + bce(judge(model(noise).detach()), made)
        judging.zero_grad()
        judged.backward()
        judging.step()
        outputs = model(noise)
        loss = bce(judge(outputs), real)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=noise, outputs=outputs)
    assert [f.code for f in watcher.findings() if f.severity != "note"] == []
