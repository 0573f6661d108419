"""What several rules ask of a history: does it learn, and what do its late readings say?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from trainwell.watching.history import History
from trainwell.watching.readings import LayerReading, ParameterReading, Reading

ENOUGH_STEPS = 20
"""Before these, nothing is said of how a training goes; what is wired wrong is said at once."""

DIVIDE_BY_SUMS = ("adagrad", "adadelta")
"""They take small steps at rates that others would not bear."""

Suspicion = tuple[str, str] | None
"""Cause and remedy of what one rule of several suspects."""

LOSSES_OF_NUMBERS = ("mse", "l1", "smooth_l1", "huber")
"""As `LossGraph.kind` names them."""


def middle(values: Iterable[float]) -> float:
    """The median of the finite ones; not-a-number of none."""
    finite = [v for v in values if math.isfinite(v)]
    return median(finite) if finite else math.nan


def pairing(history: History) -> float:
    """How far the first losses pull outputs towards the targets that are told: 1 wholly, 0 not."""
    known = [o.pairing for o in history.outputs[:8] if math.isfinite(o.pairing)]
    return middle(known) if len(known) >= 3 else math.nan


def accuracy(history: History, count: int = 6) -> float:
    """Share of right classes, in extra passes or the last readings; unknown for regressions."""
    probe = history.probe
    # The last readings may be much older than the end of the training.
    modes = (probe.train.accuracy, probe.as_trained.accuracy) if probe is not None else ()
    probed = max((a for a in modes if math.isfinite(a)), default=math.nan)
    if math.isfinite(probed):
        return probed
    known = [o.accuracy for o in history.late_outputs(count) if math.isfinite(o.accuracy)]
    return sum(known) / len(known) if known else math.nan


def base_rate(history: History) -> float:
    """Share of the commonest class; not-a-number where the classes are not known."""
    counts = history.class_counts
    return max(counts) / sum(counts) if counts and sum(counts) > 0 else math.nan


def skill(history: History) -> float:
    """How much of what a constant prediction leaves open was learned: 0 nothing, 1 all.

    Of both what the loss and what the accuracy says, the better one counts; without knowledge of
    the constant prediction, the share of the first loss that is gone.
    """
    if history.trend.broken:
        return 0.0
    views: list[float] = []
    base, right = base_rate(history), accuracy(history)
    if math.isfinite(right) and math.isfinite(base) and base < 0.98:
        views.append((right - base) / (1 - base))
    if math.isfinite(history.trend.level) and history.trend.last >= 0:
        views.append(1 - history.trend.level)
    return max(views) if views else history.trend.fall


def is_poor(history: History) -> bool:
    """Whether the training is far from what one hopes for."""
    return history.trend.count >= ENOUGH_STEPS and skill(history) < 0.6


def is_stuck(history: History) -> bool:
    """Whether the training has learned next to nothing."""
    return history.trend.count >= ENOUGH_STEPS and skill(history) < 0.12


def late(history: History, share: float = 0.5) -> list[Reading]:
    """The last part of the readings, one at least."""
    count = max(1, round(len(history.readings) * share))
    return list(history.readings[-count:])


def weights(reading: Reading) -> list[ParameterReading]:
    """Its parameters with two or more dimensions, in order."""
    return [p for p in reading.parameters if p.is_weight]


def typical(
    readings: Iterable[Reading], measure: Callable[[ParameterReading], float]
) -> dict[str, float]:
    """The median of a measure over readings, for each weight in order."""
    found: dict[str, list[float]] = {}
    for reading in readings:
        for parameter in weights(reading):
            found.setdefault(parameter.name, []).append(measure(parameter))
    return {name: middle(values) for name, values in found.items()}


def weighted_layers(reading: Reading) -> list[LayerReading]:
    """What its layers with weights put out, in order."""
    return [layer for layer in reading.layers if layer.kind == "weights"]


def update_ratio(history: History, readings: Iterable[Reading]) -> float:
    """Median over steps of the median over weights of the update ratio.

    Weights that began at zero are left out: any first step is large against them.
    """
    zero = history.zero_at_start
    return middle(
        middle(p.update_ratio for p in weights(r) if p.name not in zero) for r in readings
    )


def is_warming_up(history: History) -> bool:
    """Whether the rate is still on its way up: what it will do at its height is not known yet."""
    rates = [rate for _, rate in history.rates]
    peak = max(rates, default=0.0)
    return bool(rates) and rates[-1] >= 0.99 * peak and rates[0] < 0.5 * peak


def first_rate(history: History) -> float:
    """The largest learning rate of the first tenth of the steps."""
    count = max(1, len(history.rates) // 10)
    return max((rate for _, rate in history.rates[:count]), default=math.nan)


def signal_left(history: History) -> float:
    """How much examples differ behind the last hidden layer, over behind the first, at the start.

    Not-a-number for fewer than five layers.
    """
    ratios: list[float] = []
    for reading in history.readings[:3]:
        spreads = [layer.spread for layer in weighted_layers(reading)]
        known = [spread for spread in spreads if math.isfinite(spread)]
        if len(known) >= 5 and known[0] > 0:
            # A branch that begins at zero stands beside one that does not.
            ratios.append(max(known[-3:-1]) / known[0])
    return middle(ratios)


def pull_of_decay(history: History) -> float:
    """What weight decay adds to the late gradients, over their own size; 0 where it is decoupled.

    Above 1 the optimiser mostly shrinks weights.
    """
    decay = history.facts.weight_decay
    if not decay or history.facts.decouples:
        return 0.0
    pulls = [
        decay * p.weight / p.gradient
        for r in late(history)
        for p in weights(r)
        if p.gradient > 0 and p.name in history.facts.trainable
    ]
    return middle(pulls) if pulls else 0.0


def column(history: History, name: str) -> list[float]:
    """What the epochs were told under a name."""
    return [e.values[name] for e in history.epochs if math.isfinite(e.values.get(name, math.nan))]


def recent(values: Sequence[float]) -> float:
    """The median of the last quarter, of five at most; not-a-number of none."""
    return median(values[-max(1, min(5, len(values) // 4)) :]) if values else math.nan


def usual_limit(history: History) -> float:
    """A learning rate that hardly any training of this kind can take."""
    if history.facts.optimizer in DIVIDE_BY_SUMS:
        return 2.0
    if "sparse" in history.facts.optimizer:  # of tables, of which each step meets a few rows
        return 0.3
    return 0.03 if history.facts.adaptive else 1.0 * (1 - min(history.facts.momentum, 0.95))
