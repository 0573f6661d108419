"""How sure a mean is: over seeds, or over folds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

CONFIDENCE = 0.95
METHOD = "corrected resampled t (Nadeau & Bengio 2003)"


def student_interval(
    scores: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Student's t interval of the mean of independent scores, such as those of several seeds.

    Args:
        scores: Differences within a seed, where two recipes are compared.
        confidence: Of the interval, in (0, 1).

    Returns:
        Its ends; not-a-number where there are fewer than two scores.
    """
    return _interval(scores, 0.0, confidence)


def corrected_interval(
    scores: Sequence[float], train: int, valid: int, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The corrected resampled t interval of the mean score over folds (Nadeau & Bengio 2003).

    Two folds train on mostly the same examples, so their scores are correlated, the plain t
    interval is too narrow, and no estimate of the variance is unbiased (Bengio & Grandvalet 2004).
    The correction multiplies the variance of the mean, s² / k, by 1 + k · valid / train: with five
    folds the interval is 1.5 times as wide.

    Args:
        scores: Of each fold.
        train: Examples that a fold trains on.
        valid: Examples that a fold validates on.
        confidence: Of the interval, in (0, 1).

    Returns:
        Its ends; not-a-number where there are fewer than two scores.
    """
    return _interval(scores, valid / train, confidence)


def _interval(scores: Sequence[float], shared: float, confidence: float) -> tuple[float, float]:
    """The t interval of a mean whose variance is 1 / k + shared times that of a score."""
    from scipy.special import stdtrit

    count = len(scores)
    if count < 2:
        return math.nan, math.nan
    variance_of_mean = (1 / count + shared) * statistics.variance(scores)
    quantile = float(stdtrit(count - 1, 0.5 + confidence / 2))
    mean, reach = statistics.fmean(scores), quantile * math.sqrt(variance_of_mean)
    return mean - reach, mean + reach
