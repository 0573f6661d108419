"""What one check says of a hand-written program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tests.checks.initial_state.ordinary_programs import digits, mlp
from trainwell.checks.given import subject_of
from trainwell.checks.subject import Subject
from trainwell.checks.suite import NamedCheck, run_checks
from trainwell.checks.verdict import FAILING, CheckReport, Verdict

Check = Callable[[Subject], Sequence[Verdict]]


def report(
    check: Check, model: nn.Module, data: Any = None, loss: Any = None, **options: Any
) -> CheckReport:
    """What the check finds; by default with cross-entropy on digits."""
    rows = digits() if data is None else data
    subject = subject_of(model, rows, loss_fn=loss or nn.CrossEntropyLoss(), **options)
    found = run_checks(subject, [NamedCheck("one", check)])
    broken = [v.skipped for v in found.verdicts if "could not be made" in v.skipped]
    assert not broken, broken
    return found


def codes(
    check: Check, model: nn.Module, data: Any = None, loss: Any = None, **options: Any
) -> list[str]:
    """Codes that the check finds at error or warning."""
    found = report(check, model, data, loss, **options).findings
    return [finding.code for finding in found if finding.severity in FAILING]


def weights(model: nn.Module, change: Callable[[Tensor], object]) -> nn.Module:
    """The same model with each weight and bias of its linear layers changed in place."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                change(module.weight)
    return model


def seeded(*sizes: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """An MLP with torch's default weights, always the same."""
    torch.manual_seed(0)
    return mlp(sizes, activation)
