"""Learning-rate schedules: the rate of a step as a share of the recipe's rate.

A schedule is a function of how far the training is, from 0 to 1, so it cannot be stepped at the
wrong unit. Only `Plateau` has a state, which is saved with the run.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from torch import Tensor

from trainwell.errors import RecipeError
from trainwell.named_call import build_named, split_calls

Schedule = Callable[[float], float]
"""Progress from 0 to 1 in, share of the recipe's rate out."""

Unit = Literal["step", "epoch"]
UNITS: tuple[Unit, ...] = get_args(Unit)


def constant(level: float = 1.0) -> Schedule:
    """The same rate throughout.

    Args:
        level: Share of the recipe's rate.
    """
    _require(level >= 0, "level must be at least 0")
    return lambda progress: level


def linear(start: float = 1.0, end: float = 0.0) -> Schedule:
    """In a straight line from one share of the rate to another."""
    _require(start >= 0 and end >= 0, "start and end must be at least 0")
    return lambda progress: start + (end - start) * progress


def cosine(end: float = 0.0, cycles: int = 1) -> Schedule:
    """Falls along half a cosine (Loshchilov & Hutter 2017).

    Args:
        end: Share of the rate at the end.
        cycles: Falls, each from the full rate: warm restarts where more than one.
    """
    _require(end >= 0, "end must be at least 0")
    _require(cycles >= 1 and cycles == int(cycles), "cycles must be a whole number from 1")

    def share(progress: float) -> float:
        within = progress * cycles % 1.0 if progress < 1 else 1.0
        return end + (1 - end) * 0.5 * (1.0 + math.cos(math.pi * within))

    return share


def step(factor: float = 0.1, at: float | Sequence[float] = (0.5, 0.75)) -> Schedule:
    """Multiplied by a factor at some points of the training (He et al. 2015).

    Args:
        factor: Of each fall.
        at: Progress at the falls, in (0, 1).
    """
    points = (at,) if isinstance(at, int | float) else tuple(at)
    _require(0 < factor < 1, "factor must be between 0 and 1")
    _require(all(0 < point < 1 for point in points), "at must be between 0 and 1")
    return lambda progress: factor ** sum(progress >= point for point in points)


def halving(times: int = 7) -> Schedule:
    """Halved every so often: seven times is a fall by 128.

    Args:
        times: Falls, at equal distances.
    """
    _require(times >= 1 and times == int(times), "times must be a whole number from 1")
    return lambda progress: 0.5 ** min(times, math.floor(progress * (times + 1)))


def exponential(end: float = 0.01) -> Schedule:
    """a0 · e^(−kt), with k such that the rate ends at a share of a0.

    Args:
        end: That share; by the lectures at most about 0.01.
    """
    _require(0 < end < 1, "end must be between 0 and 1")
    return lambda progress: math.exp(math.log(end) * progress)


def inverse_time(end: float = 0.01) -> Schedule:
    """a0 / (1 + kt), with k such that the rate ends at a share of a0.

    Args:
        end: That share; by the lectures at most about 0.01.
    """
    _require(0 < end < 1, "end must be between 0 and 1")
    return lambda progress: 1.0 / (1.0 + (1.0 / end - 1.0) * progress)


def one_cycle(peak: float = 0.3, start: float = 0.04, end: float = 0.0) -> Schedule:
    """Rises to the full rate and falls again, both in a straight line (Smith 2018).

    Args:
        peak: Progress at the full rate, in (0, 1).
        start: Share of the rate at the beginning.
        end: Share of the rate at the end.
    """
    _require(0 < peak < 1, "peak must be between 0 and 1")
    rise, fall = linear(start, 1.0), linear(1.0, end)
    return lambda progress: (
        rise(progress / peak) if progress < peak else fall((progress - peak) / (1 - peak))
    )


class Plateau:
    """Multiplied by a factor whenever the validation loss has stopped falling.

    A loss that is not finite is no improvement.

    Args:
        factor: Of each fall.
        patience: Epochs without improvement that are waited for.
        threshold: Share of the best loss by which a better one must be lower.
        least: Share of the recipe's rate below which it does not fall.
    """

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 5,
        threshold: float = 1e-3,
        least: float = 1e-4,
    ) -> None:
        _require(0 < factor < 1, "factor must be between 0 and 1")
        _require(patience >= 1, "patience must be at least 1")
        self.factor, self.patience, self.threshold, self.least = factor, patience, threshold, least
        self.share, self.best_loss, self.waited = 1.0, math.inf, 0

    def __call__(self, progress: float) -> float:
        """The share of the rate at present, whatever the progress."""
        return self.share

    def observe(self, loss: float) -> None:
        """Takes in the validation loss of an epoch."""
        if math.isfinite(loss) and loss < self.best_loss * (1 - self.threshold):
            self.best_loss, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.share, self.waited = max(self.least, self.share * self.factor), 0

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs; an infinite loss is None in JSON."""
        best = self.best_loss if math.isfinite(self.best_loss) else None
        return {}, {"share": self.share, "best_loss": best, "waited": self.waited}

    def restore(self, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
        """Goes on from a captured state."""
        best = fields["best_loss"]
        self.best_loss = math.inf if best is None else best
        self.share, self.waited = fields["share"], fields["waited"]


SCHEDULES: Mapping[str, Callable[..., Schedule]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "step": step,
    "halving": halving,
    "exponential": exponential,
    "inverse_time": inverse_time,
    "one_cycle": one_cycle,
    "plateau": Plateau,
}


def build_schedule(text: str, what: str = "schedule") -> Schedule:
    """The schedule that a recipe describes.

    Args:
        text: A name of `SCHEDULES`, with options: `"step(factor=0.5)"`; or several, each with the
            progress until which it lasts: `"linear(start=0, end=1) until 0.2, constant until 0.6,
            cosine"`. Each part gives shares of the recipe's rate over a progress of its own from
            0 to 1.
        what: The recipe field, for messages.

    Raises:
        RecipeError: Not a schedule.
    """
    parts = split_calls(text)
    if len(parts) < 2:
        return build_named(text, SCHEDULES, what)
    described = [_split_until(part, what) for part in parts]
    ends = [end for _, end in described]
    if ends[-1] is None:
        ends[-1] = 1.0
    bounds = [0.0, *(end for end in ends if end is not None)]
    rises = all(first < second for first, second in itertools.pairwise(bounds))
    if len(bounds) != len(parts) + 1 or not rises or bounds[-1] != 1.0:
        raise RecipeError(
            f"the parts of {text!r} do not follow each other from 0 to 1",
            where=what,
            remedy="Write such as: constant until 0.5, cosine",
        )
    schedules = [build_named(call, SCHEDULES, what) for call, _ in described]
    if any(isinstance(schedule, Plateau) for schedule in schedules):
        raise RecipeError("plateau cannot be a part of a schedule", where=what)
    return _chain(schedules, bounds)


def _split_until(part: str, what: str) -> tuple[str, float | None]:
    found = re.fullmatch(r"(.*\S)\s+until\s+([0-9.]+)", part, flags=re.DOTALL)
    if found is None:
        return part, None
    try:
        return found[1], float(found[2])
    except ValueError:
        raise RecipeError(f"{found[2]!r} is not a number", where=what) from None


def _chain(schedules: Sequence[Schedule], bounds: Sequence[float]) -> Schedule:
    def share(progress: float) -> float:
        for schedule, begin, end in zip(schedules, bounds, bounds[1:], strict=False):
            if progress < end or end == bounds[-1]:
                return schedule((progress - begin) / (end - begin))
        raise AssertionError("the last part reaches to the end")

    return share


def rate_at(step: int, total_steps: int, schedule: Schedule, warmup: float) -> float:
    """The share of the recipe's rate with which update number `step` is made.

    Args:
        step: Updates made before this one, from 0.
        total_steps: Updates of the whole training.
        schedule: Of progress after the warm-up, from 0 to 1.
        warmup: Share of the training in which the rate rises linearly from near zero
            (Goyal et al. 2017), from 0 to 1.
    """
    warmup_steps = round(warmup * total_steps)
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return schedule((step - warmup_steps) / max(1, total_steps - warmup_steps))


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
