"""Learning rates that are too high or too low, momentum, and schedules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import (
    ENOUGH_STEPS,
    first_rate,
    is_poor,
    is_stuck,
    is_warming_up,
    late,
    middle,
    pull_of_decay,
    skill,
    typical,
    update_ratio,
    weights,
)
from trainwell.watching.rules.units import dead_at_start
from trainwell.watching.trend import Trend, average_blocks

_DIVIDE_BY_SUMS = ("adagrad", "adadelta")
"""They take small steps at rates that others would not bear."""


def judge_learning_rate(history: History) -> Iterable[Finding]:
    """Size of the steps against the weights, and what the loss makes of them."""
    if history.trend.count < ENOUGH_STEPS and not history.diverged:
        return
    momentum = list(_momentum(history))
    yield from momentum
    schedule = list(_schedule(history))
    yield from schedule
    if not momentum and not schedule:
        yield from _too_high(history)
        yield from list(_too_low(history)) or _slow_group(history)


def _too_high(history: History) -> Iterable[Finding]:
    extreme = history.facts.adaptive and first_rate(history) > 3 * _usual_limit(history)
    if (dead_at_start(history) > 0.6 and not extreme) or pull_of_decay(history) > 1:
        return
    ratio = update_ratio(history, history.readings[:12]) - _decayed(history)
    recent = [r for r in history.readings if r.step > 0.4 * history.step]
    late_ratio = update_ratio(history, recent[-12:]) - _decayed(history)
    largest = max((x for x in (ratio, late_ratio) if math.isfinite(x)), default=math.nan)
    trend, learned, facts = history.trend, skill(history), history.facts
    rate = first_rate(history)
    leaps = update_ratio(history, history.readings[:1]) - _decayed(history) > 1
    if facts.optimizer in _DIVIDE_BY_SUMS:  # steps that begin large become small by themselves
        largest, ratio, leaps = late_ratio, math.nan, False
    rises = trend.last > 1.5 * max(trend.start, 1e-12) and not _epochs_fall(history)
    diverged = history.diverged or rises
    turns = middle(r.turn for r in history.readings[4:])
    spiky = trend.worst > 3 * max(trend.start, 1e-12) and trend.worst > 3 * abs(trend.last)
    restless = trend.noise > 0.25 * abs(trend.last) and learned < 0.6 and turns < -0.1
    bold = largest > 0.08 or (rate > _usual_limit(history) and largest > 0.02)
    if not (
        (leaps and facts.weight_layers > 1 and learned < 0.9)
        or (bold and (diverged or (learned < 0.5 and trend.fall < 0.35)))
        or (
            facts.adaptive
            and rate > _usual_limit(history)
            and learned < 0.9
            and trend.noise > 0.3 * abs(trend.last)
        )
        or ((ratio > 0.25 or late_ratio > 0.2) and learned < 0.8)
        or (largest > 0.03 and (diverged or restless or (spiky and learned < 0.6)))
        or (diverged and rate >= 0.5 * _usual_limit(history))
        or (extreme and rate >= 10 * _usual_limit(history) and learned < 0.8)
    ):
        return
    yield Finding(
        code="lr_too_high",
        severity="error" if diverged or learned < 0.3 else "warning",
        step=history.step,
        evidence={
            "learning_rate": rate,
            "update_ratio": largest,
            "loss_start": trend.start,
            "loss_last": trend.last,
            "loss_worst": trend.worst,
        },
        cause=f"Each update changes the weights by {100 * largest:.2g} % of their size (about "
        f"0.1 % is usual) at a learning rate of {rate:g}; the loss went from {trend.start:.3g} "
        f"to {trend.last:.3g}, with peaks of {trend.worst:.3g}.",
        remedy="Divide the learning rate by 10, and again until the loss falls smoothly.",
        reference="Bengio 2012 (Practical recommendations)",
    )


def _epochs_fall(history: History) -> bool:
    """Whether the mean loss of the last epoch is the lowest: single examples' losses vary much."""
    means = [e.values["train_loss"] for e in history.epochs if "train_loss" in e.values]
    return len(means) >= 2 and means[-1] == min(means) < means[0]


def _decayed(history: History) -> float:
    """The share of the weights that weight decay takes in a step: not the rate's doing."""
    facts = history.facts
    if facts.adaptive and not facts.optimizer.endswith("w"):
        return 0.0  # it is divided like the gradient
    share = middle(rate for _, rate in history.rates) * facts.weight_decay
    if not facts.adaptive:
        share /= 1 - min(facts.momentum, 0.99)
    return share if math.isfinite(share) else 0.0


def _usual_limit(history: History) -> float:
    """A learning rate that hardly any training of this kind can take."""
    if history.facts.optimizer in _DIVIDE_BY_SUMS:
        return 2.0
    return 0.03 if history.facts.adaptive else 1.0 * (1 - min(history.facts.momentum, 0.95))


def _too_low(history: History) -> Iterable[Finding]:
    trend, rate = history.trend, first_rate(history)
    if trend.count < 50 or skill(history) > 0.5 or trend.broken or is_warming_up(history):
        return
    ratio = update_ratio(history, late(history))
    gradients = middle(middle(p.gradient for p in weights(r)) for r in history.readings)
    small_rate = rate < (5e-5 if history.facts.adaptive else 2e-4)
    if history.facts.optimizer in _DIVIDE_BY_SUMS:
        small_rate = rate < 5e-3
    # A small step that goes on in one direction would be a larger one at no risk.
    turns = middle(r.turn for r in history.readings)
    slow = ratio < (4e-4 if is_stuck(history) else 2e-4) and ratio * trend.count < 0.25
    steady = (turns > 0.2 and ratio < 1e-4) or (turns > 0.4 and is_stuck(history))
    if not (slow and (small_rate or steady)) or not gradients > 1e-9:
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


def _momentum(history: History) -> Iterable[Finding]:
    momentum = history.facts.momentum
    if momentum < 0.97:
        return
    trend = history.trend
    swings = _count_swings([loss for _, loss in history.losses])
    bad = history.diverged or is_poor(history) or trend.worst > 2 * max(trend.start, 1e-12)
    # Gradients of a fifth of the training or more are in each step.
    remembers = 1 / max(1 - momentum, 1e-6) > 0.2 * trend.count and skill(history) < 0.9
    bad = bad or (momentum >= 0.99 and remembers)
    if not (bad or swings >= 3):
        return
    if not bad and momentum < 0.99:
        return
    yield Finding(
        code="momentum_too_high",
        severity="error" if bad else "warning",
        step=history.step,
        evidence={"momentum": momentum, "loss_worst": trend.worst, "swings": swings},
        cause=f"A momentum of {momentum:g} sums up about {1 / max(1 - momentum, 1e-6):.0f} "
        f"gradients: the loss swings past its minimum (from {trend.start:.3g} to "
        f"{trend.last:.3g}, with peaks of {trend.worst:.3g}).",
        remedy="Use a momentum of 0.9, or divide the learning rate by ten.",
        reference="Sutskever et al. 2013",
    )


def _count_swings(losses: Sequence[float]) -> int:
    """How often the smoothed loss turns up again by a fifth or more."""
    blocks = average_blocks([x for x in losses if math.isfinite(x)] or [0.0], 40)
    swings, low, high, rising = 0, blocks[0], blocks[0], False
    for value in blocks[1:]:
        if rising:
            high = max(high, value)
            if value < 0.8 * high:
                rising, low = False, value
        else:
            low = min(low, value)
            if value > 1.2 * low:
                rising, high = True, value
                swings += 1
    return swings


def _schedule(history: History) -> Iterable[Finding]:
    rates = [rate for _, rate in history.rates]
    losses = [loss for _, loss in history.losses]
    if len(rates) < 50 or max(rates) <= 0:
        return
    if min(rates) < 0:
        yield _schedule_finding(
            history, rates,
            f"The schedule brings the learning rate below zero, to {min(rates):.2g}: from there on "
            "each step climbs the loss.",
            "End the schedule where the rate is zero, or at a small rate.",
        )  # fmt: skip
        return
    if _is_squared(history, rates):
        yield _schedule_finding(
            history, rates,
            f"The schedule multiplies the rate of {history.initial_rate:g} by itself, to "
            f"{rates[0]:.2g}: LambdaLR takes a factor, not a rate.",
            "Return 1 from the function for the rate as it was given to the optimiser.",
        )  # fmt: skip
        return
    peak = max(rates)
    grows = rates[-1] > 20 * rates[0] > 0 and rates[-1] >= 0.99 * peak
    # A warm-up that has not ended looks the same, but for the loss.
    if grows and (history.diverged or _rises(history.trend)):
        yield _schedule_finding(
            history, rates,
            f"The schedule raises the learning rate from {rates[0]:.2g} to {rates[-1]:.2g} without "
            "coming down, and the loss rises with it.",
            "Let the rate fall over the training, after a short warm-up at most.",
        )  # fmt: skip
        return
    resets = _count_resets(rates)
    if resets >= 2 and is_poor(history):
        yield _schedule_finding(
            history, rates,
            f"The learning rate rises and is thrown back to its beginning {resets} times, never "
            "falling gradually: the warm-up begins anew each time.",
            "Make the scheduler once, before the loop over the epochs.",
        )  # fmt: skip
        return
    gone = next(
        (
            k
            for k, rate in enumerate(rates)
            if rate < 0.02 * peak and max(rates[k:]) < 0.05 * peak and rates.index(peak) < k
        ),
        None,
    )
    if gone is not None and gone < 0.5 * len(rates):
        before = [x for x in losses[:gone] if math.isfinite(x)]
        after = [x for x in losses[gone:] if math.isfinite(x)]
        if before and after and skill(history) < 0.9 and _was_falling(before, after):
            yield _schedule_finding(
                history, rates,
                f"The schedule brings the learning rate from {peak:.2g} to {rates[gone]:.2g} "
                f"after {gone} of {len(rates)} steps, while the loss was still falling; it has "
                f"stood at {fmean(after):.3g} since.",
                "Stretch the schedule over the whole training; step it once an epoch if its "
                "numbers are epochs.",
            )  # fmt: skip
        return
    # How long a warm-up may take is a matter of the whole training, of which the epochs tell.
    slow = (
        (len(history.epochs) >= 3 or len(rates) >= 2000)
        and rates.index(peak) >= 0.9 * len(rates)
        and rates[-1] < 1.05 * peak
        and (middle(rates) < 0.6 * peak and rates[0] < 0.1 * peak)
    )
    if slow and is_poor(history) and rates[-1] < (1e-4 if history.facts.adaptive else 5e-3):
        yield _schedule_finding(
            history, rates,
            f"The warm-up still goes on after {len(rates)} steps, at a rate of {rates[-1]:.2g}.",
            "Let the warm-up take a few per cent of the training.",
        )  # fmt: skip


def _is_squared(history: History, rates: Sequence[float]) -> bool:
    """Whether the first rate is the square of the one that the optimiser was given."""
    given = history.initial_rate
    squared = 0 < given < 0.5 and abs(rates[0] - given**2) < 0.02 * given**2
    # A warm-up may begin so by chance, and a tenth may be what a tenth has fallen to.
    lasts = len(history.epochs) >= 5 or len(rates) >= 2000
    return squared and lasts and max(rates) <= rates[0] and not history.facts.resumed


def _count_resets(rates: Sequence[float]) -> int:
    """How often a rise over several steps ends in one fall to half or less; 0 if any is slow."""
    resets = rising = 0
    for before, now in pairwise(rates):
        if now > before:
            rising += 1
        elif now < 0.5 * before and rising >= 4:
            resets, rising = resets + 1, 0
        elif now < before:
            return 0
    return resets


def _rises(trend: Trend) -> bool:
    """Whether a loss went up by more than it does from batch to batch."""
    rise = trend.last - trend.best
    by_chance = max(0.1 * abs(trend.start), 2 * trend.noise)
    return trend.last > 1.5 * trend.best and rise > by_chance


def _was_falling(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether most of the first loss is left and nothing more happened after the rate was gone."""
    start, end = average_blocks(before, min(8, len(before)))[0], average_blocks(after, 4)
    stands = abs(end[0] - end[-1]) < 0.05 * abs(start)
    return stands and end[-1] > 0.15 * start


def _schedule_finding(history: History, rates: Sequence[float], cause: str, remedy: str) -> Finding:
    return Finding(
        code="lr_schedule",
        severity="error" if skill(history) < 0.5 else "warning",
        step=history.step,
        evidence={"first_rate": rates[0], "peak_rate": max(rates), "last_rate": rates[-1]},
        cause=cause,
        remedy=remedy,
        reference="Smith 2017; Loshchilov & Hutter 2017",
    )
