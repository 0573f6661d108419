"""Forecast baselines by their formulas, and that a network beats them where it can."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import trainwell as tw
from trainwell.errors import DataError, ModelError
from trainwell.models.forecasts import (
    BASELINES,
    ExponentialSmoothing,
    fit_smoothing,
    forecast_mean,
    forecast_moving_average,
    forecast_naive,
    forecast_smoothed,
    score_baselines,
    smooth_exponentially,
)
from trainwell.nn.losses import squared_error

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


@pytest.mark.parametrize(
    ("name", "baseline"),
    {
        "naive_forecast": "naive",
        "mean_forecast": "mean",
        "moving_average": "moving_average",
        "exponential_smoothing": "exponential_smoothing",
    }.items(),
)
def test_baselines_are_found_by_name_and_pass_through_fit(
    name: str, baseline: str, tmp_path: Path
) -> None:
    run = tw.fit(name, "series", tw.Recipe(epochs=5), out=tmp_path / "run")
    test = run.data.test
    assert test is not None and isinstance(test.inputs, torch.Tensor)
    known = test.inputs.squeeze(-1)
    options = {"alpha": run.model.alpha.item()} if name == "exponential_smoothing" else {}
    made = BASELINES[baseline](known, test.targets.shape[1], **options)
    expected = float((made - test.targets).square().mean().sqrt())
    # In standardised units the forecast is of standardised values: all but the same here.
    assert run.metrics["test_rmse"] == pytest.approx(expected, rel=0.03)
    assert tw.load_run(tmp_path / "run").predict(test.inputs[:2]).shape == (2, 8)


def test_exponential_smoothing_as_a_model_is_the_recursion_and_finds_alpha() -> None:
    model = ExponentialSmoothing((4, 1), 2, alpha=0.3)
    assert model(SERIES.unsqueeze(2))[0].tolist() == pytest.approx([12.004] * 2)
    noise = torch.randn(200, 33, generator=torch.Generator().manual_seed(0))
    for series, low, high in ((noise, 0.0, 0.15), (noise.cumsum(1), 0.85, 1.0)):
        model = ExponentialSmoothing((32, 1), 1)
        optimizer = torch.optim.Adam(model.parameters(), 0.1)
        for _ in range(200):
            optimizer.zero_grad()
            squared_error(model(series[:, :-1, None]), series[:, -1:]).backward()
            optimizer.step()
        assert low < float(model.alpha.detach()) < high


def test_baselines_refuse_classes_several_series_and_impossible_windows() -> None:
    with pytest.raises(ModelError, match="this is a multiclass task"):
        tw.models.create("naive_forecast", tw.load("digits"))
    with pytest.raises(ModelError, match="one series"):
        tw.models.create("mean_forecast", input_shape=(10, 2), classes=1)
    with pytest.raises(ModelError, match="between 1 and 10"):
        tw.models.create("moving_average", input_shape=(10, 1), classes=1, window=11)
    with pytest.raises(ModelError, match="alpha"):
        tw.models.create("exponential_smoothing", input_shape=(10, 1), classes=1, alpha=1.0)


def test_a_sequence_of_one_step_uses_all_weights_of_sequence_to_sequence() -> None:
    model = tw.models.create("sequence_to_sequence", input_shape=(20, 1), classes=1, seed=0)
    model(torch.randn(4, 20, 1)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_sequence_to_sequence_beats_every_baseline_on_periodic_series(tmp_path: Path) -> None:
    run = tw.fit("sequence_to_sequence", "series", tw.Recipe(epochs=10), out=tmp_path / "run")
    test = run.data.test
    assert test is not None and isinstance(test.inputs, torch.Tensor)
    scores = score_baselines(test.inputs, test.targets)
    assert run.metrics["test_rmse"] < 0.6 * min(scores.values())
