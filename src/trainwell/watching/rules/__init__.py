"""Rules: pure functions from a history of readings to findings, one family of faults a file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.ascent import judge_ascent
from trainwell.watching.rules.backward import judge_backward
from trainwell.watching.rules.batch_norm import judge_batch_norm
from trainwell.watching.rules.fit import judge_fit
from trainwell.watching.rules.frozen import judge_frozen
from trainwell.watching.rules.gradients import judge_gradients
from trainwell.watching.rules.initialisation import judge_initialisation
from trainwell.watching.rules.inputs import judge_inputs
from trainwell.watching.rules.labels import judge_labels
from trainwell.watching.rules.leaks import judge_leaks
from trainwell.watching.rules.learning_rate import judge_learning_rate
from trainwell.watching.rules.losses import judge_losses
from trainwell.watching.rules.modes import judge_modes
from trainwell.watching.rules.order import judge_order
from trainwell.watching.rules.outputs import judge_outputs
from trainwell.watching.rules.reduction import judge_reduction
from trainwell.watching.rules.symptom import judge_symptom
from trainwell.watching.rules.units import judge_units
from trainwell.watching.rules.wiring import judge_wiring
from trainwell.watching.sources import locate

logger = logging.getLogger("trainwell.watching")

Rule = Callable[[History], Iterable[Finding]]

RULES: tuple[Rule, ...] = (
    judge_wiring,
    judge_ascent,
    judge_frozen,
    judge_backward,
    judge_modes,
    judge_batch_norm,
    judge_outputs,
    judge_losses,
    judge_reduction,
    judge_inputs,
    judge_initialisation,
    judge_gradients,
    judge_units,
    judge_learning_rate,
    judge_order,
    judge_labels,
    judge_leaks,
    judge_fit,
    judge_symptom,
)


def judge(history: History, rules: Iterable[Rule] = RULES) -> list[Finding]:
    """What all rules find; a rule that fails on an odd history finds nothing."""
    findings: list[Finding] = []
    for rule in rules:
        try:
            findings += rule(history)
        except Exception:
            logger.warning("the rule %s failed", getattr(rule, "__name__", rule), exc_info=True)
    return [locate(finding, history) for finding in findings]
