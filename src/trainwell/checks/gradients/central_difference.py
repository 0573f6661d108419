"""Derivatives along directions: analytic against centred differences, few evaluations each.

A direction moves all numbers of one or several tensors at once. That tests every number in one pair
of evaluations, and where it does not come out right, fewer and fewer are moved until it is clear
which is wrong.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Generator, Tensor

from trainwell.checks.gradients.kinks import Winners, count_changes
from trainwell.data.seeding import derive_seed
from trainwell.errors import ModelError, first_line

AGREEMENT = 1e-6
"""Relative error below which two derivatives in double precision are the same: the centred
difference itself is good to about 1e-8 with a step of 1e-5."""
SAME_GAP = 0.2
"""A fault of the backward pass is as large at every step size; errors of the difference are not."""
TRIES = 5
LARGEST_STEP = 1e-2
CERTAINTY = 20
"""A gap this many times the rounding error of the loss is no rounding error."""
RESOLUTION = 1e-3
"""Share of a derivative that rounding may blur: 1 % must be seen."""
MOST_UNEQUAL = 100.0
"""Tensors that are moved together are moved so that each counts alike, up to this ratio."""

Direction = Mapping[str, Tensor]
Outcome = Literal["agrees", "differs", "kinked", "too small"]


@dataclass(frozen=True)
class Problem:
    """A function whose gradient is checked.

    Attributes:
        tensors: By name: in double precision; the gradient is taken with respect to these.
        compute: The function's value, a scalar; always the same while the tensors are.
    """

    tensors: Mapping[str, Tensor]
    compute: Callable[[], Tensor]

    def differentiate(self) -> tuple[Tensor, dict[str, Tensor | None]]:
        """The value, and the gradient by name; None where autograd sees no connection.

        Raises:
            ModelError: The function fails, or its value is no finite number in double precision.
        """
        try:
            with torch.enable_grad():
                value = self.compute()
        except Exception as error:
            raise ModelError(
                f"the gradients cannot be checked in double precision: {first_line(error)}",
                remedy="Let the model compute in the precision of its parameters and inputs",
            ) from error
        _require_sound(value)
        if not value.requires_grad:
            return value.detach(), dict.fromkeys(self.tensors)
        gradients = torch.autograd.grad(value, list(self.tensors.values()), allow_unused=True)
        return value.detach(), {
            name: None if g is None else g.detach().to_dense() if g.is_sparse else g.detach()
            for name, g in zip(self.tensors, gradients, strict=True)
        }


def require_number(value: Tensor) -> None:
    """Refuses a loss that is not one number.

    Raises:
        ModelError: It is not.
    """
    if value.numel() != 1:
        raise ModelError(
            f"the loss has the shape {tuple(value.shape)}",
            remedy="Give a loss that is one number, such as the mean over the examples",
        )


def _require_sound(value: Tensor) -> None:
    require_number(value)
    if value.dtype != torch.float64:
        raise ModelError(
            f"the loss is computed in {value.dtype} although everything was given in float64, "
            "too coarse for a check of gradients",
            remedy="Let the model compute in the precision of its parameters and inputs",
        )
    if not bool(torch.isfinite(value)):
        raise ModelError("the loss is not finite", remedy="Mend the loss or the data first")


@dataclass(frozen=True)
class Comparison:
    """A derivative along one direction, found in two ways.

    Attributes:
        analytic: By the backward pass.
        numeric: By the centred difference.
        step: How far the tensors were moved to either side.
        kinks: How many winners changed between the two evaluations.
        rounding: How much of the difference may be rounding.
    """

    analytic: float
    numeric: float
    step: float
    kinks: int = 0
    rounding: float = 0.0

    @property
    def gap(self) -> float:
        """Analytic minus numeric."""
        return self.analytic - self.numeric

    @property
    def size(self) -> float:
        """The larger of the two."""
        return max(abs(self.analytic), abs(self.numeric))

    @property
    def error(self) -> float:
        """|fa − fn| / max(|fa|, |fn|); zero when both are zero."""
        return abs(self.gap) / self.size if self.size else 0.0

    def is_within(self, limit: float) -> bool:
        """Whether the relative error is at most that, but for what may be rounding."""
        return abs(self.gap) <= limit * self.size + self.rounding

    @property
    def is_resolved(self) -> bool:
        """Whether an error of 1 % would be seen, or both are zero."""
        is_zero = not self.analytic and abs(self.numeric) <= self.rounding
        return is_zero or self.rounding <= RESOLUTION * self.size

    @property
    def outcome(self) -> Outcome:
        """What it tells."""
        if self.is_within(AGREEMENT):
            return "agrees" if self.is_resolved else "too small"
        return "kinked" if self.kinks else "differs"


@dataclass
class Comparer:
    """Compares derivatives of one problem.

    Attributes:
        problem: Whose tensors are moved, and put back.
        step_size: At which it begins; smaller where a kink is crossed, larger where the derivative
            is so small that rounding would hide it.
        seed: Of the directions.
    """

    problem: Problem
    step_size: float
    seed: int
    value: Tensor = field(init=False)
    gradients: dict[str, Tensor | None] = field(init=False)
    noise: float = field(init=False)

    def __post_init__(self) -> None:
        self.value, self.gradients = self.problem.differentiate()
        self.noise = self._measure_noise()
        self._smallest_needed = self.step_size

    def generator(self, purpose: str) -> Generator:
        """Random numbers, alike each time."""
        return Generator().manual_seed(derive_seed(self.seed, purpose))

    def slope(self, name: str) -> float:
        """The norm of a tensor's gradient."""
        gradient = self.gradients[name]
        return 0.0 if gradient is None else float(gradient.norm())

    def direction(self, name: str) -> Tensor:
        """Of length one, halfway between a random direction and the gradient.

        The first sees what the backward pass leaves out, the second makes the derivative so large
        that rounding does not matter.
        """
        tensor, gradient = self.problem.tensors[name], self.gradients[name]
        signs = torch.randint(0, 2, tensor.shape, generator=self.generator(name)) * 2.0 - 1.0
        across = signs.to(tensor) / max(tensor.numel(), 1) ** 0.5
        length = self.slope(name)
        if gradient is None or not length:
            return across
        mixed = across + gradient / length
        # Opposed to each other in one number: then the gradient alone.
        return mixed / mixed.norm() if float(mixed.norm()) > 1e-3 else gradient / length

    def along(self, names: Sequence[str]) -> dict[str, Tensor]:
        """One direction through several tensors, each of which counts about alike."""
        slopes = {name: self.slope(name) for name in names}
        least = min(slopes.values())
        floor = max(least, max(slopes.values()) / MOST_UNEQUAL)
        return {
            name: self.direction(name) * (floor / max(slopes[name], floor) if floor else 1.0)
            for name in names
        }

    def single(self, name: str, place: int) -> dict[str, Tensor]:
        """The direction of one number of a tensor."""
        direction = torch.zeros_like(self.problem.tensors[name])
        direction.view(-1)[place] = 1.0
        return {name: direction}

    def compare(self, direction: Direction) -> Comparison:
        """The two derivatives, at a step size at which they can be told apart.

        A disagreement is tried again with smaller steps: it shrinks when it is the curvature's, and
        vanishes when a kink is no longer crossed.
        """
        tries: list[Comparison] = []
        step = self._first_step(direction)
        for _ in range(TRIES):
            found = self.measure(direction, step)
            if found.outcome in ("agrees", "too small"):
                if found.outcome == "agrees" or not tries:
                    return found
                break
            is_same = tries and abs(found.gap - tries[-1].gap) <= SAME_GAP * abs(found.gap)
            if is_same and not found.kinks and not tries[-1].kinks:
                return found
            if found.kinks:
                self._smallest_needed = max(min(self._smallest_needed, step / 10), 1e-7)
            tries.append(found)
            step /= 10
        smooth = [found for found in tries if not found.kinks]
        return min(smooth or tries, key=lambda found: found.error)

    def _first_step(self, direction: Direction) -> float:
        """The usual step, or as much more as a small derivative needs to stand out of rounding."""
        size = abs(self._analytic(direction))
        # Where kinks lay close, they will for the next tensor too.
        usual = min(self.step_size, self._smallest_needed)
        if not size:
            return self.step_size
        needed = CERTAINTY * self.noise / (0.1 * RESOLUTION * size)
        return max(usual, min(needed, LARGEST_STEP))

    def measure(self, direction: Direction, step: float) -> Comparison:
        """The two derivatives with a given step."""
        above, winners_above = self._evaluate(direction, step)
        below, winners_below = self._evaluate(direction, -step)
        return Comparison(
            self._analytic(direction),
            float(above - below) / (2 * step),
            step,
            count_changes(winners_below, winners_above),
            CERTAINTY * self.noise / step,
        )

    def _analytic(self, direction: Direction) -> float:
        terms = [
            float((gradient * vector).sum())
            for name, vector in direction.items()
            if (gradient := self.gradients[name]) is not None
        ]
        return sum(terms)

    def _evaluate(self, direction: Direction, step: float) -> tuple[Tensor, list[Tensor]]:
        shifts = {name: vector * step for name, vector in direction.items()}
        with self._moved(shifts), torch.no_grad(), Winners() as winners:
            value = self.problem.compute()
        return value.reshape(()), winners.noted

    @contextlib.contextmanager
    def _moved(self, shifts: Mapping[str, Tensor]):
        kept = {name: self.problem.tensors[name].detach().clone() for name in shifts}
        try:
            with torch.no_grad():
                for name, shift in shifts.items():
                    self.problem.tensors[name].add_(shift)
            yield
        finally:
            with torch.no_grad():
                for name, value in kept.items():
                    self.problem.tensors[name].copy_(value)

    def _measure_noise(self) -> float:
        """How much rounding changes the value (after Moré & Wild 2011, estimating noise).

        All tensors are changed in their last bits, which changes all roundings.

        Raises:
            ModelError: The value changes although nothing was changed.
        """
        with torch.no_grad():
            again = self.problem.compute().reshape(())
        value = self.value.reshape(())
        least = torch.finfo(torch.float64).eps * float(value.abs())
        if float((again - value).abs()) > 1e6 * least:
            raise ModelError(
                "the loss differs from one evaluation to the next although all random numbers "
                "are replayed, so its gradients cannot be checked",
                remedy="Let the model draw from torch's, NumPy's or Python's global generator",
            )
        found = [float((again - value).abs()), least]
        generator = self.generator("noise")
        for _ in range(2):
            shifts = {
                name: tensor.detach()
                * (torch.randint(-2, 3, tensor.shape, generator=generator) * 2.0**-52).to(tensor)
                for name, tensor in self.problem.tensors.items()
            }
            with self._moved(shifts), torch.no_grad():
                found.append(float((self.problem.compute().reshape(()) - value).abs()))
        return max(found)
