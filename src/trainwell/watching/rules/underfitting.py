"""Models that are too small, or of the wrong kind, for what the data would tell."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import accuracy, base_rate, is_warming_up, skill


def find_underfitting(history: History) -> Iterable[Finding]:
    """A plateau far above what the nearest neighbours achieve (Cover & Hart 1967)."""
    trend, data, facts = history.trend, history.data, history.facts
    still_falls = trend.late_fall > 0.03 or is_warming_up(history)
    weighted = not 0.8 < history.loss_factor < 1.25
    # Neighbours of examples as they are say little of those that are changed in training.
    changed = data is not None and data.changed > 0.5
    if data is None or changed or still_falls or weighted or skill(history) > 0.9:
        return
    if history.is_classification:
        own, possible, base = accuracy(history), data.neighbours, base_rate(history)
        if not (math.isfinite(own) and math.isfinite(possible)):
            return
        linear = facts.weight_layers <= 1
        missing = possible - own > (0.06 if linear else 0.15) and (own > base + 0.02 or linear)
        numbers = {"train_accuracy": own, "nearest_neighbours": possible}
    else:
        own, possible = 1 - trend.level, data.neighbour_fit
        missing = possible - own > 0.25 and possible > 0.4
        numbers = {"train_r2": own, "nearest_neighbours_r2": possible}
    small = facts.weight_layers <= 1 or facts.hidden_units <= 8 or facts.narrowest <= 2
    if not missing or not (small or trend.count > 300):
        return
    yield Finding(
        code="underfitting",
        severity="warning",
        step=history.step,
        evidence={**numbers, "parameters": facts.parameters, "hidden_units": facts.hidden_units},
        cause=f"The training stands at {own:.2f} on its own training examples, where the nearest "
        f"neighbours get {possible:.2f}: a model of {facts.parameters} parameters is too small or "
        "of the wrong kind.",
        remedy="Use more hidden units or layers, or fewer constraints.",
        reference="Cover & Hart 1967; Goodfellow et al. 2016, chapter 5",
    )
