"""Losses by their formulas, the view of margins, and penalties."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from trainwell.errors import ModelError
from trainwell.nn.losses import (
    MARGIN_LOSSES,
    binary_cross_entropy,
    choose_loss,
    l1_penalty,
    l2_penalty,
    margin_loss,
    multiclass_hinge,
    perceptron_criterion,
)

SCORES = torch.tensor([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
TARGETS = torch.tensor([0, 1, 2])


def test_the_multiclass_hinge_sums_over_the_wrong_classes() -> None:
    by_hand = [max(0, 5.1 - 3.2 + 1) + max(0, -1.7 - 3.2 + 1), 0.0, 6.3 + 6.6]
    assert multiclass_hinge(SCORES, TARGETS).item() == pytest.approx(sum(by_hand) / 3, rel=1e-5)


def test_the_perceptron_criterion_is_how_far_the_best_score_is_ahead() -> None:
    expected = (5.1 - 3.2 + 0 + 2.5 + 3.1) / 3
    assert perceptron_criterion(SCORES, TARGETS).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "perceptron": (2.0, 0.0, 0.0),
        "hinge": (3.0, 1.0, 0.0),
        "logistic": (math.log1p(math.exp(2)), math.log(2), math.log1p(math.exp(-2))),
        "squared": (9.0, 1.0, 1.0),
        "exponential": (math.exp(2), 1.0, math.exp(-2)),
    }.items(),
)
def test_losses_of_the_margin(name: str, values: tuple[float, ...]) -> None:
    margins = torch.tensor([-2.0, 0.0, 2.0])
    assert MARGIN_LOSSES[name](margins).tolist() == pytest.approx(values)


def test_the_logistic_loss_of_margins_is_the_binary_cross_entropy() -> None:
    scores, targets = torch.randn(20, 1), torch.randint(2, (20,))
    logistic = margin_loss("logistic", scores, targets)
    assert torch.allclose(logistic, binary_cross_entropy(scores, targets))


def test_cross_entropy_is_the_likelihood_of_the_softmax() -> None:
    likely = functional.softmax(SCORES, 1)[range(3), TARGETS].log().mean()
    assert torch.allclose(choose_loss("multiclass", 3)(SCORES, TARGETS), -likely)


def test_penalties_are_of_weights_only() -> None:
    parameters = [torch.tensor([[3.0, -4.0]]), torch.tensor([100.0])]
    assert l2_penalty(parameters).item() == 12.5
    assert l1_penalty(parameters).item() == 7.0
    assert l1_penalty([]).item() == 0.0


def test_a_named_loss_that_does_not_suit_is_refused() -> None:
    assert choose_loss("multiclass", 3, name="hinge") is multiclass_hinge
    with pytest.raises(ModelError, match="does not suit a regression"):
        choose_loss("regression", 1, name="hinge")
    with pytest.raises(ModelError, match="label_smoothing"):
        choose_loss("multiclass", 3, 0.1, "hinge")
