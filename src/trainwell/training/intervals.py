"""How sure a mean over folds is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

CONFIDENCE = 0.95
METHOD = "corrected resampled t (Nadeau & Bengio 2003)"


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
    from scipy.special import stdtrit

    count = len(scores)
    if count < 2:
        return math.nan, math.nan
    variance_of_mean = (1 / count + valid / train) * statistics.variance(scores)
    quantile = float(stdtrit(count - 1, 0.5 + confidence / 2))
    mean, reach = statistics.fmean(scores), quantile * math.sqrt(variance_of_mean)
    return mean - reach, mean + reach
