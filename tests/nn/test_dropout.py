"""Dropping units, weights and layers: expectations, and what happens at test time."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.errors import ModelError
from trainwell.nn.dropout import (
    DropConnectLinear,
    StochasticDepth,
    VanillaDropout,
    sample_predictions,
)


def test_the_mean_over_the_four_masks_is_half_the_sum_which_vanilla_dropout_gives_at_test() -> None:
    weights, inputs = torch.tensor([3.0, -2.0]), torch.tensor([5.0, 7.0])
    masks = [torch.tensor(m) for m in itertools.product((0.0, 1.0), repeat=2)]
    mean = sum((weights * inputs * mask).sum() for mask in masks) / 4
    dropped = VanillaDropout(0.5).eval()(inputs)
    assert float(mean) == pytest.approx(0.5 * (3 * 5 - 2 * 7))
    assert float((weights * dropped).sum()) == pytest.approx(float(mean))


def test_vanilla_dropout_does_not_scale_in_training_and_inverted_does() -> None:
    torch.manual_seed(0)
    values = torch.ones(20_000)
    vanilla, inverted = VanillaDropout(0.25)(values), nn.Dropout(0.25)(values)
    assert set(vanilla.unique().tolist()) == {0.0, 1.0}
    assert float(vanilla.mean()) == pytest.approx(0.75, abs=0.02)
    assert float(inverted.mean()) == pytest.approx(1.0, abs=0.02)
    assert torch.equal(nn.Dropout(0.25).eval()(values), values)


def test_drop_connect_drops_weights_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer = DropConnectLinear(5, 3, 0.5)
    inputs = torch.randn(4, 5)
    drawn = torch.stack([layer(inputs) for _ in range(4000)])
    layer.eval()
    assert torch.allclose(layer(inputs), nn.functional.linear(inputs, layer.weight, layer.bias))
    assert torch.allclose(drawn.mean(0), layer(inputs), atol=0.06)


@pytest.mark.parametrize("per_example", [False, True])
def test_stochastic_depth_drops_branches_whole(per_example: bool) -> None:
    torch.manual_seed(0)
    drop = StochasticDepth(0.7, per_example)
    drawn = torch.stack([drop(torch.ones(6, 2, 3)) for _ in range(500)])
    by_example = drawn.flatten(2)
    assert torch.equal(by_example.amin(2), by_example.amax(2))
    assert (by_example[:, :1] == by_example).all() == (not per_example)
    assert float(drawn.mean()) == pytest.approx(0.7, abs=0.06)
    assert torch.equal(drop.eval()(torch.ones(1, 2)), torch.full((1, 2), 0.7))


def test_monte_carlo_dropout_knows_where_it_doubts_and_restores_all_modes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 50), nn.BatchNorm1d(50), nn.ReLU(), nn.Dropout(0.5))
    model.append(nn.Linear(50, 1))
    model[1].eval()
    before = [m.training for m in model.modules()]
    statistics = model[1].running_mean.clone()
    near, far = torch.zeros(1, 3), 30 * torch.ones(1, 3)
    sampled = sample_predictions(model, torch.cat([near, far]), draws=200)
    assert sampled.deviation[1] > 3 * sampled.deviation[0]
    assert [m.training for m in model.modules()] == before
    assert torch.equal(model[1].running_mean, statistics)


@pytest.mark.parametrize("name", ["wide_resnet10_1", "densenet7_4", "densenet_bc10_4"])
def test_monte_carlo_dropout_finds_the_dropout_of_our_models(name: str) -> None:
    model = tw.models.create(name, input_shape=(3, 8, 8), classes=2, seed=0, dropout=0.5)
    sampled = sample_predictions(model, torch.randn(4, 3, 8, 8), draws=5)
    assert (sampled.deviation > 0).all()


def test_impossible_shares_and_models_that_drop_nothing_are_refused() -> None:
    with pytest.raises(ModelError, match="below 1"):
        VanillaDropout(1.0)
    with pytest.raises(ModelError, match="drops nothing"):
        sample_predictions(nn.Linear(2, 2), torch.zeros(1, 2))
