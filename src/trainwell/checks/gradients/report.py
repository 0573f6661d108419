"""What a check of gradients found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from trainwell.checks.gradients.central_difference import Comparison, Outcome
from trainwell.findings import Finding

Band = Literal["happy", "fine", "uncomfortable", "wrong"]

BANDS: tuple[tuple[float, Band], ...] = ((1e-7, "happy"), (1e-4, "fine"), (1e-2, "uncomfortable"))
"""Relative errors up to which a gradient is each; above all it is wrong (CS231n, Karpathy & others
2015). 1e-4 is fine with kinks; without, it is the most that double precision is allowed here."""
SHALLOW = 10
"""Layers up to which nothing is allowed for depth."""
MOST_ALLOWED = 5e-3
"""Of any depth: half of what a factor of 1.01 makes."""


def band_of(error: float) -> Band:
    """The lectures' word for a relative error."""
    for limit, band in BANDS:
        if error <= limit:
            return band
    return "wrong"


def allowed_error(depth: int) -> float:
    """The relative error up to which a gradient passes where no kink is crossed.

    Errors add up from layer to layer, so it is 1e-4 up to ten layers and grows with the depth. It
    stays below the lectures' 1e-2, which single precision needs: double precision does not.

    Args:
        depth: Layers with weights.
    """
    return min(MOST_ALLOWED, 1e-4 * max(1.0, depth / SHALLOW))


@dataclass(frozen=True)
class GradientOf:
    """How the gradient of one tensor came out.

    Attributes:
        name: Of the parameter or input.
        outcome: `"agrees"`, `"differs"`, `"kinked"` (a kink is crossed however small the step, so
            that nothing can be said) or `"too small"` (lost in rounding).
        comparison: The derivative that decided.
        place: Index of the single number that it is of; None: of a direction through all of them.
        together: How many tensors were moved together; they share the comparison.
    """

    name: str
    outcome: Outcome
    comparison: Comparison
    place: tuple[int, ...] | None = None
    together: int = 1

    @property
    def error(self) -> float:
        """|fa − fn| / max(|fa|, |fn|); zero when both are zero."""
        return self.comparison.error

    @property
    def band(self) -> Band:
        """The lectures' word for the error."""
        return band_of(self.error)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "band": self.band,
            "relative_error": self.error,
            "analytic": self.comparison.analytic,
            "numeric": self.comparison.numeric,
            "step": self.comparison.step,
            "kinks": self.comparison.kinks,
            "place": list(self.place) if self.place is not None else None,
        }


@dataclass(frozen=True)
class GradientReport:
    """What a check of gradients found; printed, it is a table.

    Attributes:
        gradients: One for each tensor, in the order of the model.
        penalties: Likewise of the penalty alone; empty where there is none.
        findings: What is wrong, by culprit.
        allowed: Relative error up to which a gradient passes.
        seconds: How long it took.
    """

    gradients: tuple[GradientOf, ...]
    penalties: tuple[GradientOf, ...] = ()
    findings: tuple[Finding, ...] = ()
    allowed: float = 1e-4
    seconds: float = field(default=0.0, compare=False)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong that is worse than a note."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def wrong(self) -> tuple[GradientOf, ...]:
        """Those whose derivatives differ, in the order of the model."""
        return tuple(g for g in (*self.gradients, *self.penalties) if g.outcome == "differs")

    @property
    def kinked(self) -> tuple[GradientOf, ...]:
        """Those of which kinks leave nothing to be said: they are no failures."""
        return tuple(g for g in (*self.gradients, *self.penalties) if g.outcome == "kinked")

    @property
    def largest_error(self) -> float:
        """Of all that could be compared and are not both zero but for rounding."""
        made = [
            g.error
            for g in (*self.gradients, *self.penalties)
            if g.outcome in ("agrees", "differs") and g.comparison.size > g.comparison.rounding
        ]
        return max(made, default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "passed": self.passed,
            "largest_error": self.largest_error,
            "allowed": self.allowed,
            "seconds": round(self.seconds, 3),
            "gradients": [gradient.to_dict() for gradient in self.gradients],
            "penalties": [gradient.to_dict() for gradient in self.penalties],
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def summary(self) -> str:
        """One line: the largest error, and what was set apart."""
        count = len(self.gradients)
        text = f"largest relative error {self.largest_error:.1e} over {count} tensors"
        small = sum(gradient.outcome == "too small" for gradient in self.gradients)
        apart = [
            *([f"{len(self.kinked)} at a kink"] if self.kinked else []),
            *([f"{small} too small to be seen"] if small else []),
        ]
        return f"{text} ({', '.join(apart)})" if apart else text

    def __str__(self) -> str:
        lines = _table([*self.gradients, *self.penalties])
        for finding in self.findings:
            where = f" at {finding.where}" if finding.where else ""
            lines += ["", f"{finding.severity}: {finding.code}{where}"]
            lines += [f"  {text}" for text in (finding.cause, finding.remedy) if text]
        state = "passed" if self.passed else "FAILED"
        return "\n".join([*lines, "", f"{state}: {self.summary()} ({self.seconds:.1f} s)"])


def _table(gradients: Sequence[GradientOf]) -> list[str]:
    width = max((len(gradient.name) for gradient in gradients), default=0)
    return [
        f"{g.name.ljust(width)}  {g.outcome:9}  {g.error:8.1e}  "
        f"analytic {g.comparison.analytic: .6e}  numeric {g.comparison.numeric: .6e}"
        for g in gradients
    ]
