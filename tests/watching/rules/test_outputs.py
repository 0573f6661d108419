"""Outputs, loss and targets that do not belong together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import trainwell as tw
from tests.watching.programs import Program, adam, blobs, mlp, rings, sgd, waves
from tests.watching.rules.histories import OUTPUTS, codes, history, readings, stuck
from tests.watching.rules.twins import Twins, assert_named, assert_silent, find
from trainwell.nn.losses import Loss
from trainwell.watching.batch_readings import read_outputs
from trainwell.watching.ledger import Ledger
from trainwell.watching.loss_graph import LossGraph, read_loss_graph

BLOBS, WAVES = blobs(), waves()
HEALTHY = Program(lambda: mlp(20, 5), BLOBS, epochs=6)
REGRESSION = Program(lambda: mlp(4, 1), WAVES, functional.mse_loss, adam(1e-2), epochs=8,
                     tell="all")  # fmt: skip


def summed(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets, reduction="sum")


def divided_twice(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets) / len(targets)


def several_labels() -> tuple[Tensor, Tensor]:
    """Five labels, each true or not by itself."""
    g = torch.Generator().manual_seed(5)
    x = torch.randn(600, 20, generator=g)
    return x, (x[:, :5] + x[:, 5:10] > 0).float()


def signs() -> tuple[Tensor, Tensor]:
    """Sequences (1, T); the class of each position is the sign of a number."""
    g = torch.Generator().manual_seed(6)
    x = torch.randn(400, 1, 12, generator=g)
    return x, (x[:, 0] > 0).long()


def places(axis: int) -> nn.Module:
    """Scores of two classes for each position, `(N, 2, T)`."""
    return nn.Sequential(
        nn.Conv1d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 2, 1), nn.LogSoftmax(axis)
    )


def counts(level: float = 0.5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(7)
    x = torch.randn(600, 4, generator=g)
    return x, torch.poisson((0.6 * x[:, :1] + level).exp(), generator=g)


def low() -> nn.Module:
    """Outputs that begin below 0."""
    model = mlp(4, 1)
    nn.init.constant_(model[-1].bias, -1.0)
    return model


def diverge(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.kl_div(outputs, functional.one_hot(targets, 5).float(), reduction="sum") / 32


def read_across(outputs: Tensor, targets: Tensor) -> Tensor:
    """Scores `(N, 2, T)` that were moved to their axes by counting on in memory."""
    last = outputs.transpose(1, 2).contiguous()
    return functional.cross_entropy(last.view(outputs.shape), targets)


def positions() -> nn.Module:
    return nn.Sequential(nn.Conv1d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 2, 1))


def counted(reduction: str) -> nn.Module:
    return nn.PoissonNLLLoss(reduction=reduction)


LABELS, SIGNS, COUNTS, MANY = several_labels(), signs(), counts(), counts(1.8)


def one_of_two(outputs: Tensor, targets: Tensor) -> Tensor:
    first = functional.mse_loss(outputs[:, 0], targets[:, 0])
    return first + functional.mse_loss(outputs[:, 0], targets[:, 0])


TWO = WAVES[0], torch.cat([WAVES[1], WAVES[0][:, :1] * WAVES[0][:, 1:2]], 1)

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
    "a softmax over labels that are true together": Twins(
        "output_activation",
        Program(lambda: mlp(20, 5, last=nn.Softmax(1)), LABELS, functional.binary_cross_entropy,
                adam(1e-2), epochs=6, tell="all"),
        Program(lambda: mlp(20, 5, last=nn.Sigmoid()), LABELS, functional.binary_cross_entropy,
                adam(1e-2), epochs=6, tell="all"),
    ),
    "a softmax over positions": Twins(
        "output_activation",
        Program(lambda: places(2), SIGNS, functional.nll_loss, adam(1e-2), epochs=6, tell="all"),
        Program(lambda: places(1), SIGNS, functional.nll_loss, adam(1e-2), epochs=6, tell="all"),
    ),
    "a divergence of raw scores": Twins(
        "wrong_loss",
        Program(lambda: mlp(20, 5), BLOBS, diverge, adam(1e-2), epochs=8,
                tell="all"),
        Program(lambda: mlp(20, 5), BLOBS, lambda o, y: diverge(o.log_softmax(1), y), adam(1e-2),
                epochs=8, tell="all"),
    ),
    "errors of both signs cancel out": Twins(
        "wrong_loss",
        Program(lambda: mlp(4, 1), WAVES, lambda o, y: (o - y).mean().abs(), adam(1e-2),
                epochs=100, batch=600, tell="all"),
        Program(lambda: mlp(4, 1), WAVES, lambda o, y: (o - y).abs().mean(), adam(1e-2),
                epochs=100, batch=600, tell="all"),
    ),
    "a layer norm of the only output": Twins(
        "output_activation",
        Program(lambda: mlp(4, 1, last=nn.LayerNorm(1)), WAVES, functional.mse_loss, adam(1e-2),
                epochs=6, tell="all"),
        REGRESSION,
    ),
    "an output that never enters the loss": Twins(
        "wrong_loss",
        Program(lambda: mlp(4, 2), TWO, one_of_two, adam(1e-2), epochs=8, tell="all"),
        Program(lambda: mlp(4, 2), TWO, functional.mse_loss, adam(1e-2), epochs=8, tell="all"),
    ),
    "targets where the outputs belong": Twins(
        "wrong_loss",
        Program(lambda: mlp(20, 5), LABELS,
                lambda o, y: functional.binary_cross_entropy_with_logits(y, o), adam(1e-2),
                epochs=4),
        Program(lambda: mlp(20, 5), LABELS, functional.binary_cross_entropy_with_logits,
                adam(1e-2), epochs=6),
    ),
    "scores of other positions": Twins(
        "wrong_loss",
        Program(positions, SIGNS, read_across, adam(1e-2), epochs=8, tell="all"),
        Program(positions, SIGNS, functional.cross_entropy, adam(1e-2), epochs=8, tell="all"),
    ),
    "a loss of the first example": Twins(
        "wrong_loss",
        Program(lambda: mlp(20, 5), BLOBS, lambda o, y: functional.cross_entropy(o[:1], y[:1]),
                sgd(0.02), epochs=6, tell="all"),
        HEALTHY,
    ),
    "a likelihood of counts that is summed": Twins(
        "loss_reduction",
        Program(lambda: mlp(4, 1), MANY, counted("sum"), sgd(0.01), epochs=6, tell="all"),
        Program(lambda: mlp(4, 1), MANY, counted("mean"), sgd(0.02), epochs=12, tell="all"),
    ),
    "logarithms taken for rates": Twins(
        "wrong_loss",
        Program(low, COUNTS, nn.PoissonNLLLoss(log_input=False), adam(1e-2),
                epochs=4, tell="all", options={"loss_fn": nn.PoissonNLLLoss(log_input=False)}),
        Program(low, COUNTS, nn.PoissonNLLLoss(), adam(1e-2), epochs=6, tell="all"),
    ),
    "an absolute error of classes": Twins(
        "wrong_loss",
        Program(lambda: mlp(20, 5), LABELS, nn.L1Loss(), adam(1e-2), epochs=6, tell="all",
                options={"loss_fn": nn.L1Loss()}),
        Program(lambda: mlp(20, 5), LABELS, nn.BCEWithLogitsLoss(), adam(1e-2), epochs=6,
                tell="all"),
    ),
    "a sum over positions that is divided by the padded length": Twins(
        "loss_reduction",
        Program(lambda: places(1), SIGNS, lambda o, y: functional.nll_loss(o, y) / 60, sgd(0.3),
                epochs=5, tell="all"),
        Program(lambda: places(1), SIGNS, functional.nll_loss, sgd(0.3), epochs=8, tell="all"),
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


@pytest.mark.parametrize(("pairing", "found"), [(0.05, True), (-0.1, True), (0.6, False)])
def test_a_loss_must_pull_outputs_towards_their_own_targets(pairing: float, found: bool) -> None:
    seen = stuck()
    made = tuple(replace(r, outputs=replace(r.outputs, pairing=pairing)) for r in seen.readings)
    assert ("wrong_loss" in codes(replace(seen, readings=made))) == found


def test_a_loss_that_shifts_the_targets_itself_and_learns_is_no_fault() -> None:
    shifted = readings(outputs=replace(OUTPUTS, pairing=0.0))
    assert "wrong_loss" not in codes(history(readings=shifted))


@pytest.mark.parametrize(
    "loss",
    [
        functional.cross_entropy,
        lambda o, y: functional.cross_entropy(o, y, label_smoothing=0.1),
        lambda o, y: functional.cross_entropy(o, y, weight=torch.tensor([9.0, 1, 1, 1, 0.1])),
        functional.multi_margin_loss,
    ],
)
def test_usual_losses_of_classes_pull_towards_the_targets(loss: Loss) -> None:
    assert measure_pairing(loss, torch.randn(64, 5), torch.arange(64) % 5) > 0.6


def test_targets_of_other_examples_pull_nowhere() -> None:
    others = torch.randperm(1000)
    outputs, targets = 0.1 * torch.randn(1000, 5), torch.arange(1000) % 5
    pairing = measure_pairing(lambda o, y: functional.cross_entropy(o, y[others]), outputs, targets)
    assert abs(pairing) < 0.2


def measure_pairing(loss: Loss, outputs: Tensor, targets: Tensor) -> float:
    outputs = outputs.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(outputs, targets), outputs)
    ledger = Ledger()
    read_outputs(ledger, 0, outputs, targets, gradient, None)
    return ledger.take()[0]["pairing"][0]


def dark() -> nn.Module:
    """Its second output is 0 from the start."""
    model = mlp(4, 2, last=nn.ReLU())
    with torch.no_grad():
        model[-2].bias[1] = -5.0
    return model


def test_an_output_that_is_always_right_is_not_left_out_of_the_loss() -> None:
    still = WAVES[0], torch.cat([WAVES[1].abs(), 0 * WAVES[1]], 1)
    program = Program(dark, still, functional.mse_loss, adam(1e-2), epochs=8)
    assert "wrong_loss" not in [finding.code for finding in find(program)]


def test_numbers_that_the_loss_compares_with_others_than_are_told_are_no_fault() -> None:
    torch.manual_seed(0)
    model = mlp(21, 20, hidden=64)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for _ in range(400):
        rows, share, noise = torch.randint(600, (64,)), torch.rand(64, 1), torch.randn(64, 20)
        noisy = torch.cat([(1 - share) * BLOBS[0][rows] + share * noise, share], 1)
        outputs = model(noisy)
        loss = functional.mse_loss(outputs, noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=noisy, outputs=outputs, targets=BLOBS[0][rows])
    assert [finding.code for finding in watcher.findings() if finding.severity != "note"] == []


def test_a_policy_gradient_weighs_examples_by_both_signs_and_is_no_fault() -> None:
    torch.manual_seed(0)
    model = mlp(20, 5)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for _ in range(300):
        rows = torch.randint(600, (64,))
        outputs = model(BLOBS[0][rows])
        actions = torch.distributions.Categorical(logits=outputs).sample()
        rewards = (actions == BLOBS[1][rows]).float()
        each = functional.cross_entropy(outputs, actions, reduction="none")
        loss = (each * (rewards - rewards.mean())).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=BLOBS[0][rows], outputs=outputs, targets=actions)
    assert "wrong_loss" not in [finding.code for finding in watcher.findings()]


def test_a_language_model_may_shift_its_targets_within_the_loss() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(12, 24), nn.Linear(24, 12))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for _ in range(200):
        words = torch.randint(12, (32, 10)).cumsum(1) % 12
        outputs = model(words)
        loss = functional.cross_entropy(outputs[:, :-1].reshape(-1, 12), words[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=words, outputs=outputs, targets=words)
    assert "wrong_loss" not in [finding.code for finding in watcher.findings()]


def test_a_batch_of_which_each_example_has_one_label_is_no_loss_of_one_example() -> None:
    torch.manual_seed(0)
    model = positions()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for _ in range(200):
        rows = torch.randint(400, (16,))
        outputs, targets = model(SIGNS[0][rows]), SIGNS[1][rows].clone()
        targets[:, :-1] = -100
        loss = functional.cross_entropy(outputs, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=SIGNS[0][rows], outputs=outputs, targets=targets)
    assert [finding.code for finding in watcher.findings() if finding.severity != "note"] == []


def value_of_action(outputs: Tensor, actions: Tensor) -> Tensor:
    """Each action is worth its number, and only that of the action taken is known."""
    taken = outputs.gather(1, actions[:, None])[:, 0]
    return functional.smooth_l1_loss(taken, actions / 2)


def test_the_values_of_actions_are_numbers_though_the_actions_are_told() -> None:
    program = Program(lambda: mlp(20, 5), BLOBS, value_of_action, adam(1e-2), epochs=8, tell="all")
    found = [finding.code for finding in find(program)]
    assert "wrong_loss" not in found
    loss = value_of_action(mlp(20, 5)(BLOBS[0]), BLOBS[1])
    graph = read_loss_graph(loss)
    assert graph is not None and graph.picked


def test_classes_that_one_column_of_the_outputs_is_to_hit_are_still_named() -> None:
    def squared(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(outputs[:, 0], targets.float())

    program = Program(lambda: mlp(20, 1), BLOBS, squared, adam(1e-2), epochs=8, tell="all")
    assert "wrong_loss" in [finding.code for finding in find(program)]
