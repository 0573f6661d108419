"""All checks, in the order in which they are made."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainwell.checks.state_as_found import state_as_found
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import CheckReport, Verdict, skip
from trainwell.errors import TrainwellError, first_line

Check = Callable[[Subject], Sequence[Verdict]]


@dataclass(frozen=True)
class NamedCheck:
    """One check of the suite.

    Attributes:
        name: By which it can be asked for.
        run: Looks at a subject, which it leaves as it is.
        is_cheap: Whether `fit` makes it before every training.
        needs_healthy_data: Whether it runs the model on the data, which data at fault would spoil.
    """

    name: str
    run: Check
    is_cheap: bool = False
    needs_healthy_data: bool = True


CHECKS: tuple[NamedCheck, ...] = ()


def run_checks(subject: Subject, checks: Sequence[NamedCheck]) -> CheckReport:
    """What these checks say; model, optimiser and random numbers are left as they were found.

    A check that fails by itself is skipped and says why: it must not keep anybody from training.
    """
    began = time.monotonic()
    verdicts: list[Verdict] = []
    with state_as_found(subject.model, subject.optimizer, subject.seed, subject.device):
        for check in checks:
            if check.needs_healthy_data and _is_spoilt(verdicts):
                verdicts.append(skip(check.name, "the data must be mended first"))
                continue
            try:
                verdicts += check.run(subject)
            except TrainwellError as error:
                verdicts.append(skip(check.name, str(error)))
            except Exception as error:
                reason = f"it could not be made: {type(error).__name__}: {first_line(error)}"
                verdicts.append(skip(check.name, reason))
    return CheckReport(tuple(verdicts), subject.title, time.monotonic() - began)


def _is_spoilt(verdicts: Sequence[Verdict]) -> bool:
    """Whether the data cannot be run through the model: not finite, or labels out of range."""
    return any(
        finding.severity == "error" and finding.evidence.get("unusable")
        for verdict in verdicts
        for finding in verdict.findings
    )
