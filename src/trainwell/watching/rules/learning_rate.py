"""Learning rates that are too high or too low."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import (
    DIVIDE_BY_SUMS,
    ENOUGH_STEPS,
    column,
    first_rate,
    is_stuck,
    is_warming_up,
    late,
    middle,
    pull_of_decay,
    skill,
    typical,
    update_ratio,
    usual_limit,
    weights,
)
from trainwell.watching.rules.momentum import find_high_momentum
from trainwell.watching.rules.schedule import find_bad_schedule
from trainwell.watching.rules.units import dead_at_start


def judge_learning_rate(history: History) -> Iterable[Finding]:
    """Size of the steps against the weights, and what the loss makes of them."""
    if history.trend.count < ENOUGH_STEPS and not history.diverged:
        return
    momentum = list(find_high_momentum(history))
    yield from momentum
    schedule = list(find_bad_schedule(history))
    yield from schedule
    if not momentum and not schedule:
        yield from _too_high(history)
        yield from list(_too_low(history)) or _slow_group(history)


def _too_high(history: History) -> Iterable[Finding]:
    steps = _measure_steps(history)
    if (dead_at_start(history) > 0.6 and not _is_extreme(history, 3)) or pull_of_decay(history) > 1:
        return
    diverged = _has_diverged(history)
    if not (_leaps(history) or _is_bold(history, steps, diverged) or _is_large(history, steps)):
        return
    trend, rate = history.trend, first_rate(history)
    yield Finding(
        code="lr_too_high",
        severity="error" if diverged or skill(history) < 0.3 else "warning",
        step=history.step,
        evidence={
            "learning_rate": rate,
            "update_ratio": steps.largest,
            "loss_start": trend.start,
            "loss_last": trend.last,
            "loss_worst": trend.worst,
        },
        cause=f"Each update changes the weights by {100 * steps.largest:.2g} % of their size "
        f"(about 0.1 % is usual) at a learning rate of {rate:g}; the loss went from "
        f"{trend.start:.3g} to {trend.last:.3g}, with peaks of {trend.worst:.3g}.",
        remedy="Divide the learning rate by 10, and again until the loss falls smoothly.",
        reference="Bengio 2012 (Practical recommendations)",
    )


@dataclass(frozen=True)
class Steps:
    """Update ratios without what weight decay takes; not-a-number where unknown."""

    first: float
    late: float

    @property
    def largest(self) -> float:
        """Of the two."""
        return max((x for x in (self.first, self.late) if math.isfinite(x)), default=math.nan)


def _measure_steps(history: History) -> Steps:
    recent = [r for r in history.readings if r.step > 0.4 * history.step]
    late_ratio = update_ratio(history, recent[-12:]) - _decayed(history)
    if history.facts.optimizer in DIVIDE_BY_SUMS:  # large steps become small by themselves
        return Steps(math.nan, late_ratio)
    return Steps(update_ratio(history, history.readings[:12]) - _decayed(history), late_ratio)


def _has_diverged(history: History) -> bool:
    trend = history.trend
    rises = trend.last > 1.5 * max(trend.start, 1e-12) and not _epochs_fall(history)
    if trend.start <= 0:  # of a loss around nought, a factor says nothing
        rises = trend.last - trend.start > max(abs(trend.start), 5 * trend.noise)
        rises = rises and not _epochs_fall(history)
    return history.diverged or rises


def _is_extreme(history: History, factor: float) -> bool:
    """Whether an adaptive optimiser is given a rate that none takes."""
    return history.facts.adaptive and first_rate(history) > factor * usual_limit(history)


def _leaps(history: History) -> bool:
    """Whether the first step moves the weights by more than their own size."""
    facts = history.facts
    if facts.optimizer in DIVIDE_BY_SUMS or facts.weight_layers <= 1 or skill(history) >= 0.9:
        return False
    return update_ratio(history, history.readings[:1]) - _decayed(history) > 1


def _is_bold(history: History, steps: Steps, diverged: bool) -> bool:
    """Whether rate and steps are large and the loss shows it."""
    trend, learned, largest = history.trend, skill(history), steps.largest
    over = first_rate(history) > usual_limit(history)
    bold = largest > 0.08 or (over and largest > 0.02)
    turns = middle(r.turn for r in history.readings[4:])
    spiky = trend.worst > 3 * max(trend.start, 1e-12) and trend.worst > 3 * abs(trend.last)
    restless = trend.noise > 0.25 * abs(trend.last) and learned < 0.6 and turns < -0.1
    return (
        (bold and (diverged or (learned < 0.5 and trend.fall < 0.35)))
        or (largest > 0.03 and (diverged or restless or (spiky and learned < 0.6)))
        or (diverged and first_rate(history) >= 0.5 * usual_limit(history))
    )


def _is_large(history: History, steps: Steps) -> bool:
    """Whether rate or steps are larger than any that would be right, and not all was learned."""
    learned, trend = skill(history), history.trend
    noisy = trend.noise > 0.3 * abs(trend.last)
    return (
        (_is_extreme(history, 1) and noisy and learned < 0.9)
        or ((steps.first > 0.25 or steps.late > 0.2) and learned < 0.8)
        or (_is_extreme(history, 9) and learned < 0.8)
    )


def _epochs_fall(history: History) -> bool:
    """Whether the mean loss of the last epoch is the lowest: single examples' losses vary much."""
    means = [e.values["train_loss"] for e in history.epochs if "train_loss" in e.values]
    return len(means) >= 2 and means[-1] == min(means) < means[0]


def _decayed(history: History) -> float:
    """The share of the weights that weight decay takes in a step: not the rate's doing."""
    facts = history.facts
    if facts.adaptive and not facts.decouples:
        return 0.0  # it is divided like the gradient
    share = middle(rate for _, rate in history.rates) * facts.weight_decay
    if not facts.decouples:
        share /= 1 - min(facts.momentum, 0.99)
    return share if math.isfinite(share) else 0.0


def _too_low(history: History) -> Iterable[Finding]:
    trend, rate = history.trend, first_rate(history)
    if trend.count < 50 or skill(history) > 0.5 or trend.broken or is_warming_up(history):
        return
    ratio = update_ratio(history, late(history))
    gradients = middle(middle(p.gradient for p in weights(r)) for r in history.readings)
    small_rate = rate < (5e-5 if history.facts.adaptive else 2e-4)
    if history.facts.optimizer in DIVIDE_BY_SUMS:
        small_rate = rate < 5e-3
    # A small step that goes on in one direction would be a larger one at no risk.
    turns = middle(r.turn for r in history.readings)
    idle = is_stuck(history) and rate < 0.003 and _could_be_learned(history)
    straight = turns > 0.7 and (is_stuck(history) or trend.fall < 0.2)
    straight |= small_rate and turns > 0.5 and trend.fall < 0.1
    creeps = _creeps(history)
    limit = 1e-3 if straight or idle or creeps else 4e-4 if is_stuck(history) else 2e-4
    slow = ratio < limit and ratio * trend.count < 0.25
    steady = (
        straight or creeps or (turns > 0.2 and ratio < 1e-4) or (turns > 0.4 and is_stuck(history))
    )
    if not (slow and (small_rate or steady or idle)) or not gradients > 1e-9:
        return
    yield Finding(
        code="lr_too_low",
        severity="warning",
        step=history.step,
        evidence={"learning_rate": rate, "update_ratio": ratio, "loss_fall": trend.fall},
        cause=f"Each update changes the weights by only {100 * ratio:.1g} % of their size (about "
        f"0.1 % is usual) at a learning rate of {rate:g}; in {trend.count} steps the loss fell by "
        f"{100 * trend.fall:.2g} %.",
        remedy="Multiply the learning rate by 10, and again until the loss falls quickly.",
        reference="Bengio 2012 (Practical recommendations)",
    )


def _creeps(history: History) -> bool:
    """Whether the loss falls in every epoch, as fast in the end as ever, and is hardly lower."""
    losses = column(history, "valid_loss") or column(history, "train_loss")
    falls = [before - now for before, now in pairwise(losses)]
    if len(falls) < 5 or min(falls) <= 0 or not history.trend.level > 0.9:
        return False
    return falls[-1] > 0.5 * sum(falls) / len(falls)


def _could_be_learned(history: History) -> bool:
    """Whether plain descent has learned nothing where neighbours tell nearly everything."""
    data, facts = history.data, history.facts
    if data is None or facts.adaptive or facts.momentum > 0:
        return False
    return data.neighbours > 0.9 or data.neighbour_fit > 0.9


def _slow_group(history: History) -> Iterable[Finding]:
    """Parameters whose group of the optimiser has a rate far below that of the others."""
    slow = [name for name in history.facts.slow_group if name in history.facts.first_sizes]
    moves = typical(late(history), lambda p: p.update_ratio)
    own = middle(moves.get(name, math.nan) for name in slow)
    others = middle(ratio for name, ratio in moves.items() if name not in slow)
    stands = not own > 0.02 * others
    if not slow or not stands or history.trend.count < 50 or skill(history) > 0.9:
        return
    yield Finding(
        code="lr_too_low",
        severity="warning",
        where=slow[0],
        step=history.step,
        evidence={"weights": len(slow)},
        cause=f"The group of {', '.join(slow[:3])} has a learning rate below a 300th of the "
        "largest group's: these weights stand still.",
        remedy="Give all groups rates within a factor of 100, or freeze what is to stay.",
        reference="Howard & Ruder 2018 (discriminative fine-tuning)",
    )
