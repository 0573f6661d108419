"""Forecast baselines, which a network must beat before it is worth anything.

Each takes the values up to now and gives the next ones. Nothing in them is trained but the constant
of the exponential smoothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from trainwell.errors import DataError, ModelError
from trainwell.models.entry import Build, Entry
from trainwell.models.shapes import AsSequence, sequence_shape


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


Forecast = Callable[[Tensor, int], Tensor]


class FixedForecast(nn.Module):
    """A baseline that has nothing to learn, as a model, to stand in a table beside networks.

    It goes on in the units it is given: those in which inputs and targets have mean 0 and
    deviation 1, which are the same where both come from one stationary series. One parameter, which
    counts for nothing, lets it pass through `fit`.

    Args:
        input_shape: Of one series, `(T, 1)` or `(T,)`.
        outputs: Steps to forecast; `(N, outputs)` comes out.
        forecast: Of the functions above.

    Raises:
        ModelError: More than one value at a time.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int, forecast: Forecast) -> None:
        super().__init__()
        self.read, self.outputs, self.forecast = _read_series(input_shape), outputs, forecast
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        made = self.forecast(self.read(inputs).squeeze(2), self.outputs)
        return made + 0 * self.unused


def moving_average(input_shape: tuple[int, ...], outputs: int, window: int = 3) -> nn.Module:
    """The mean of the last values, as a model.

    Args:
        input_shape: Of one series, `(T, 1)` or `(T,)`.
        outputs: Steps to forecast; `(N, outputs)` comes out.
        window: How many values are averaged, 1 to T.

    Raises:
        ModelError: More than one value at a time, or no such window.
    """
    length, _ = sequence_shape(input_shape)
    if not 1 <= window <= length:
        raise ModelError(
            f"a moving average over {window} of {length} values cannot be",
            remedy=f"Use a window between 1 and {length}",
        )
    return FixedForecast(input_shape, outputs, partial(forecast_moving_average, window=window))


class ExponentialSmoothing(nn.Module):
    """F(t + 1) = alpha · A(t) + (1 − alpha) · F(t) (Brown 1956); `fit` finds alpha.

    Args:
        input_shape: Of one series, `(T, 1)` or `(T,)`.
        outputs: Steps to forecast; `(N, outputs)` comes out, all the same.
        alpha: At first, in (0, 1).

    Raises:
        ModelError: More than one value at a time, or no such alpha.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int, alpha: float = 0.5) -> None:
        super().__init__()
        if not 0 < alpha < 1:
            raise ModelError(f"alpha must be between 0 and 1, not {alpha:g}")
        length, _ = sequence_shape(input_shape)
        self.read, self.outputs = _read_series(input_shape), outputs
        self.log_odds = nn.Parameter(torch.tensor(math.log(alpha / (1 - alpha))))
        self.register_buffer("ages", torch.arange(length - 1.0, -1.0, -1.0))

    @property
    def alpha(self) -> Tensor:
        """The weight of the newest value."""
        return torch.sigmoid(self.log_odds)

    def forward(self, inputs: Tensor) -> Tensor:
        series = self.read(inputs).squeeze(2)
        # The recursion written out: each value by its age, and the first as the forecast of all.
        shares = (1 - self.alpha) ** self.ages  # pyright: ignore[reportOperatorIssue]
        made = self.alpha * (series[:, 1:] @ shares[1:]) + shares[0] * series[:, 0]
        return made.unsqueeze(1).expand(-1, self.outputs)


def _read_series(input_shape: tuple[int, ...]) -> AsSequence:
    if sequence_shape(input_shape)[1] != 1:
        raise ModelError(
            f"forecast baselines go on with one series, the input is {input_shape}",
            remedy="Give series of one value at a time, (T, 1)",
        )
    return AsSequence(input_shape)


def _require_values(series: Tensor) -> Tensor:
    if series.ndim != 2 or series.shape[1] == 0:
        raise DataError(
            f"a series must be (N, T) with T at least 1, not {tuple(series.shape)}",
            remedy="Give one row for each series",
        )
    return series


def _entry(build: Build, year: int, source: str, summary: str) -> Entry:
    recipe = {"optimizer": "adamw", "learning_rate": 0.05, "weight_decay": 0.0}
    fields = {"suits": "series", "tasks": ("regression",)}
    return Entry(build, year, source, summary, (64, 1), 8, recipe=recipe, **fields)


ENTRIES = {
    "naive_forecast": _entry(
        partial(FixedForecast, forecast=forecast_naive),
        1966,
        "Theil",
        "The last value again: persistence.",
    ),
    "mean_forecast": _entry(
        partial(FixedForecast, forecast=forecast_mean),
        2013,
        "Hyndman & Athanasopoulos",
        "The mean of all values.",
    ),
    "moving_average": _entry(moving_average, 1901, "Hooker", "The mean of the last values."),
    "exponential_smoothing": _entry(
        ExponentialSmoothing, 1956, "Brown", "A mean in which the past fades; alpha is trained."
    ),
}
