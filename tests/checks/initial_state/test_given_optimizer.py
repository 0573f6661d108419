import pytest
import torch

from tests.checks.initial_state.looking import codes, seeded
from trainwell.checks.initial_state.given_optimizer import check_given_optimizer


def found(optimizer, **options) -> list[str]:
    model = seeded(64, 32, 10)
    return codes(check_given_optimizer, model, optimizer=optimizer(model.parameters(), **options))


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}),
        (torch.optim.SGD, {"lr": 0.01, "momentum": 0.99}),
        (torch.optim.Adam, {"lr": 1e-3, "weight_decay": 1e-4}),
        (torch.optim.AdamW, {"lr": 1e-3, "weight_decay": 0.1}),
        (torch.optim.RMSprop, {"lr": 1e-3}),
        (torch.optim.LBFGS, {"lr": 1.0}),
    ],
)
def test_usual_settings_pass(optimizer, options):
    assert found(optimizer, **options) == []


def test_going_uphill_is_named():
    assert found(torch.optim.SGD, lr=0.1, maximize=True) == ["gradient_ascent"]


def test_a_rate_of_zero_is_named():
    assert found(torch.optim.Adam, lr=0.0) == ["lr_too_low"]


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.SGD, {"lr": 0.01, "momentum": 0.999}),
        (torch.optim.Adam, {"lr": 0.001, "betas": (0.9999, 0.999)}),
    ],
)
def test_momentum_near_one_is_named(optimizer, options):
    assert found(optimizer, **options) == ["momentum_too_high"]


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.SGD, {"lr": 0.1, "weight_decay": 1.0}),
        (torch.optim.SGD, {"lr": 0.01, "weight_decay": 1.0}),
        (torch.optim.Adam, {"lr": 0.001, "weight_decay": 1.0}),
        (torch.optim.AdamW, {"lr": 0.001, "weight_decay": 10.0}),
    ],
)
def test_weight_decay_that_rules_is_named(optimizer, options):
    assert found(optimizer, **options) == ["over_regularised"]
