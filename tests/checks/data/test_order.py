"""Examples in the order of their labels are found where nothing shuffles them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.data.healthy_programs import CLASSES, HEALTHY, codes, program
from trainwell.checks.data.order import (
    check_order,
    correlation_of_neighbours,
    likeness_of_neighbours,
)


@pytest.mark.parametrize("name", HEALTHY)
def test_mixed_examples_need_no_shuffling(name: str) -> None:
    assert codes(check_order, program(name).subject(shuffle=False)) == []


@pytest.mark.parametrize("name", HEALTHY)
def test_sorted_examples_are_found_unless_shuffled(name: str) -> None:
    healthy = program(name)
    order = healthy.targets.flatten().argsort()
    ordered = healthy.with_(inputs=healthy.inputs[order], targets=healthy.targets[order])
    assert codes(check_order, ordered.subject(shuffle=False)) == [("no_shuffle", "error")]
    assert codes(check_order, ordered.subject(shuffle=True)) == []


def test_long_runs_of_classes_are_found() -> None:
    targets = (torch.arange(600) // 5) % 4
    healthy = program("teacher").with_(inputs=torch.randn(600, 12), targets=targets)
    assert codes(check_order, healthy.subject(shuffle=False)) == [("no_shuffle", "error")]


def test_likeness_is_none_by_chance_and_one_in_runs() -> None:
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randint(0, 5, (20_000,), generator=generator)
    assert likeness_of_neighbours(mixed) == pytest.approx(0, abs=0.02)
    assert likeness_of_neighbours(mixed.sort().values) == pytest.approx(1, abs=0.001)
    # 3 of 7 pairs are equal, where halves give 1/2 by chance.
    assert likeness_of_neighbours(torch.tensor([0, 0, 1, 1, 0, 1, 0, 0])) == pytest.approx(
        (3 / 7 - (25 + 9) / 64) / (1 - (25 + 9) / 64)
    )


@given(st.lists(st.integers(0, 3), min_size=1, max_size=50))
def test_likeness_does_not_depend_on_the_names_of_classes(labels: list[int]) -> None:
    numbers = torch.tensor(labels)
    renamed = torch.tensor([2, 0, 3, 1])[numbers]
    assert likeness_of_neighbours(numbers) == pytest.approx(likeness_of_neighbours(renamed))
    assert likeness_of_neighbours(numbers) <= 1


def test_numbers_that_rise_go_with_their_neighbours() -> None:
    assert correlation_of_neighbours(torch.arange(1000.0)) > 0.99
    assert correlation_of_neighbours(torch.ones(10)) == 0


def test_every_program_of_classes_is_looked_at() -> None:
    assert all(check_order(program(name).subject()) for name in CLASSES)
