"""Training examples that are learned by heart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import column, recent, skill


def find_overfitting(history: History) -> Iterable[Finding]:
    """A validation loss far above the training's that rises while the training is fitted."""
    gaps = _measure_gaps(history)
    if gaps is None or skill(history) <= 0.5 or _training_jumped(history):
        return
    by_heart = _is_regression_by_heart if _has_no_accuracy(history, gaps) else _is_by_heart
    if not by_heart(history, gaps):
        return
    risen, differs = "", ""
    if gaps.rise > 0.05:
        risen = f" and has risen by {100 * gaps.rise:.0f} % since its best"
    if gaps.accuracy > 0:
        differs = f"; the accuracy differs by {100 * gaps.accuracy:.0f} points"
    yield Finding(
        code="overfitting",
        severity="warning",
        step=history.step,
        evidence={
            "accuracy_gap": gaps.accuracy,
            "valid_loss_over_train_loss": gaps.ratio,
            "valid_loss_rise": gaps.rise,
        },
        cause=f"The validation loss is {gaps.ratio:.2g} times the training loss{risen}{differs}: "
        "the model learns the training examples by heart.",
        remedy="Stop at the best validation loss; use more data, augmentation, weight decay or "
        "dropout, or a smaller model.",
        reference="Prechelt 1998; Goodfellow et al. 2016, chapter 7",
    )


@dataclass(frozen=True)
class Gaps:
    """Between training and validation.

    Attributes:
        accuracy: Training's minus validation's; not-a-number where unknown.
        ratio: Validation loss over training loss.
        rise: Of the validation loss since its best, as a share of that.
    """

    accuracy: float
    ratio: float
    rise: float


def _measure_gaps(history: History) -> Gaps | None:
    """None where neither enough epochs nor extra passes tell of them."""
    valid, train, probe = (
        column(history, "valid_loss"),
        column(history, "train_loss"),
        history.probe,
    )
    if len(valid) >= 4:
        best = min(valid)
        own = recent(train) if train else history.trend.last
        rise = (recent(valid) - best) / max(abs(best), 1e-12)
        return Gaps(_accuracy_gap(history), recent(valid) / max(own, 1e-6), rise)
    if probe is not None and math.isfinite(probe.valid.loss):
        return Gaps(_accuracy_gap(history), probe.valid.loss / max(probe.train.loss, 1e-6), 0.0)
    return None


def _accuracy_gap(history: History) -> float:
    metric, own = column(history, "valid_metric"), column(history, "train_metric")
    is_rate = bool(metric) and bool(own) and min(metric + own) >= 0 and max(metric + own) <= 1
    gap = recent(own) - recent(metric) if is_rate else math.nan
    if not math.isfinite(gap) and history.probe is not None:
        gap = history.probe.train.accuracy - history.probe.valid.accuracy
    return gap


def _training_jumped(history: History) -> bool:
    """Whether the training loss has lately risen as well."""
    train = column(history, "train_loss")
    return bool(train) and recent(train) - min(train) > 0.05 * max(train)


def _has_no_accuracy(history: History, gaps: Gaps) -> bool:
    return not history.is_classification and not math.isfinite(gaps.accuracy)


def _is_by_heart(history: History, gaps: Gaps) -> bool:
    if math.isfinite(gaps.accuracy):
        far = gaps.accuracy > (0.15 if gaps.rise > 0.05 else 0.25) and gaps.ratio > 2
        return far or (gaps.rise > 0.25 and gaps.ratio > 1.6 and gaps.accuracy > 0.1)
    return gaps.rise > 0.5 and gaps.ratio > 4


def _is_regression_by_heart(history: History, gaps: Gaps) -> bool:
    valid, train = column(history, "valid_loss"), column(history, "train_loss")
    found = (gaps.rise > 0.25 and gaps.ratio > 1.6) or (gaps.ratio > 4 and gaps.rise > 0.08)
    if valid and recent(valid) - min(valid) < 0.05 * history.chance:
        found = False  # by next to nothing of what there is to be explained
    apart = bool(train and valid) and recent(valid) - recent(train) > 0.25 * history.chance
    return found or (gaps.ratio > 8 and apart)
