"""The re-implemented tools find what their papers say they find."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from benchmarks.corpus.references.autotrainer import AutoTrainer, oscillates
from benchmarks.corpus.references.deep_checker import (
    DeepChecker,
    check_data,
    is_normalised,
    measure_saturation,
)
from benchmarks.corpus.references.deep_diagnosis import DeepDiagnosis


def watch_training(
    tool: Any, model: nn.Module, *, rate: float = 0.05, scale: float = 1.0, steps: int = 150
) -> list[str]:
    """The codes that a tool finds while two classes are learned."""
    generator = torch.Generator().manual_seed(0)
    inputs = scale * (2 * torch.rand(200, 6, generator=generator) - 1)
    targets = (inputs[:, 0] > 0).long()
    optimizer = SGD(model.parameters(), lr=rate)
    loss_fn = nn.CrossEntropyLoss()
    watcher = tool(model, optimizer, loss_fn=loss_fn, train=(inputs, targets), task="multiclass")
    for step in range(1, steps + 1):
        rows = torch.randint(200, (32,), generator=generator)
        optimizer.zero_grad()
        outputs = model(inputs[rows])
        loss = loss_fn(outputs, targets[rows])
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=inputs[rows], outputs=outputs, targets=targets[rows])
        if step % 15 == 0:
            accuracy = (model(inputs).argmax(1) == targets).float().mean().item()
            watcher.epoch(train_loss=loss.item(), train_metric=accuracy, valid_metric=accuracy)
    return [finding.code for finding in watcher.findings()]


def make_network(bias: float = 0.0, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), activation(), nn.Linear(16, 2))
    nn.init.constant_(model[0].bias, bias)
    return model


def test_autotrainer_sees_dead_units_by_their_gradients():
    assert watch_training(AutoTrainer, make_network(bias=-100)) == ["dying_relu"]


def test_autotrainer_sees_what_is_not_a_number():
    model = make_network()
    nn.init.constant_(model[2].bias, float("nan"))
    assert watch_training(AutoTrainer, model, steps=15) == ["exploding_or_nan"]


def test_autotrainer_is_quiet_about_a_training_that_learns():
    assert watch_training(AutoTrainer, make_network(), rate=0.5) == []


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [([0.5, 0.6, 0.5, 0.6, 0.5, 0.6], True), ([0.5, 0.6, 0.7, 0.8, 0.9], False)],
)
def test_accuracies_that_go_up_and_down_oscillate(accuracies: list[float], expected: bool):
    assert oscillates(accuracies) is expected


def test_deep_diagnosis_asks_for_inputs_before_it_blames_saturation():
    found = watch_training(DeepDiagnosis, make_network(activation=nn.Tanh), scale=100)
    assert found == ["unnormalised_inputs"]


def test_deep_diagnosis_blames_saturation_where_nothing_else_explains_it():
    model = make_network(activation=nn.Tanh)
    nn.init.constant_(model[0].bias[:9], 7.0)
    assert watch_training(DeepDiagnosis, model) == ["saturated_units"]


def test_deep_diagnosis_sees_weights_without_variance():
    model = make_network()
    nn.init.zeros_(model[0].weight)
    nn.init.zeros_(model[2].weight)
    assert watch_training(DeepDiagnosis, model) == ["bad_init"]


def test_deep_checker_sees_dead_units():
    assert "dying_relu" in watch_training(DeepChecker, make_network(bias=-100))


def test_deep_checker_sees_updates_that_are_too_small():
    assert "lr_too_low" in watch_training(DeepChecker, make_network(), rate=1e-6)


def test_deep_checker_wants_normalised_columns_and_balanced_labels():
    standard = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0))
    standard = (standard - standard.mean(0)) / standard.std(0)
    assert is_normalised(standard)
    assert not is_normalised(standard * torch.tensor([1.0, 1.0, 5.0]))
    rare = torch.zeros(5000).long()
    rare[:20] = 1
    assert check_data(standard, rare, "multiclass") == [("class_imbalance", "")]


def test_saturation_is_one_at_both_ends_and_half_for_even_outputs():
    ends = torch.tensor([-1.0, 1.0]).repeat(500)[:, None]
    even = torch.linspace(-1, 1, 1000)[:, None]
    found = measure_saturation(torch.cat([ends, even], 1), low=-1.0)
    torch.testing.assert_close(found, torch.tensor([1.0, 0.5]), atol=0.02, rtol=0)


def test_deep_checker_draws_no_random_numbers_from_the_program():
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    inputs, targets = torch.randn(40, 6), torch.randint(2, (40,))
    torch.manual_seed(3)
    optimizer = SGD(model.parameters(), lr=0.1)
    loss_fn = nn.CrossEntropyLoss()
    DeepChecker(model, optimizer, loss_fn=loss_fn, train=(inputs, targets), task="multiclass")
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert drawn == torch.rand(1)
