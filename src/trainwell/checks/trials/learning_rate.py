"""Whether the learning rate of the training is one that trains the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainwell.checks.subject import Subject
from trainwell.checks.trials.rate_range import SHRINKAGE, Effort, RateRange, find_rate_range
from trainwell.checks.trials.short_training import (
    ShortTraining,
    StartLevel,
    tail_of,
    with_batch_size,
)
from trainwell.checks.verdict import Verdict, skip
from trainwell.errors import RecipeError
from trainwell.findings import Finding
from trainwell.nn.objective import OwnObjective

NAME = "learning rate"
REFERENCE = "Smith 2017; Bengio 2012"
THOROUGH, BRIEF = Effort(100, 80, 1), Effort(100, 40, 1)
SWEEP_ONLY = Effort(48, 0, 1)
SECONDS_OF_THOROUGH, SECONDS_OF_BRIEF, SECONDS_OF_SWEEP = 1.2, 3.0, 9.0
SMALLEST_BATCH = 16
PROBE_STEPS = 48
PROBE_ORDERS = 2
RISE_SHARE = 0.25
"""Of a probe, in which the rate rises: a recipe may warm up, and schedules of programs are not
known.
"""
SUSPICIOUS, SUSPICIOUS_TO_SWEEP = 3.0, 10.0
"""Times the suggestion, or this part of the edge: below, the range test has shown that it works.
A sweep suggests a tenth of what worked.
"""
TOO_LOW = 1000.0
NEXT_TO_NOTHING = 0.01
"""Share of what the suggested rate achieves, below which a rate is too low."""
BARELY = 0.1
"""Share of the loss, or of what the suggested rate achieves, below which nothing is achieved."""
FAR = 0.3
"""Share of the loss by which the suggestion must lower it where another rate is to be stuck."""


@dataclass(frozen=True)
class Probe:
    """What a few steps at the rate of the training come to, beside the suggested rate.

    Attributes:
        rate: Of the training.
        suggestion: A rate that trains.
        start: Loss before.
        reached: Loss at the end at `rate`: in the better of the orders tried.
        reachable: Loss at the end at the suggestion: in the worse of them.
    """

    rate: float
    suggestion: float
    start: StartLevel
    reached: float
    reachable: float

    @property
    def others_learn(self) -> bool:
        """Whether the lower loss shows that the rate, and nothing else, is at fault."""
        return self.reachable < self.start.mean - 2 * self.start.deviation

    @property
    def explodes(self) -> bool:
        """Whether the loss has more than doubled."""
        rise = max(3 * self.start.deviation, abs(self.start.mean))
        return self.reached > self.start.mean + rise

    @property
    def is_stuck(self) -> bool:
        """Whether the loss is where it was, while the suggestion lowers it far."""
        lowered = self.start.mean - self.reachable
        enough = lowered > FAR * abs(self.start.mean)
        return enough and self.reached > self.start.mean - BARELY * lowered

    @property
    def evidence(self) -> dict[str, float]:
        """The numbers of a finding."""
        return {
            "learning_rate": self.rate,
            "suggestion": self.suggestion,
            "initial_loss": self.start.mean,
            "loss": self.reached,
            "loss_at_suggestion": self.reachable,
            "steps": PROBE_STEPS,
        }


def check_learning_rate(subject: Subject) -> Sequence[Verdict]:
    """Compares the rate of the training with the range of rates that train the model.

    A rate is too high where the loss explodes, or stays where it was, within a few dozen steps on a
    replica while a lower rate makes it fall; too low where it is 1000 times and more below a rate
    that makes the loss fall, and achieves next to nothing.
    """
    try:
        training = ShortTraining.of(subject)
    except RecipeError as error:
        return [skip(NAME, str(error))]
    chosen = choose_effort(training)
    if chosen is None:
        return [skip(NAME, "a step of this model takes too long to try rates out")]
    training, effort = chosen
    found = find_rate_range(training, effort)
    if not found.sweep:
        return [skip(NAME, "the loss is not finite before the training")]
    if math.isnan(found.suggestion):
        if isinstance(subject.model, OwnObjective):
            return [skip(NAME, "the model follows a rule of its own, which no loss measures")]
        return [Verdict(NAME, str(found), "a rate that makes the loss fall")]
    rate = planned_rate(subject)
    findings = () if rate is None else judge_rate(training, found, rate)
    seen = f"suggested {found.suggestion:.2g}"
    return [
        Verdict(
            NAME,
            seen if rate is None else f"{rate:.3g}; {seen}",
            _describe_range(found),
            tuple(findings),
            picture=found.draw(),
        )
    ]


def choose_effort(training: ShortTraining) -> tuple[ShortTraining, Effort] | None:
    """As long a search as the time of a step allows; large models on smaller batches.

    Returns:
        The training and the effort; None where even a sweep would take too long.
    """
    size = min(training.subject.batch_size, len(training.inputs))
    small = with_batch_size(training, min(size, SMALLEST_BATCH))
    seconds_of_small = small.time_step()
    if seconds_of_small * _steps_of(BRIEF) < SECONDS_OF_BRIEF:
        seconds = training.time_step()
        if seconds * _steps_of(THOROUGH) < SECONDS_OF_THOROUGH:
            return training, THOROUGH
        if seconds * _steps_of(BRIEF) < SECONDS_OF_BRIEF:
            return training, BRIEF
    while size >= SMALLEST_BATCH or size == small.subject.batch_size:
        if seconds_of_small * size / SMALLEST_BATCH * _steps_of(SWEEP_ONLY) < SECONDS_OF_SWEEP:
            return with_batch_size(training, size), SWEEP_ONLY
        size //= 2
    return None


def _steps_of(effort: Effort) -> int:
    """Updates of a search, and of the probes after it."""
    trials = sum(count * effort.trial_steps / 2**i for i, count in enumerate(reversed(SHRINKAGE)))
    return effort.sweep_steps + round(trials) + PROBE_STEPS


def planned_rate(subject: Subject) -> float | None:
    """The highest rate that the training is known to use; None: it is not known.

    A schedule that warms up sets the rate to its start at once, and notes in the group where it
    goes.
    """
    if subject.optimizer is None:
        return subject.learning_rate
    names = ("lr", "initial_lr", "max_lr")
    rates = [float(g[n]) for g in subject.optimizer.param_groups for n in names if n in g]
    return max(rates)


def judge_rate(training: ShortTraining, found: RateRange, rate: float) -> list[Finding]:
    """What is wrong with a rate, confirmed by training with it.

    Args:
        training: Of the subject.
        found: With a suggestion.
        rate: Of the training.
    """
    working = SUSPICIOUS if found.trials else SUSPICIOUS_TO_SWEEP
    if rate > min(working * found.suggestion, found.edge / SUSPICIOUS):
        probe = probe_rate(training, rate, min(found.suggestion, rate / 10))
        return _judge_high(probe) if probe is not None and probe.others_learn else []
    return _judge_low(training, found, rate) if rate * TOO_LOW <= found.suggestion else []


def probe_rate(training: ShortTraining, rate: float, suggestion: float) -> Probe | None:
    """A few steps at each of two rates, in several orders of the examples.

    Returns:
        None where the loss falls at `rate`.
    """
    start = training.measure_start()
    reached = math.inf
    for order in range(PROBE_ORDERS):
        reached = min(reached, tail_of(training.run(rise_to(rate), order)))
        if start.mean - reached > BARELY * abs(start.mean):
            return None
    tails = [tail_of(training.run(rise_to(suggestion), order)) for order in range(PROBE_ORDERS)]
    return Probe(rate, suggestion, start, reached, max(tails))


def rise_to(rate: float) -> list[float]:
    """Rates of a probe: a linear rise, then constant."""
    rise = RISE_SHARE * PROBE_STEPS
    return [rate * min(1.0, (step + 1) / rise) for step in range(PROBE_STEPS)]


def _judge_high(probe: Probe) -> list[Finding]:
    if not probe.explodes and not probe.is_stuck:
        return []
    lost = "is not finite" if math.isinf(probe.reached) else f"is {probe.reached:.4g}"
    return [
        Finding(
            "lr_too_high",
            "error" if probe.explodes else "warning",
            evidence=probe.evidence,
            cause=f"At the learning rate {probe.rate:.3g} the loss {lost} after {PROBE_STEPS} "
            f"steps, from {probe.start.mean:.4g} at the start; at {probe.suggestion:.2g} it falls "
            f"to {probe.reachable:.4g}: the steps are longer than the slope holds.",
            remedy=f"Lower the learning rate to about {probe.suggestion:.2g}; where the program "
            "clips gradients or warms up for longer, a higher one may do.",
            reference=REFERENCE,
        )
    ]


def _judge_low(training: ShortTraining, found: RateRange, rate: float) -> list[Finding]:
    start = training.measure_start()
    # Of the same examples each time: so small a change would be lost between two batches.
    before, reached, reachable = (
        training.finish(rates) for rates in ([], rise_to(rate), rise_to(found.suggestion))
    )
    gained, gainable = before - reached, before - reachable
    if not start.is_clearly_above(reachable) or gained >= NEXT_TO_NOTHING * gainable:
        return []
    probe = Probe(rate, found.suggestion, replace(start, mean=before), reached, reachable)
    return [
        Finding(
            "lr_too_low",
            "warning",
            evidence=probe.evidence,
            cause=f"The learning rate {rate:.3g} is {found.suggestion / rate:,.0f} times below one "
            f"that trains: in {PROBE_STEPS} steps the loss goes from {before:.6g} to "
            f"{reached:.6g}; at {found.suggestion:.2g} it falls to {reachable:.4g}.",
            remedy=f"Raise the learning rate to about {found.suggestion:.2g}.",
            reference=REFERENCE,
        )
    ]


def _describe_range(found: RateRange) -> str:
    if math.isinf(found.edge):
        return "a rate that makes the loss fall; none diverges"
    return f"below {found.edge:.2g}, from where the loss diverges"
