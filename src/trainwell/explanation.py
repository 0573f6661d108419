"""What a run would do and why, before it is done: every recipe value and the planned rate."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainwell.report.blocks import draw_blocks
from trainwell.training.defaults import DEFAULT, GIVEN, Choice, recipe_of
from trainwell.training.rates import RateForecast, forecast_rates
from trainwell.training.recipe import Recipe

LINE = 100


@dataclass(frozen=True)
class Explanation:
    """Every recipe value that a run would have, and why; `str` shows it with the planned rate.

    Attributes:
        title: Model and data, for people.
        choices: By recipe field.
        steps_per_epoch: Updates in an epoch.
    """

    title: str
    choices: Mapping[str, Choice]
    steps_per_epoch: int

    @property
    def recipe(self) -> Recipe:
        """The complete recipe."""
        return recipe_of(self.choices)

    @property
    def rates(self) -> RateForecast:
        """The learning rate over the whole training."""
        return forecast_rates(self.recipe, self.steps_per_epoch)

    def to_dict(self) -> dict[str, Any]:
        """For each field `value`, `source` and `reason`, as plain JSON types."""
        return {name: choice.to_dict() for name, choice in self.choices.items()}

    def __str__(self) -> str:
        # What was decided for this run stands first.
        ranks = {GIVEN: 0, DEFAULT: 2}
        sources = {choice.source: None for choice in self.choices.values()}
        lines = [self.title]
        for source in sorted(sources, key=lambda source: ranks.get(source, 1)):
            chosen = [item for item in self.choices.items() if item[1].source == source]
            lines += ["", source, *(_show_choice(name, choice) for name, choice in chosen)]
        return "\n".join([*lines, "", *show_rates(self.rates)])


def show_rates(rates: RateForecast) -> list[str]:
    """The planned rate as a chart of text, with its first, highest and last value."""
    highest, last_step = f"{rates.highest:.4g}", f"step {rates.points[-1][0]:,}"
    margin = len(highest)
    rows = draw_blocks([rate for _, rate in rates.points])
    labels = [highest, *[""] * (len(rows) - 2), "0"]
    return [
        "learning rate, as planned",
        *(f"{label:>{margin}} │{row}" for label, row in zip(labels, rows, strict=True)),
        f"{'':>{margin}} └{'step 1':<{len(rows[0]) - len(last_step)}}{last_step}",
        f"starts at {rates.start:.4g}, highest {rates.highest:.4g}, ends at {rates.final:.4g}",
        rates.describe_decay(),
    ]


def _show_choice(name: str, choice: Choice) -> str:
    head = f"  {name:<18} {_show_value(choice.value):<10} "
    indent = " " * 32
    return textwrap.fill(choice.reason, LINE, initial_indent=head, subsequent_indent=indent)


def _show_value(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
