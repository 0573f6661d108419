"""The benchmark of activations: the count ends where the error is reached, or not at all."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks import activations
from benchmarks.activations import Contest, Examples

WIDTHS = (4, 4, 8)


@pytest.fixture(scope="module")
def easy() -> Examples:
    """Images of one colour a class."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(200) % 10
    colours = 2 * torch.randn(10, 3, 1, 1, generator=generator)
    return Examples(colours[targets].expand(-1, 3, 32, 32).contiguous(), targets)


@pytest.mark.parametrize("activation", activations.INITIALISATIONS)
def test_networks_differ_in_their_activation_and_not_in_their_size(activation: str) -> None:
    network = activations.build_network(activation, WIDTHS, seed=0)
    assert sum(p.numel() for p in network.parameters()) == 304 + 404 + 808 + 1290
    kind = type(network[1]).__name__.lower()
    assert kind == activation and network(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_the_count_ends_at_the_first_look_with_little_enough_error(easy: Examples) -> None:
    counted = activations.count_updates("relu", easy, WIDTHS, seed=0, rate=0.01, most=1000)
    assert counted < math.inf and counted % activations.COUNT_EVERY == 0
    before = int(counted) - activations.COUNT_EVERY
    assert activations.count_updates("relu", easy, WIDTHS, 0, 0.01, before) == math.inf


def test_a_training_that_diverges_is_not_waited_for(easy: Examples) -> None:
    assert activations.count_updates("relu", easy, WIDTHS, 0, rate=1e6, most=10**9) == math.inf


def test_the_same_seed_counts_the_same(easy: Examples) -> None:
    counts = {activations.count_updates("tanh", easy, WIDTHS, 1, 0.01, 300) for _ in range(2)}
    assert len(counts) == 1


def test_a_ratio_is_taken_within_each_seed() -> None:
    contests = {"relu": Contest(0.1, [100.0, 200.0]), "tanh": Contest(0.03, [300.0, 600.0])}
    assert activations.format_table(contests).endswith(
        "| tanh | 0.03 | 450 | 300 to 600 | 3.00 | 3.00 to 3.00 |"
    )


def test_a_seed_that_never_gets_there_is_shown_as_such() -> None:
    contests = {"relu": Contest(0.1, [100.0]), "sigmoid": Contest(0.03, [math.inf])}
    assert "| sigmoid | 0.03 | inf | inf to inf | inf | inf to inf |" in activations.format_table(
        contests
    )
