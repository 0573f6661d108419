"""The checks are made in order, and within the time that there is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.checks.initial_state.ordinary_programs import digits, mlp
from trainwell.checks.given import subject_of
from trainwell.checks.initial_state.activations import check_activations
from trainwell.checks.initial_state.first_pass import FEWEST
from trainwell.checks.subject import Subject
from trainwell.checks.suite import CHECKS, NamedCheck, run_checks


def subject() -> Subject:
    return subject_of(mlp((64, 32, 10)), digits(), loss_fn=nn.CrossEntropyLoss())


def test_without_a_limit_no_check_is_left_out() -> None:
    report = run_checks(subject(), [check for check in CHECKS if check.is_cheap])
    assert not any("left out" in verdict.skipped for verdict in report.verdicts)


def test_no_check_is_begun_after_the_limit() -> None:
    report = run_checks(subject(), CHECKS, limit=0.0)
    assert {verdict.check for verdict in report.verdicts} == {check.name for check in CHECKS}
    assert all(verdict.skipped == "left out, to stay within 0 s" for verdict in report.verdicts)
    assert not report.findings


def test_a_check_whose_passes_would_take_too_long_is_left_out() -> None:
    checks = [
        NamedCheck("quick", check_activations),
        NamedCheck("slow", check_activations, passes=10**9),
    ]
    quick, *slow = run_checks(subject(), checks, limit=60.0).verdicts
    assert not quick.skipped
    assert slow[-1].skipped == "left out, to stay within 60 s"


class Laborious(nn.Module):
    """Multiplies large matrices for each example; all copies together count the examples."""

    examples = 0

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp((64, 32, 10))

    def forward(self, x: Tensor) -> Tensor:
        scores = self.inner(x)
        Laborious.examples += len(x)
        for _ in range(len(x)):
            torch.ones(700, 700) @ torch.ones(700, 700)
        return scores


def test_a_first_pass_that_would_take_too_long_is_not_begun() -> None:
    laborious = subject_of(Laborious(), digits(), loss_fn=nn.CrossEntropyLoss())
    report = run_checks(laborious, [check for check in CHECKS if check.is_cheap], limit=0.1)
    skipped = {verdict.check for verdict in report.verdicts if "stay within" in verdict.skipped}
    assert {"initial weights", "initial loss", "activations"} <= skipped
    assert Laborious.examples < FEWEST  # only some, to see how long they take
