"""Non-linearities: by the lectures' formulas, and the facts they state."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import nn

from trainwell.errors import ModelError
from trainwell.nn.activations import ACTIVATIONS, PIECES, Maxout, gain_of, make_activation

POINTS = torch.linspace(-3, 3, 13, dtype=torch.float64)
FORMULAS = {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "relu": lambda x: max(0.0, x),
    "leaky_relu": lambda x: max(0.01 * x, x),
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "shifted_relu": lambda x: max(-1.0, x),
    "linear": lambda x: x,
    "threshold": lambda x: 1.0 if x >= 0 else 0.0,
    "sign": lambda x: 1.0 if x >= 0 else -1.0,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_an_activation_is_its_formula(name: str) -> None:
    expected = [FORMULAS[name](float(x)) for x in POINTS]
    assert make_activation(name)(POINTS).tolist() == pytest.approx(expected)


def test_slopes_can_be_those_of_either_lecture() -> None:
    x = torch.tensor([-2.0])
    assert make_activation("leaky_relu", 0.1)(x).item() == pytest.approx(-0.2)
    prelu = make_activation("prelu", 0.1)
    assert prelu(x).item() == pytest.approx(-0.2)
    assert [p.requires_grad for p in prelu.parameters()] == [True]
    assert make_activation("elu", 2.0)(x).item() == pytest.approx(2 * (math.exp(-2) - 1))


def test_maxout_is_the_larger_of_two_linear_pieces_and_doubles_the_parameters() -> None:
    pieces = nn.Linear(3, 4)
    x = torch.randn(5, 3)
    both = pieces(x)
    assert torch.equal(Maxout()(both), torch.maximum(both[:, 0::2], both[:, 1::2]))
    assert sum(p.numel() for p in pieces.parameters()) == 2 * (3 * 2 + 2)


@pytest.mark.parametrize(("name", "bound"), [("sigmoid", 1e-4), ("tanh", 1e-7)])
def test_s_shaped_units_kill_gradients_at_ten(name: str, bound: float) -> None:
    for point in (-10.0, 10.0):
        x = torch.tensor(point, dtype=torch.float64, requires_grad=True)
        make_activation(name)(x).backward()
        assert x.grad is not None and abs(float(x.grad)) < bound


@pytest.mark.parametrize(("name", "centred"), [("sigmoid", False), ("relu", False), ("tanh", True)])
def test_which_outputs_are_centred_around_zero(name: str, centred: bool) -> None:
    outputs = make_activation(name)(torch.randn(10_000, generator=torch.Generator().manual_seed(0)))
    assert (abs(float(outputs.mean())) < 0.05) == centred


def test_positive_inputs_give_weight_gradients_of_one_sign() -> None:
    layer = nn.Linear(6, 1)
    inputs = torch.rand(1, 6) + 0.1
    layer(torch.sigmoid(inputs)).square().sum().backward()
    assert layer.weight.grad is not None
    assert len(set(layer.weight.grad.sign().flatten().tolist())) == 1


def test_an_unknown_activation_names_the_near_miss() -> None:
    with pytest.raises(ModelError, match="Did you mean 'relu'"):
        make_activation("rleu")
    with pytest.raises(ModelError, match="tanh has no slope"):
        make_activation("tanh", 0.1)
    assert all(isinstance(make_activation(name), nn.Module) for name in ACTIVATIONS)


def mean_squares(name: str, rescaled: bool) -> list[float]:
    """Of what goes into the activation, for each of 20 layers drawn with its gain."""
    generator = torch.Generator().manual_seed(2)
    width, pieces = 600, PIECES.get(name, 1)
    activation = make_activation(name)
    hidden, found = torch.randn(200, width, generator=generator), []
    for _ in range(20):
        weight = torch.randn(width, pieces * width, generator=generator) / math.sqrt(width)
        sums = hidden @ weight * (gain_of(activation) if found else 1.0)
        found.append(float(sums.square().mean()))
        if rescaled:
            sums = sums / sums.square().mean().sqrt()
        hidden = activation(sums).detach()
    return found


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_gain_keeps_the_mean_square_from_layer_to_layer(name: str) -> None:
    assert statistics.mean(mean_squares(name, rescaled=True)) == pytest.approx(1.0, abs=0.12)


UNSTABLE = ("gelu", "silu")
"""The larger the input, the more of it they keep: no gain holds them for long."""


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name not in UNSTABLE])
def test_the_gain_keeps_the_mean_square_through_twenty_layers(name: str) -> None:
    assert 0.4 < mean_squares(name, rescaled=False)[-1] < 2.5


@pytest.mark.parametrize(
    ("name", "gain"),
    {
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
        "silu": 1.677,
        "gelu": 1.534,
        "elu": 1.245,
        "shifted_relu": 1.149,
        "maxout": 1.0,
        "linear": 1.0,
    }.items(),
)
def test_gains_are_the_known_ones(name: str, gain: float) -> None:
    assert gain_of(make_activation(name)) == pytest.approx(gain, abs=1e-3)
