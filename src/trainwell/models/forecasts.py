"""Forecast baselines, which a network must beat before it is worth anything.

Each takes the values up to now and gives the next ones. Nothing in them is trained but, where
wanted, the constant of the exponential smoothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.errors import DataError


def forecast_naive(series: Tensor, steps: int = 1) -> Tensor:
    """The last value again.

    Args:
        series: `(N, T)`, the oldest value first.
        steps: How many to forecast.

    Returns:
        `(N, steps)`, as of all forecasts here.
    """
    return _require_values(series)[:, -1:].expand(-1, steps)


def forecast_mean(series: Tensor, steps: int = 1) -> Tensor:
    """The mean of all values."""
    return _require_values(series).mean(1, keepdim=True).expand(-1, steps)


def forecast_moving_average(series: Tensor, steps: int = 1, window: int = 3) -> Tensor:
    """The mean of the last values; forecasts are values to the next ones.

    Args:
        series: `(N, T)`, T at least the window.
        steps: How many to forecast.
        window: How many values are averaged.

    Raises:
        DataError: The series is shorter than the window.
    """
    values = _require_values(series)
    if not 1 <= window <= values.shape[1]:
        raise DataError(
            f"a moving average over {window} of {values.shape[1]} values cannot be",
            remedy="Use a window between 1 and the length of the series",
        )
    for _ in range(steps):
        values = torch.cat([values, values[:, -window:].mean(1, keepdim=True)], 1)
    return values[:, series.shape[1] :]


def smooth_exponentially(series: Tensor, alpha: float) -> Tensor:
    """F(t + 1) = alpha · A(t) + (1 − alpha) · F(t), with F(1) = A(1) (Brown 1956).

    Args:
        series: A, `(N, T)`.
        alpha: Weight of the newest value, in (0, 1].

    Returns:
        `(N, T)`: the forecast made after each value for the next one.

    Raises:
        DataError: alpha is no such weight.
    """
    if not 0 < alpha <= 1:
        raise DataError(f"alpha must be above 0 and at most 1, not {alpha:g}")
    values = _require_values(series)
    forecast = values[:, 0]
    made = []
    for value in values.unbind(1):
        forecast = alpha * value + (1 - alpha) * forecast
        made.append(forecast)
    return torch.stack(made, 1)


def forecast_smoothed(series: Tensor, steps: int = 1, alpha: float = 0.5) -> Tensor:
    """Exponential smoothing; further steps repeat the first."""
    return smooth_exponentially(series, alpha)[:, -1:].expand(-1, steps)


def fit_smoothing(series: Tensor) -> float:
    """The alpha, of 0.01, 0.02, ... 1, whose one-step forecasts have the least squared error.

    Args:
        series: `(N, T)`, T at least 2.
    """
    alphas = [i / 100 for i in range(1, 101)]
    errors = [
        float((smooth_exponentially(series, a)[:, :-1] - series[:, 1:]).square().mean())
        for a in alphas
    ]
    return alphas[errors.index(min(errors))]


BASELINES = {
    "naive": forecast_naive,
    "mean": forecast_mean,
    "moving_average": forecast_moving_average,
    "exponential_smoothing": forecast_smoothed,
}


def score_baselines(series: Tensor, targets: Tensor) -> dict[str, float]:
    """Root mean squared error of every baseline.

    Args:
        series: `(N, T)` or `(N, T, 1)`, what is known.
        targets: `(N, K)`, the K values that came next.
    """
    known = series.squeeze(-1) if series.ndim == 3 else series
    steps = targets.shape[1]
    return {
        name: float((forecast(known, steps) - targets).square().mean().sqrt())
        for name, forecast in BASELINES.items()
    }


def _require_values(series: Tensor) -> Tensor:
    if series.ndim != 2 or series.shape[1] == 0:
        raise DataError(
            f"a series must be (N, T) with T at least 1, not {tuple(series.shape)}",
            remedy="Give one row for each series",
        )
    return series
