"""Remedies that are a change of the recipe, and so can be tried out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainwell.findings import Code
from trainwell.optim.optimizers import find_optimizer
from trainwell.training.recipe import DEFAULT_OPTIMIZER, Recipe

FACTORS = (4, 30, 300, 3_000, 100_000)
"""By which a rate is changed: the first that helps is the proof."""
DENSE_FACTORS = (4, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
"""Likewise, where the best one is wanted and not the first."""
CLIPPED_TO = 1.0
Change = Mapping[str, Any]
"""Recipe fields and their new values."""


def propose_changes(code: Code, recipe: Recipe) -> list[Change]:
    """What could be changed against a root cause, the mildest change first; empty: nothing.

    Args:
        code: Of the finding.
        recipe: Complete, of the run that showed it.
    """
    propose = PROPOSALS.get(code)
    return list(propose(recipe)) if propose is not None else []


def propose_widely(code: Code, recipe: Recipe) -> list[Change]:
    """As `propose_changes`, and what else brings about the same: momentum and penalties.

    Args:
        code: Of the finding.
        recipe: Complete, of the run that showed it.
    """
    if code not in MENDABLE:
        return []
    own = list(MENDABLE[code](recipe))
    others = [*_lower_momentum(recipe), *_lift_penalties(recipe)]
    return [*own, *(change for change in others if change not in own)]


def describe_change(change: Change) -> str:
    """A change in words, such as `"learning_rate = 0.01"`."""
    return ", ".join(f"{name} = {_show(value)}" for name, value in change.items())


def _lower_rate(recipe: Recipe, factors: Sequence[int] = FACTORS) -> Sequence[Change]:
    rate = recipe.learning_rate or 0.0
    return [{"learning_rate": rate / factor} for factor in factors]


def _raise_rate(recipe: Recipe, factors: Sequence[int] = FACTORS) -> Sequence[Change]:
    rate = recipe.learning_rate or 0.0
    return [{"learning_rate": rate * factor} for factor in factors]


def _lower_rate_densely(recipe: Recipe) -> Sequence[Change]:
    return _lower_rate(recipe, DENSE_FACTORS)


def _raise_rate_densely(recipe: Recipe) -> Sequence[Change]:
    return _raise_rate(recipe, DENSE_FACTORS)


def _clip_or_lower_rate(recipe: Recipe) -> Sequence[Change]:
    return [*_clip_gradients(recipe), *_lower_rate(recipe)]


def _clip_or_lower_rate_densely(recipe: Recipe) -> Sequence[Change]:
    return [*_clip_gradients(recipe), *_lower_rate_densely(recipe)]


def _clip_gradients(recipe: Recipe) -> Sequence[Change]:
    """The cliffs of recurrent networks are passed at a bounded step (Pascanu et al. 2013)."""
    if find_optimizer(recipe.optimizer or DEFAULT_OPTIMIZER).kind.searches:
        return []  # a search compares losses along the gradient as it is
    return [{"clip_norm": CLIPPED_TO}] if (recipe.clip_norm or math.inf) > CLIPPED_TO else []


def _lower_momentum(recipe: Recipe) -> Sequence[Change]:
    return [{"momentum": 0.9}] if (recipe.momentum or 0.0) > 0.9 else []


def _lift_penalties(recipe: Recipe) -> Sequence[Change]:
    penalties = {"weight_decay": recipe.weight_decay, "l1": recipe.l1, "l2": recipe.l2}
    change = {name: 0.0 for name, value in penalties.items() if value}
    return [change] if change else []


PROPOSALS: Mapping[Code, Callable[[Recipe], Sequence[Change]]] = {
    "lr_too_high": _lower_rate,
    "exploding_or_nan": _clip_or_lower_rate,
    "dying_relu": _lower_rate,
    "saturated_units": _lower_rate,
    "lr_too_low": _raise_rate,
    "momentum_too_high": _lower_momentum,
    "over_regularised": _lift_penalties,
}

MENDABLE: Mapping[Code, Callable[[Recipe], Sequence[Change]]] = {
    **PROPOSALS,
    "lr_too_high": _lower_rate_densely,
    "exploding_or_nan": _clip_or_lower_rate_densely,
    "dying_relu": _lower_rate_densely,
    "saturated_units": _lower_rate_densely,
    "lr_schedule": _lower_rate_densely,
    "lr_too_low": _raise_rate_densely,
}
"""What a repair may try: a replay has no schedule, so it can prove a lower rate against one that
rises too far, but says nothing against one that falls too early.
"""


def _show(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
