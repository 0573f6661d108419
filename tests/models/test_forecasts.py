"""Forecast baselines by their formulas, and that a network beats them where it can."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import trainwell as tw
from trainwell.errors import DataError
from trainwell.models.forecasts import (
    fit_smoothing,
    forecast_mean,
    forecast_moving_average,
    forecast_naive,
    forecast_smoothed,
    score_baselines,
    smooth_exponentially,
)

SERIES = torch.tensor([[10.0, 12.0, 11.0, 15.0]])


def test_baselines_by_hand() -> None:
    assert forecast_naive(SERIES, 2).tolist() == [[15.0, 15.0]]
    assert forecast_mean(SERIES, 1).tolist() == [[12.0]]
    first = (12 + 11 + 15) / 3
    second = (11 + 15 + first) / 3
    assert forecast_moving_average(SERIES, 2).tolist()[0] == pytest.approx([first, second])
    # F(2) = 10, F(3) = 0.3·12 + 0.7·10 = 10.6, F(4) = 0.3·11 + 0.7·10.6 = 10.72, ...
    smoothed = smooth_exponentially(SERIES, 0.3)[0].tolist()
    assert smoothed == pytest.approx([10.0, 10.6, 10.72, 12.004])
    assert forecast_smoothed(SERIES, 2, alpha=0.3)[0].tolist() == pytest.approx([12.004] * 2)


def test_the_fitted_alpha_is_high_for_a_walk_and_low_for_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20, 200, generator=generator)
    assert fit_smoothing(noise.cumsum(1)) > 0.9
    assert fit_smoothing(noise) < 0.1


def test_impossible_baselines_are_refused() -> None:
    with pytest.raises(DataError, match="window"):
        forecast_moving_average(SERIES, window=5)
    with pytest.raises(DataError, match="alpha"):
        smooth_exponentially(SERIES, 0.0)
    with pytest.raises(DataError, match="one row for each series"):
        forecast_naive(SERIES[0])


def test_sequence_to_sequence_beats_every_baseline_on_periodic_series(tmp_path: Path) -> None:
    run = tw.fit("sequence_to_sequence", "series", tw.Recipe(epochs=10), out=tmp_path / "run")
    test = run.data.test
    assert test is not None and isinstance(test.inputs, torch.Tensor)
    scores = score_baselines(test.inputs, test.targets)
    assert run.metrics["test_rmse"] < 0.6 * min(scores.values())
