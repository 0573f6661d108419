"""What the folds of a cross-validation gave: scores, their mean and how sure it is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainwell.run import Run
from trainwell.training.intervals import CONFIDENCE, METHOD, corrected_interval

UNREAD_TEST = "The test split was not read."


def name_fold(number: int) -> str:
    """The name of a fold's run folder."""
    return f"fold-{number}"


@dataclass(frozen=True)
class Fold:
    """How one fold ended.

    Attributes:
        number: From 1.
        run: None where it failed.
        error: What was not finite, where it failed.
    """

    number: int
    run: Run | None
    error: str = ""

    def to_dict(self, metric: str) -> dict[str, Any]:
        """As plain JSON types, with that metric as the score."""
        place = {"fold": self.number, "run": name_fold(self.number)}
        if self.run is None:
            return place | {"state": "failed", "error": self.error}
        return place | {
            "state": "finished",
            "score": self.run.metrics[metric],
            "metrics": self.run.metrics,
            "findings": [finding.to_dict() for finding in self.run.findings],
            "weights_sha256": self.run.weights_sha256,
        }


@dataclass(frozen=True)
class CrossValidation:
    """What the folds gave; `str` is a small table.

    Attributes:
        path: The folder, which holds a run folder for each fold.
        metric: Name of the score: `"valid_accuracy"` of a classification, `"valid_rmse"` of a
            regression, else `"valid_loss"`.
        outcomes: Of each fold that has ended, in order.
    """

    path: Path
    metric: str
    outcomes: Sequence[Fold]

    @property
    def folds(self) -> list[Run]:
        """The runs of the folds that did not fail."""
        return [fold.run for fold in self.outcomes if fold.run is not None]

    @property
    def failures(self) -> dict[int, str]:
        """By the number of a fold whose loss or gradient was not finite, what happened."""
        return {fold.number: fold.error for fold in self.outcomes if fold.run is None}

    @property
    def scores(self) -> list[float]:
        """Of the runs in `folds`."""
        return [run.metrics[self.metric] for run in self.folds]

    @property
    def mean(self) -> float:
        """Mean of the scores; not-a-number where there are none."""
        return statistics.fmean(self.scores) if self.scores else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation of the scores; not-a-number where there are fewer than two."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % confidence interval of the mean, not-a-number for fewer than two scores.

        The scores are correlated, since any two folds train on mostly the same examples: the plain
        t interval would be optimistic, and no estimate of the variance is unbiased (Bengio &
        Grandvalet 2004). This is the wider, corrected one (Nadeau & Bengio 2003), cut where an
        accuracy ends.
        """
        if not self.folds:
            return math.nan, math.nan
        sizes = self.folds[0].about["data"]["sizes"]
        low, high = corrected_interval(self.scores, sizes["train"], sizes["valid"])
        if self._is_share and not math.isnan(low):
            return max(0.0, low), min(1.0, high)
        return low, high

    def report(self) -> list[Path]:
        """Writes the report of each fold, also of those that failed, and says where they are."""
        from trainwell.report import write_report

        return [write_report(self.path / name_fold(fold.number)) for fold in self.outcomes]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "metric": self.metric,
            "folds": [fold.to_dict(self.metric) for fold in self.outcomes],
            "scores": self.scores,
            "mean": self.mean,
            "standard_deviation": self.deviation,
            "interval": list(self.interval),
            "confidence": CONFIDENCE,
            "interval_method": METHOD,
            "test_split": UNREAD_TEST,
        }

    def __str__(self) -> str:
        rows = [(str(fold.number), fold.run) for fold in self.outcomes]
        scores = [self._show(r.metrics[self.metric]) if r else "failed" for _, r in rows]
        low, high = map(self._show, self.interval)
        return "\n".join(
            [
                f"fold  {self.metric}",
                *(f"{name:>4}  {score}" for (name, _), score in zip(rows, scores, strict=True)),
                f"mean  {self._show(self.mean)}, standard deviation {self._show(self.deviation)}",
                f"{CONFIDENCE:>4.0%}  {low} to {high}, {METHOD}",
                UNREAD_TEST,
            ]
        )

    @property
    def _is_share(self) -> bool:
        return self.metric.endswith("accuracy")

    def _show(self, value: float) -> str:
        if math.isnan(value):
            return "unknown"
        return f"{value:.2%}" if self._is_share else f"{value:.4g}"
