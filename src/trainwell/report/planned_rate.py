"""The learning rate as planned for the whole run, and as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainwell.errors import TrainwellError
from trainwell.report.charts import Axes, Point, Series, draw_chart
from trainwell.report.markup import text
from trainwell.training.rates import RateForecast, forecast_rates
from trainwell.training.recipe import Recipe
from trainwell.training.run_folder import RunFolder

Rows = Sequence[Mapping[str, Any]]


def read_forecast(
    folder: RunFolder, about: Mapping[str, Any], metrics: Rows
) -> RateForecast | None:
    """What the run's recipe plans; None where it cannot be told.

    Args:
        folder: Of a run, also of one that has just begun.
        about: The content of its `run.json`.
        metrics: Its readings.
    """
    steps = about.get("steps_per_epoch") or _count_steps(metrics)
    if not steps:
        return None
    try:
        recipe = Recipe.from_toml(folder.read_text("recipe.toml"), where="recipe.toml")
        return forecast_rates(recipe, steps)
    except TrainwellError:
        # A recipe of another version still has a page.
        return None


def draw_rates(actual: Sequence[Point], forecast: RateForecast | None) -> str:
    """The planned rate as a broad band, the actual one on top, and how far it decays.

    Args:
        actual: Steps and rates.
        forecast: What was planned; None where it is not known.
    """
    series = [Series("learning rate", actual, "c2")]
    if forecast is None:
        return draw_chart(series, Axes("step", "learning rate"))
    if not forecast.follows:
        series.insert(0, Series("planned", [(float(x), y) for x, y in forecast.points], "band"))
    chart = draw_chart(series, Axes("step", "learning rate"))
    return f'{chart}<p class="quiet">{text(forecast.describe_decay())}</p>'


def _count_steps(metrics: Rows) -> int:
    """Updates in an epoch of a run whose `run.json` does not say so, from its first epoch."""
    ends = (row["step"] for row in metrics if row.get("kind") == "epoch")
    return int(next(ends, 0))
