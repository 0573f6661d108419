"""The symptom that is left when no cause was found."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import is_warming_up, skill

ENOUGH = 150


def judge_symptom(history: History) -> Iterable[Finding]:
    """A loss that stands at that of a constant prediction."""
    trend = history.trend
    if trend.count < ENOUGH or not math.isfinite(trend.level) or trend.broken:
        return
    if is_warming_up(history):
        return
    if skill(history) > 0.03 or trend.fall > 0.3 or trend.late_fall > 0.01:
        return
    yield Finding(
        code="not_learning",
        severity="warning",
        step=history.step,
        evidence={"loss": trend.last, "of_constant_prediction": trend.last / trend.level},
        cause=f"After {trend.count} steps the loss is {trend.last:.3g}, no better than that of a "
        f"constant prediction ({trend.last / trend.level:.3g}).",
        remedy="Try to fit ten examples to zero loss: if that fails, the model or the loop is "
        "wrong; if not, the data.",
        reference="Karpathy 2019 (A recipe for training neural networks)",
    )
