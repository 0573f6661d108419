"""Outputs, loss and targets that do not belong together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.watching.programs import Program, adam, blobs, mlp, rings, sgd, waves
from tests.watching.rules.histories import OUTPUTS, codes, history, readings, stuck
from tests.watching.rules.twins import Twins, assert_named, assert_silent
from trainwell.watching.loss_graph import LossGraph

BLOBS, WAVES = blobs(), waves()
HEALTHY = Program(lambda: mlp(20, 5), BLOBS, epochs=6)
REGRESSION = Program(lambda: mlp(4, 1), WAVES, functional.mse_loss, adam(1e-2), epochs=8,
                     tell="all")  # fmt: skip


def summed(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets, reduction="sum")


def divided_twice(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets) / len(targets)


CASES = {
    "softmax before a cross-entropy": Twins(
        "output_activation", Program(lambda: mlp(20, 5, last=nn.Softmax(1)), BLOBS, epochs=6),
        HEALTHY,
    ),
    "softmax over the batch": Twins(
        "output_activation",
        Program(lambda: mlp(20, 5, last=nn.LogSoftmax(0)), BLOBS, functional.nll_loss, epochs=6),
        Program(lambda: mlp(20, 5, last=nn.LogSoftmax(1)), BLOBS, functional.nll_loss, epochs=6),
    ),
    "a regression that ends in a ReLU": Twins(
        "output_activation",
        Program(lambda: mlp(4, 1, last=nn.ReLU()), WAVES, functional.mse_loss, adam(1e-2),
                epochs=6, tell="all"),
        REGRESSION,
    ),
    "scores where log-probabilities belong": Twins(
        "wrong_loss", Program(lambda: mlp(20, 5), BLOBS, functional.nll_loss, sgd(0.01), epochs=3),
        HEALTHY,
    ),
    "outputs (N, 1) against targets (N,)": Twins(
        "wrong_loss",
        Program(lambda: mlp(4, 1), (WAVES[0], WAVES[1].squeeze(1)),
                lambda o, y: (o - y).square().mean(), adam(1e-2), epochs=6, tell="all"),
        REGRESSION,
    ),
    "a cross-entropy of a single output": Twins(
        "wrong_loss",
        Program(lambda: mlp(2, 1), (rings()[0], 0 * rings()[1]), epochs=4),
        Program(lambda: mlp(2, 2), rings(), optimizer=adam(1e-2), epochs=12),
    ),
    "a sum over the batch": Twins(
        "loss_reduction", Program(lambda: mlp(20, 5), BLOBS, summed, sgd(0.02), epochs=4), HEALTHY
    ),
    "a mean that is divided again": Twins(
        "loss_reduction", Program(lambda: mlp(20, 5), BLOBS, divided_twice, sgd(0.05), epochs=4),
        HEALTHY,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named(name: str) -> None:
    assert_named(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_its_healthy_twin_is_left_alone(name: str) -> None:
    assert_silent(CASES[name])


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0, 10.0])
def test_a_loss_with_a_weight_is_no_fault_of_its_reduction(scale: float) -> None:
    weighted = readings(outputs=replace(OUTPUTS, scale=scale))
    assert "loss_reduction" not in codes(history(readings=weighted))


@pytest.mark.parametrize(("scale", "found"), [(32.0, True), (20.0, False), (1 / 32, True)])
def test_a_sum_has_the_gradient_of_the_batch_size_times_the_mean(scale: float, found: bool) -> None:
    seen = stuck()
    made = tuple(replace(r, outputs=replace(r.outputs, scale=scale)) for r in seen.readings)
    assert ("loss_reduction" in codes(replace(seen, readings=made))) == found


def test_a_sum_under_adam_is_a_matter_of_taste() -> None:
    program = Program(lambda: mlp(20, 5), BLOBS, summed, adam(3e-3), epochs=8)
    assert_silent(Twins("loss_reduction", program, program))


@pytest.mark.parametrize(
    ("activation", "found"), [("softmax", True), ("relu", True), ("", False), ("log", False)]
)
def test_an_activation_before_a_cross_entropy_is_named(activation: str, found: bool) -> None:
    graph = LossGraph(kind="cross_entropy", activation=activation, reduction="mean")
    assert ("output_activation" in codes(history(graph=graph))) == found


def test_positive_targets_may_end_in_a_relu() -> None:
    torch.manual_seed(0)
    positive = (WAVES[0], WAVES[1] - WAVES[1].min())
    program = Program(
        lambda: mlp(4, 1, last=nn.Softplus()), positive, functional.mse_loss, adam(1e-2),
        epochs=8, tell="all",
    )  # fmt: skip
    assert_silent(Twins("output_activation", program, program))
