"""How well the model fits what it was trained on, and why it does not fit better."""

from __future__ import annotations

from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.augmentation import find_bad_augmentation
from trainwell.watching.rules.overfitting import find_overfitting
from trainwell.watching.rules.regularisation import find_over_regularisation
from trainwell.watching.rules.underfitting import find_underfitting

ENOUGH = 100


def judge_fit(history: History) -> Iterable[Finding]:
    """Overfitting, underfitting, too much regularisation, augmentation that destroys."""
    yield from find_overfitting(history)
    if history.trend.count < ENOUGH or history.trend.broken:
        return
    regularised = list(find_over_regularisation(history))
    yield from regularised
    if not regularised:
        yield from find_bad_augmentation(history)
        yield from find_underfitting(history)
