"""Which learning rates train a model: found by trying them out on replicas."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trainwell.checks.trials.short_training import ShortTraining, StartLevel, tail_of
from trainwell.report.charts import Axes, Point, Series, draw_chart

LOWEST, HIGHEST = 1e-8, 1e2
"""Rates of the range test."""
SMOOTHING = 0.8
EXPLODED = 4.0
"""A sweep ends where the loss is so many times that of the start."""
RATIO = 2.0
"""Between two candidates."""
ABOVE_MINIMUM = 4.0
"""The highest candidate as a multiple of the rate at which the loss of a sweep was lowest: while
the rate grows, what a rate does is seen only after it has grown further.
"""
SHRINKAGE = (12, 5, 4)
"""Candidates of each round, of which the next has twice the steps."""
LARGEST_RATE = 64.0
MOST_HALVINGS = 80
BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Trial:
    """A short training at one rate.

    Attributes:
        rate: Constant.
        steps: Updates.
        loss: Of a fixed sample of the training examples at the end, the median over the repeats;
            infinite where it diverged.
    """

    rate: float
    steps: int
    loss: float


@dataclass(frozen=True)
class RateRange:
    """Which learning rates train a model; printed, it is a line with a curve.

    Attributes:
        suggestion: With which the loss fell furthest; NaN: with none did it fall.
        edge: The lowest rate of the sweep from which the loss only rose; infinite: there was none.
        start: The loss before the training.
        sweep: Rates, rising, and the smoothed loss at each, the median over the repeats.
        trials: Of constant rates, in the order in which they were made.
    """

    suggestion: float
    edge: float
    start: float
    sweep: tuple[Point, ...]
    trials: tuple[Trial, ...] = ()

    def __str__(self) -> str:
        if math.isnan(self.suggestion):
            return f"No learning rate makes the loss fall below {self.start:.4g}."
        edge = f"diverges from {self.edge:.2g}" if math.isfinite(self.edge) else "diverges nowhere"
        low, high = self.sweep[0][0], self.sweep[-1][0]
        shown = [min(loss, self._ceiling) for _, loss in self.sweep]
        return (
            f"{low:.0e} {sketch(shown)} {high:.0e}\n"
            f"Suggested learning rate: {self.suggestion:.2g} ({edge})."
        )

    def draw(self) -> str:
        """An SVG of the sweep and the trials, losses by the power of ten of the rate."""
        swept = [(math.log10(rate), loss) for rate, loss in self.sweep]
        lines = [Series("rising rate", swept, "c0")]
        for steps in sorted({trial.steps for trial in self.trials}):
            tried = sorted((math.log10(t.rate), t.loss) for t in self.trials if t.steps == steps)
            lines.append(Series(f"{steps} steps at a constant rate", tried, f"c{len(lines)}"))
        shown = [
            Series(line.name, [p for p in line.points if p[1] <= self._ceiling], line.colour)
            for line in lines
        ]
        return draw_chart(shown, Axes("log10 of the learning rate", "loss"))

    @property
    def _ceiling(self) -> float:
        """The highest loss worth showing: one that explodes would flatten everything else."""
        if self.start >= 0:
            return max(2 * self.start, self.start + 1)
        losses = [*(loss for _, loss in self.sweep), *(trial.loss for trial in self.trials)]
        return max(filter(math.isfinite, losses), default=0.0)


def sketch(values: Sequence[float]) -> str:
    """Values as one line of blocks; what is not finite is shown as the highest."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    top = len(BLOCKS) - 1
    spread = (high - low) or 1.0
    return "".join(
        BLOCKS[round((min(value, high) - low) / spread * top) if math.isfinite(value) else top]
        for value in values
    )


@dataclass(frozen=True)
class Effort:
    """How long is searched.

    Attributes:
        sweep_steps: Updates of one range test.
        trial_steps: Updates of the longest trials; 0: no trials, the sweep alone decides.
        repeats: Orders of the examples.
    """

    sweep_steps: int = 120
    trial_steps: int = 200
    repeats: int = 3


def find_rate_range(training: ShortTraining, effort: Effort) -> RateRange:
    """Sweeps the rate, then lets candidates compete at constant rates.

    The range test (Smith 2017) tells roughly where to look. Its minimum is where the loss was
    lowest while the rate rose, not what is best for a training, so candidates a factor of 2 apart
    train from the same start, and of each round the better ones go on for twice as many steps
    (successive halving, Jamieson & Talwalkar 2016).

    Args:
        training: Of the subject.
        effort: How long is searched.
    """
    start = training.measure_start()
    sweep = sweep_rates(training, start, effort)
    if not sweep:
        return RateRange(math.nan, math.inf, start.mean, ())
    edge = find_edge(sweep, start)
    top = min(ABOVE_MINIMUM * _minimum_of(sweep), 2 * edge, LARGEST_RATE)
    if not effort.trial_steps:
        return RateRange(_suggest_from_sweep(sweep, start, edge), edge, start.mean, sweep)
    trials = compete(training, top, effort)
    best = min((t for t in trials if t.steps == trials[-1].steps), key=lambda trial: trial.loss)
    suggestion = best.rate if start.is_clearly_above(best.loss) else math.nan
    return RateRange(suggestion, edge, start.mean, sweep, tuple(trials))


def sweep_rates(training: ShortTraining, start: StartLevel, effort: Effort) -> tuple[Point, ...]:
    """The learning-rate range test: the rate grows by a constant factor with every update.

    Args:
        training: Of the subject.
        start: Where it begins.
        effort: `sweep_steps` and `repeats`.

    Returns:
        Rates, rising, with the median over the repeats of the smoothed loss. It ends where most
        repeats have exploded.
    """
    if not math.isfinite(start.mean):
        return ()
    rates = log_spaced(LOWEST, HIGHEST, effort.sweep_steps)
    ceiling = start.ceiling + EXPLODED * abs(start.mean)
    runs = [
        smooth(training.run(rates, order, lambda losses: losses[-1] > ceiling))
        for order in range(effort.repeats)
    ]
    # The loss of a batch shows what the updates before it did: it belongs to their last rate.
    columns = itertools.zip_longest(*(run[1:] for run in runs), fillvalue=math.inf)
    points = [(rate, statistics.median(c)) for rate, c in zip(rates, columns, strict=False)]
    return tuple(points)


def log_spaced(low: float, high: float, count: int) -> list[float]:
    """So many rates from the lowest to the highest, each the same multiple of the one before."""
    factor = math.log(high / low) / max(1, count - 1)
    return [low * math.exp(factor * i) for i in range(count)]


def smooth(losses: Sequence[float]) -> list[float]:
    """The exponential average of the losses so far, corrected for its start at zero."""
    smoothed, average = [], 0.0
    for count, loss in enumerate(losses, 1):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed.append(average / (1 - SMOOTHING**count))
    return smoothed


def find_edge(sweep: Sequence[Point], start: StartLevel) -> float:
    """The rate from which the loss stays above that of the start; infinite: it never does."""
    edge = math.inf
    for rate, loss in reversed(sweep):
        if loss <= start.ceiling:
            break
        edge = rate
    return edge


def _minimum_of(sweep: Sequence[Point]) -> float:
    return min(sweep, key=lambda point: point[1])[0]


def _suggest_from_sweep(sweep: Sequence[Point], start: StartLevel, edge: float) -> float:
    """A tenth of the rate at the minimum, and not above a tenth of the edge (Smith 2017)."""
    rate, loss = min(sweep, key=lambda point: point[1])
    return min(rate, edge) / 10 if start.is_clearly_above(loss) else math.nan


def compete(training: ShortTraining, top: float, effort: Effort) -> list[Trial]:
    """Trials of candidates, the better half for longer; the last round stands last.

    Args:
        training: Of the subject.
        top: The highest candidate.
        effort: `trial_steps` of the last round, and `repeats`.
    """
    trials: list[Trial] = []
    candidates = [top / RATIO**i for i in range(SHRINKAGE[0])]
    for round_number, count in enumerate(SHRINKAGE):
        steps = max(4, effort.trial_steps >> (len(SHRINKAGE) - 1 - round_number))
        if trials:
            latest = trials[-len(candidates) :]
            best = min(latest, key=lambda trial: trial.loss).rate
            candidates = neighbours(candidates, best, count)
        trials += [try_rate(training, rate, steps, effort.repeats) for rate in candidates]
    return trials


def neighbours(candidates: Sequence[float], best: float, count: int) -> list[float]:
    """So many candidates around the best: one above it, the others from it downwards.

    The longer a training, the lower the rate that is best for it.

    Args:
        candidates: From the highest to the lowest.
        best: One of them.
        count: How many.
    """
    first = min(max(0, candidates.index(best) - 1), len(candidates) - count)
    return list(candidates[first : first + count])


def try_rate(training: ShortTraining, rate: float, steps: int, repeats: int) -> Trial:
    """What so many updates at a constant rate come to."""
    losses = [training.finish([rate] * steps, order) for order in range(repeats)]
    return Trial(rate, steps, statistics.median(losses))


def halve_until_stable(diverges: Callable[[float], bool], start: float = LARGEST_RATE) -> float:
    """Starts large and halves until the training does not diverge.

    Args:
        diverges: Whether a training at a rate does.
        start: The first rate.

    Returns:
        The first rate that does not; NaN where all down to 2⁻⁸⁰ of the first do.
    """
    for rate in _halvings(start):
        if not diverges(rate):
            return rate
    return math.nan


def diverges_at(training: ShortTraining, start: StartLevel, steps: int) -> Callable[[float], bool]:
    """Whether so many updates at a rate end above the loss of the start.

    Args:
        training: Of the subject.
        start: Where it begins.
        steps: Updates.
    """

    def diverges(rate: float) -> bool:
        return tail_of(training.run([rate] * steps)) > start.ceiling

    return diverges


def _halvings(start: float) -> Iterator[float]:
    return (start / 2**i for i in range(MOST_HALVINGS + 1))
