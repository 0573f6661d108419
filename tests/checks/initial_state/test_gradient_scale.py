import pytest
from torch import nn

from tests.checks.initial_state.looking import codes, report, seeded, weights
from trainwell.checks.initial_state.gradient_scale import check_gradient_scale


@pytest.mark.parametrize("hidden", [5, 8, 12])
def test_a_deep_net_of_sigmoids_is_named(hidden):
    model = seeded(64, *[32] * hidden, 10, activation=nn.Sigmoid)
    assert codes(check_gradient_scale, model) == ["vanishing_gradient"]


@pytest.mark.parametrize("hidden", [1, 2, 3])
def test_a_few_layers_of_sigmoids_pass(hidden):
    model = seeded(64, *[32] * hidden, 10, activation=nn.Sigmoid)
    assert codes(check_gradient_scale, model) == []


def test_thirty_layers_with_small_weights_are_named_and_with_right_ones_pass():
    model = seeded(64, *[64] * 30, 10)
    assert codes(check_gradient_scale, model) == ["vanishing_gradient"]
    weights(model, nn.init.kaiming_normal_)
    assert codes(check_gradient_scale, model) == []


def test_a_gradient_that_explodes_is_named():
    model = weights(seeded(64, *[64] * 14, 10), lambda w: w.mul_(8))
    found = report(check_gradient_scale, model).findings
    assert [f.code for f in found] == ["exploding_or_nan"]
    assert found[0].evidence["growth"] > 1e4


def test_exactly_zero_is_left_to_others():
    model = seeded(64, 32, 10)
    nn.init.zeros_(model[-1].weight)
    assert codes(check_gradient_scale, model) == []
