"""Schedules of the learning rate that go the wrong way, or at the wrong pace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from statistics import fmean

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import Suspicion, is_poor, middle, skill, usual_limit
from trainwell.watching.trend import Trend, average_blocks


def find_bad_schedule(history: History) -> Iterable[Finding]:
    """What is wrong with the course of the rate, the most certain first."""
    rates = [rate for _, rate in history.rates]
    if len(rates) < 50 or max(rates) <= 0:
        return
    found = next((found for suspect in _SUSPECTS if (found := suspect(history, rates))), None)
    if found is None:
        return
    cause, remedy = found
    yield Finding(
        code="lr_schedule",
        severity="error" if skill(history) < 0.5 else "warning",
        step=history.step,
        evidence={"first_rate": rates[0], "peak_rate": max(rates), "last_rate": rates[-1]},
        cause=cause,
        remedy=remedy,
        reference="Smith 2017; Loshchilov & Hutter 2017",
    )


def _suspect_below_zero(history: History, rates: Sequence[float]) -> Suspicion:
    if min(rates) >= 0:
        return None
    return (
        f"The schedule brings the learning rate below zero, to {min(rates):.2g}: from there on "
        "each step climbs the loss.",
        "End the schedule where the rate is zero, or at a small rate.",
    )


def _suspect_square(history: History, rates: Sequence[float]) -> Suspicion:
    if not _is_squared(history, rates):
        return None
    return (
        f"The schedule multiplies the rate of {history.initial_rate:g} by itself, to "
        f"{rates[0]:.2g}: LambdaLR takes a factor, not a rate.",
        "Return 1 from the function for the rate as it was given to the optimiser.",
    )


def _suspect_slow_cycle(history: History, rates: Sequence[float]) -> Suspicion:
    """A cycle laid out for batches, of which each epoch makes one step; said at the end only."""
    if history.probe is None:
        return None
    rise = history.top_rate - rates[0]
    epochs = len(history.epochs)
    by_epoch = 6 <= epochs < len(rates) / 4 and len(set(rates)) <= epochs + 2
    if not (rise > 0 and by_epoch and max(rates) - rates[0] < 0.05 * rise):
        return None
    return (
        f"The one-cycle schedule is to rise to {history.top_rate:g}, but after {epochs} epochs the "
        f"rate is {rates[-1]:.2g}: it changes once an epoch where it counts batches.",
        "Call scheduler.step() after each batch, or give it the number of epochs.",
    )


def _suspect_never_stepped(history: History, rates: Sequence[float]) -> Suspicion:
    """A schedule that begins low and stays there; said at the end only."""
    if history.probe is None or len(history.epochs) < 3 or history.facts.resumed:
        return None
    if not history.one_schedule:  # what this group lacks, another one may have
        return None
    planned = max(x for x in (history.initial_rate, history.top_rate, 0.0) if math.isfinite(x))
    if not (0 < max(rates) == min(rates) < 0.1 * planned and skill(history) < 0.95):
        return None
    return (
        f"There is a schedule, but the learning rate has stood at {rates[0]:.2g}, where it begins, "
        f"for {len(history.epochs)} epochs; it was to reach {planned:.2g}.",
        "Call scheduler.step() after each update, or after each epoch if its numbers are epochs.",
    )


def _suspect_short_waves(history: History, rates: Sequence[float]) -> Suspicion:
    """A cosine that goes on past its end comes up again as slowly as it went down."""
    seen = [step for step, _ in history.rates]
    ends = [epoch.step for epoch in history.epochs]
    lowest = _find_valleys(rates)
    # Thinned out, waves cannot be counted.
    if len(lowest) < 3 or len(ends) < 3 or seen[-1] - seen[0] >= len(seen):
        return None
    if skill(history) > 0.95:
        return None
    per_epoch = middle(float(end - start) for start, end in pairwise(ends))
    length = (lowest[-1] - lowest[0]) / (len(lowest) - 1)
    if not length < 0.75 * per_epoch:
        return None
    return (
        f"The learning rate falls to nearly nothing and comes up again every {length:.0f} steps, "
        f"{per_epoch / length:.1f} times an epoch: a cosine whose length counts epochs is stepped "
        "after each batch.",
        "Step it once an epoch, or make it as long as the training in steps.",
    )


def _suspect_growth(history: History, rates: Sequence[float]) -> Suspicion:
    grows = rates[-1] > 20 * rates[0] > 0 and rates[-1] >= 0.99 * max(rates)
    # A warm-up that has not ended looks the same, but for the loss.
    if not (grows and (history.diverged or _rises(history.trend))):
        return None
    return (
        f"The schedule raises the learning rate from {rates[0]:.2g} to {rates[-1]:.2g} without "
        "coming down, and the loss rises with it.",
        "Let the rate fall over the training, after a short warm-up at most.",
    )


def _suspect_resets(history: History, rates: Sequence[float]) -> Suspicion:
    resets = _count_resets(rates)
    if resets < 2 or not is_poor(history):
        return None
    return (
        f"The learning rate rises and is thrown back to its beginning {resets} times, never "
        "falling gradually: the warm-up begins anew each time.",
        "Make the scheduler once, before the loop over the epochs.",
    )


def _suspect_early_end(history: History, rates: Sequence[float]) -> Suspicion:
    gone = _find_end(rates)
    if gone is None or gone >= 0.5 * len(rates) or skill(history) >= 0.9:
        return None
    losses = [loss for _, loss in history.losses]
    before = [x for x in losses[:gone] if math.isfinite(x)]
    after = [x for x in losses[gone:] if math.isfinite(x)]
    if not (before and after and _was_falling(before, after)):
        return None
    return (
        f"The schedule brings the learning rate from {max(rates):.2g} to {rates[gone]:.2g} "
        f"after {gone} of {len(rates)} steps, while the loss was still falling; it has "
        f"stood at {fmean(after):.3g} since.",
        "Stretch the schedule over the whole training; step it once an epoch if its "
        "numbers are epochs.",
    )


def _suspect_long_warmup(history: History, rates: Sequence[float]) -> Suspicion:
    peak, low = max(rates), 1e-4 if history.facts.adaptive else 5e-3
    # What the optimiser was given is where a warm-up leads, unless the rate is in the factor.
    if 0 < history.initial_rate <= usual_limit(history) and history.probe is not None:
        low = max(low, 0.2 * history.initial_rate)
    # How long a warm-up may take is a matter of the whole training, of which the epochs tell.
    known = len(history.epochs) >= 3 or len(rates) >= 2000
    rises = rates.index(peak) >= 0.9 * len(rates) and rates[0] < 0.1 * peak
    slowly = middle(rates) < 0.6 * peak and rates[-1] < low
    if not (known and rises and slowly and is_poor(history)):
        return None
    return (
        f"The warm-up still goes on after {len(rates)} steps, at a rate of {rates[-1]:.2g}.",
        "Let the warm-up take a few per cent of the training.",
    )


_SUSPECTS: tuple[Callable[[History, Sequence[float]], Suspicion], ...] = (
    _suspect_below_zero,
    _suspect_square,
    _suspect_slow_cycle,
    _suspect_never_stepped,
    _suspect_short_waves,
    _suspect_growth,
    _suspect_resets,
    _suspect_early_end,
    _suspect_long_warmup,
)


def _find_end(rates: Sequence[float]) -> int | None:
    """Place from which on the rate stays below a twentieth of its peak."""
    peak = max(rates)
    return next(
        (
            k
            for k, rate in enumerate(rates)
            if rate < 0.02 * peak and max(rates[k:]) < 0.05 * peak and rates.index(peak) < k
        ),
        None,
    )


def _find_valleys(rates: Sequence[float]) -> list[int]:
    """Places where the rate is next to nothing, and both fell and rises slowly at first.

    A restart jumps up at once, and a triangle rises evenly, so neither makes any.
    """
    low = 0.02 * max(rates)
    return [
        k
        for k in range(2, len(rates) - 2)
        if rates[k] <= low
        and rates[k - 2] > rates[k - 1] >= rates[k] < rates[k + 1] < rates[k + 2]
        and rates[k + 1] - rates[k] < 0.7 * (rates[k + 2] - rates[k + 1])
    ]


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
