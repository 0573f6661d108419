"""Nearest examples: how dense they lie, and what they and codes say of targets."""

from __future__ import annotations

import pytest
import torch

from trainwell.watching.data_facts import look_at_data
from trainwell.watching.giveaways import find_copied_feature, find_dividing_feature
from trainwell.watching.neighbours import compare_spacing, explain, explain_by_code

G = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("dimensions", [2, 5, 12])
def test_in_a_plain_cloud_of_any_dimension_the_spacing_is_about_one(dimensions: int) -> None:
    x = torch.randn(800, dimensions, generator=G)
    assert 0.4 < compare_spacing(x) < 1.3


@pytest.mark.parametrize("dimensions", [2, 5, 12])
def test_examples_in_families_lie_much_denser_among_their_nearest(dimensions: int) -> None:
    centres = torch.randn(200, dimensions, generator=G).repeat_interleave(4, 0)
    assert compare_spacing(centres + 0.01 * torch.randn(centres.shape, generator=G)) > 1.6


def test_too_few_examples_say_nothing_of_the_spacing() -> None:
    assert compare_spacing(torch.randn(100, 3)) != compare_spacing(torch.randn(100, 3))


def test_neighbours_explain_a_smooth_target_and_no_noise() -> None:
    x = torch.randn(600, 3, generator=G)
    assert explain(x, x[:, :1].sin()) > 0.8
    assert abs(explain(x, torch.randn(600, 1, generator=G))) < 0.15


def test_codes_explain_what_hangs_on_them_and_no_noise() -> None:
    codes = torch.randint(20, (600, 2), generator=G).float()
    effect = torch.randn(20, 1, generator=G)[codes[:, 1].long()]
    noise = torch.randn(600, 1, generator=G)
    assert explain_by_code(codes, effect) == pytest.approx(1.0)
    assert abs(explain_by_code(codes, noise)) < 0.1
    assert explain_by_code(torch.randn(600, 2, generator=G), effect) == 0.0


def test_the_feature_that_one_limit_divides_is_found_with_ties() -> None:
    x = torch.randn(400, 4, generator=G)
    y = (x[:, 1] > 0.3).long()
    x[:, 2] = torch.where(y == 1, 0.0, 3.0)
    column, skill, others = find_dividing_feature(x, y)
    assert column in (1, 2)
    assert skill == pytest.approx(1.0)
    assert others <= skill


def test_a_constant_feature_divides_nothing() -> None:
    y = torch.randint(2, (400,), generator=G)
    assert find_dividing_feature(torch.ones(400, 3), y)[1] <= 0.0


def test_a_copy_in_some_rows_is_found_only_of_targets_that_hardly_repeat() -> None:
    x, y = torch.randn(300, 3, generator=G), torch.randn(300, generator=G)
    x[:60, 2] = y[:60]
    assert find_copied_feature(x, y) == (2, pytest.approx(0.2))
    assert find_copied_feature(x.round(), y.round())[0] == -1


def test_of_examples_with_many_features_fewer_are_compared() -> None:
    wide, narrow = torch.randn(1500, 4000, generator=G), torch.randn(1500, 40, generator=G)
    targets = torch.randint(2, (1500,), generator=G)
    assert look_at_data((wide, targets), None, classes=True).examples < 800
    assert look_at_data((narrow, targets), None, classes=True).examples == 1500
