"""The curves of a training: loss, score, learning rate, gradients and updates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainwell.report.charts import Axes, Point, Series, draw_chart
from trainwell.report.markup import figure
from trainwell.report.planned_rate import draw_rates
from trainwell.training.rates import RateForecast

Rows = Sequence[Mapping[str, Any]]

WIDE_RANGE = 30
COLOURS = 8
HEALTHY_RATIO = 1e-3


def draw_curves(metrics: Rows, forecast: RateForecast | None = None) -> str:
    """Every curve that there are readings for, and the planned learning rate.

    Args:
        metrics: Readings of the run.
        forecast: Of the learning rate; None where it is not known.
    """
    windows = [row for row in metrics if row.get("kind") == "window"]
    epochs = [row for row in metrics if row.get("kind") == "epoch"]
    layers = [row for row in metrics if row.get("kind") == "layers"]
    figures = [
        figure("Loss", draw_loss(windows, epochs)),
        *draw_scores(epochs),
        figure(
            "Learning rate",
            draw_rates(_column(windows or epochs, "learning_rate"), forecast),
        ),
        figure(
            "Gradient norm",
            draw_chart(
                [Series("all parameters", _column(windows, "gradient_norm"), "c3")],
                Axes("step", "gradient norm", log=True),
            ),
        ),
    ]
    if layers:
        figures.append(figure("Update ratio of each layer", draw_update_ratios(layers)))
    return "".join(figures)


def draw_loss(windows: Rows, epochs: Rows) -> str:
    """Training loss of each window and epoch, and validation loss."""
    series = [
        Series("training, each window", _column(windows, "train_loss"), "faint"),
        Series("training", _column(epochs, "train_loss"), "c0"),
        Series("validation", _column(epochs, "valid_loss"), "c1"),
    ]
    return draw_chart(series, Axes("step", "loss", log=_has_wide_range(series)))


def draw_scores(epochs: Rows) -> list[str]:
    """Accuracy of a classification; error and explained variance of a regression."""
    figures = []
    if any("valid_accuracy" in row for row in epochs):
        series = [
            Series("training", _column(epochs, "train_accuracy"), "c0"),
            Series("validation", _column(epochs, "valid_accuracy"), "c1"),
        ]
        chart = draw_chart(series, Axes("step", "accuracy", percent=True))
        figures.append(figure("Accuracy", chart))
    for key, title in (("valid_rmse", "Error (RMSE)"), ("valid_r2", "Explained variance (R²)")):
        if any(key in row for row in epochs):
            series = [Series("validation", _column(epochs, key), "c1")]
            figures.append(figure(title, draw_chart(series, Axes("step", title))))
    return figures


def draw_update_ratios(layers: Rows) -> str:
    """Norm of the update by norm of the weights, of every weight matrix; about 1e-3 is healthy."""
    names = [n for n in layers[-1]["update_ratio"] if not _is_vector(n)]
    names = names or list(layers[-1]["update_ratio"])
    series = [
        Series(
            name,
            [(row["step"], _number(row["update_ratio"].get(name))) for row in layers],
            f"c{index * COLOURS // max(COLOURS, len(names))}",
        )
        for index, name in enumerate(names)
    ]
    if len(series) > COLOURS:
        chart = draw_chart(series, _RATIO_AXES)
        # A legend of a hundred layers says less than their order does.
        return chart.partition('<ul class="legend">')[0] + _describe_depth(series)
    return draw_chart(series, _RATIO_AXES)


_RATIO_AXES = Axes("step", "update ratio", log=True, guide=(HEALTHY_RATIO, "about 1e-3 is usual"))


def _describe_depth(series: Sequence[Series]) -> str:
    ends = [series[0], series[-1]]
    items = "".join(
        f'<li><i class="{line.colour}"></i>{word}: {line.name}</li>'
        for word, line in zip(("first", "last"), ends, strict=True)
    )
    return f'<ul class="legend">{items}<li>{len(series)} layers, coloured by depth</li></ul>'


def _is_vector(name: str) -> bool:
    return name.endswith(("bias", "beta", "gamma"))


def _column(rows: Rows, key: str) -> list[Point]:
    return [(float(row["step"]), _number(row.get(key))) for row in rows]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _has_wide_range(series: Iterable[Series]) -> bool:
    values = [y for line in series for _, y in line.points if math.isfinite(y)]
    return bool(values) and min(values) > 0 and max(values) / min(values) > WIDE_RANGE
