"""The benchmark of gains: differences within a seed, and what their interval shows."""

from __future__ import annotations

import pytest

import trainwell
from benchmarks import gains
from benchmarks.gains import Asked


def test_a_gain_is_a_difference_within_a_seed() -> None:
    # Seeds differ by 10 points, and the second is better by 1 in each.
    plain = [70.0, 80.0, 90.0]
    table = gains.format_table({"plain": plain, "better": [71.0, 81.1, 90.9]})
    assert "| better | 81.00 % | +1.00 | +0.75 to +1.25 | helps |" in table


@pytest.mark.parametrize(
    ("low", "high", "shown"), [(0.1, 0.3, "helps"), (-0.1, 0.3, "neither"), (-0.3, -0.1, "harms")]
)
def test_an_interval_that_holds_zero_shows_nothing(low: float, high: float, shown: str) -> None:
    assert gains.judge(low, high) == shown


def test_everything_is_trained_with_each_seed() -> None:
    asked = Asked("lenet5", images=200, tested=80, epochs=1)
    data = gains.cut_down(trainwell.load("shapes"), asked)
    assert (len(data.train), len(data.split("test"))) == (200, 80)
    found = gains.measure(data, asked, range(2))
    assert list(found) == ["plain", "6 views", "averaged weights", "smoothed labels"]
    assert all(len(scores) == 2 for scores in found.values())
