"""Rates that train are told from rates that do not, and the search leaves no trace."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn, optim

import trainwell as tw
from benchmarks.learning_rate_range import PROBLEMS, WITHIN, compare
from trainwell.checking import subject_of_fit
from trainwell.checks.given import subject_of
from trainwell.checks.subject import Subject
from trainwell.checks.trials.learning_rate import check_learning_rate, planned_rate
from trainwell.checks.trials.rate_range import (
    Effort,
    RateRange,
    diverges_at,
    find_edge,
    find_rate_range,
    halve_until_stable,
    log_spaced,
    neighbours,
    sketch,
    sweep_rates,
)
from trainwell.checks.trials.short_training import ShortTraining, StartLevel, tail_of
from trainwell.errors import DataError, RecipeError
from trainwell.findings import Finding
from trainwell.nn.losses import squared_error
from trainwell.training.recipe import Recipe

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(400, 8, generator=GENERATOR)
LABELS = (INPUTS[:, 0] + INPUTS[:, 1] * INPUTS[:, 2] > 0).long()
QUICK = Effort(60, 24, 1)


def make_net(width: int = 32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
    )


class Quadratic(nn.Module):
    """The loss L / 2 · w², with L = `curvature`: gradient descent is stable below 2 / L."""

    def __init__(self, curvature: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.scale = math.sqrt(curvature / 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.scale * self.weight


def quadratic_subject(curvature: float) -> Subject:
    model = Quadratic(curvature)
    data = (torch.ones(8, 1), torch.zeros(8, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    return subject_of(model, data, loss_fn=nn.MSELoss(), optimizer=optimizer, task="regression")


def findings_at(
    optimizer: Callable[..., optim.Optimizer], model: nn.Module | None = None
) -> list[Finding]:
    net = model or make_net()
    subject = subject_of(net, (INPUTS, LABELS), optimizer=optimizer(net.parameters()))
    return [f for verdict in check_learning_rate(subject) for f in verdict.findings]


# What the check says


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(optim.SGD, lr=1e3),
        partial(optim.Adam, lr=1e3),
        partial(optim.SGD, lr=1e20),
    ],
)
def test_a_rate_at_which_the_loss_explodes_is_an_error(
    optimizer: Callable[..., optim.Optimizer],
) -> None:
    (finding,) = findings_at(optimizer)
    assert (finding.code, finding.severity) == ("lr_too_high", "error")
    assert finding.evidence["loss"] > 2 * finding.evidence["initial_loss"]
    assert finding.evidence["suggestion"] < finding.evidence["learning_rate"] / 10


@pytest.mark.parametrize(
    "optimizer", [partial(optim.SGD, lr=1e-9), partial(optim.Adam, lr=1e-8)], ids=["sgd", "adam"]
)
def test_a_rate_at_which_nothing_happens_is_a_warning(
    optimizer: Callable[..., optim.Optimizer],
) -> None:
    (finding,) = findings_at(optimizer)
    assert (finding.code, finding.severity) == ("lr_too_low", "warning")
    assert finding.evidence["suggestion"] >= 1000 * finding.evidence["learning_rate"]
    assert finding.evidence["loss"] == pytest.approx(finding.evidence["initial_loss"], rel=0.1)


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(optim.SGD, lr=0.1),
        partial(optim.SGD, lr=0.01, momentum=0.9),
        partial(optim.Adam, lr=1e-3),
    ],
)
def test_usual_rates_are_passed_over_in_silence(
    optimizer: Callable[..., optim.Optimizer],
) -> None:
    assert findings_at(optimizer) == []


def test_without_a_known_rate_the_suggestion_is_all_there_is() -> None:
    (verdict,) = check_learning_rate(subject_of(make_net(), (INPUTS, LABELS)))
    assert verdict.passed
    assert verdict.findings == ()
    assert verdict.seen.startswith("suggested ")
    assert verdict.picture.startswith("<svg")


def test_a_schedule_that_warms_up_counts_with_the_rate_it_goes_to() -> None:
    net = make_net()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 1000)
    assert optimizer.param_groups[0]["lr"] == 0
    subject = subject_of(net, (INPUTS, LABELS), optimizer=optimizer)
    assert planned_rate(subject) == 0.1
    assert check_learning_rate(subject)[0].passed


def test_a_dead_network_is_not_blamed_on_the_rate() -> None:
    net = make_net()
    for layer in (net[0], net[2]):  # pyright: ignore[reportIndexIssue]
        nn.init.constant_(layer.bias, -1e3)
        nn.init.zeros_(layer.weight)
    labels = torch.arange(400) % 2
    subject = subject_of(net, (INPUTS, labels), optimizer=optim.SGD(net.parameters(), lr=0.1))
    assert check_learning_rate(subject)[0].findings == ()


def test_a_loss_that_is_not_finite_is_left_to_others() -> None:
    def broken(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.sum() * 0).log() - (outputs.sum() * 0).log()

    net = make_net()
    subject = subject_of(net, (INPUTS, LABELS), loss_fn=broken, task="multiclass")
    (verdict,) = check_learning_rate(subject)
    assert "not finite" in verdict.skipped


def test_an_optimizer_that_finds_its_own_steps_is_skipped() -> None:
    net = make_net()
    subject = subject_of(net, (INPUTS, LABELS), optimizer=optim.LBFGS(net.parameters()))
    (verdict,) = check_learning_rate(subject)
    assert "LBFGS" in verdict.skipped


@pytest.mark.parametrize("optimizer", ["lbfgs", "muon", "adadelta", "rprop"])
def test_every_kind_of_optimizer_of_a_recipe_is_tried_or_skipped(optimizer: str) -> None:
    subject = subject_of_fit("softmax", "iris", Recipe(optimizer=optimizer), None)
    (verdict,) = check_learning_rate(subject)
    assert verdict.findings == ()
    assert bool(verdict.skipped) == (optimizer in ("lbfgs", "rprop"))


# The search


def test_the_search_leaves_model_optimizer_and_random_numbers_as_they_were() -> None:
    net = make_net()
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    net(INPUTS).sum().backward()
    optimizer.step()
    net.eval()
    weights, state = copy.deepcopy(net.state_dict()), copy.deepcopy(optimizer.state_dict())
    gradients = [(p.grad, p.grad.clone()) for p in net.parameters() if p.grad is not None]
    random = torch.get_rng_state()
    tw.find_learning_rate(net, (INPUTS, LABELS), optimizer=optimizer, steps=8, repeats=1)
    assert all(
        torch.equal(a, b) for a, b in zip(net.state_dict().values(), weights.values(), strict=True)
    )
    assert str(optimizer.state_dict()) == str(state)
    assert all(p.grad is g for p, (g, _) in zip(net.parameters(), gradients, strict=True))
    assert all(torch.equal(held, value) for held, value in gradients)
    assert torch.equal(torch.get_rng_state(), random)
    assert not net.training


def test_the_same_seed_finds_the_same() -> None:
    first, second = (
        tw.find_learning_rate(make_net(), (INPUTS, LABELS), steps=16, repeats=2, seed=5)
        for _ in range(2)
    )
    assert first == second


def test_a_sweep_is_recorded_with_rising_rates_and_ends_where_it_has_exploded() -> None:
    training = ShortTraining.of(subject_of(make_net(), (INPUTS, LABELS)))
    start = training.measure_start()
    sweep = sweep_rates(training, start, QUICK)
    rates = [rate for rate, _ in sweep]
    assert rates == sorted(set(rates))
    assert rates[0] == pytest.approx(1e-8)
    edge = find_edge(sweep, start)
    assert 1e-3 < edge < 100
    assert all(loss > start.mean for rate, loss in sweep if rate >= edge)


def test_a_range_is_printed_and_drawn() -> None:
    found = tw.find_learning_rate(make_net(), (INPUTS, LABELS), steps=16, repeats=1)
    assert f"Suggested learning rate: {found.suggestion:.2g}" in str(found)
    assert "▁" in str(found)
    assert found.draw().startswith("<svg")
    assert "learning rate" in found.draw()


def test_a_loss_that_explodes_in_the_end_does_not_flatten_the_printed_curve() -> None:
    sweep = ((1e-3, 2.0), (1e-2, 1.0), (1e-1, 0.5), (1.0, 1e9))
    found = RateRange(suggestion=0.1, edge=0.5, start=2.0, sweep=sweep, trials=())
    curve = str(found).split()[1]
    assert len(set(curve)) == len(sweep)


def test_a_sketch_shows_what_is_not_finite_as_the_highest() -> None:
    assert sketch([0.0, 1.0, math.inf, math.nan]) == "▁███"
    assert sketch([2.0, 2.0]) == "▁▁"
    assert sketch([math.inf]) == ""


def test_rates_are_equal_multiples() -> None:
    assert log_spaced(1e-3, 1e1, 5) == pytest.approx([1e-3, 1e-2, 1e-1, 1, 10])


def test_the_candidates_that_go_on_reach_further_down_than_up() -> None:
    assert neighbours([32, 16, 8, 4, 2, 1], 8, 4) == [16, 8, 4, 2]
    assert neighbours([32, 16, 8, 4, 2, 1], 32, 3) == [32, 16, 8]
    assert neighbours([32, 16, 8, 4, 2, 1], 1, 3) == [4, 2, 1]


def test_a_training_that_was_not_finite_came_to_infinity() -> None:
    assert tail_of([1.0, 2.0, math.inf]) == math.inf
    assert tail_of([9.0, 9.0, 9.0, 1.0]) == 1.0
    assert tail_of([]) == math.inf


def test_flat_losses_suggest_nothing() -> None:
    net = nn.Linear(8, 2)
    net.requires_grad_(False)
    net.bias.requires_grad_(True)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    found = find_rate_range(
        ShortTraining.of(subject_of(net, (INPUTS, torch.arange(400) % 2), batch_size=400)), QUICK
    )
    assert math.isnan(found.suggestion)
    assert "No learning rate" in str(found)


def test_groups_keep_their_rates_relative_to_each_other() -> None:
    net = make_net()
    groups = [
        {"params": net[0].parameters(), "lr": 0.0},  # pyright: ignore[reportIndexIssue]
        {"params": net[4].parameters(), "lr": 0.1},  # pyright: ignore[reportIndexIssue]
    ]
    subject = subject_of(net, (INPUTS, LABELS), optimizer=optim.SGD(groups))
    training = ShortTraining.of(subject)
    alone = subject_of(
        net,
        (INPUTS, LABELS),
        optimizer=optim.SGD(net[4].parameters(), lr=1),  # pyright: ignore[reportIndexIssue]
    )
    assert training.run([0.3] * 5) == ShortTraining.of(alone).run([0.3] * 5)


@pytest.mark.parametrize("curvature", [0.07, 3.0, 1700.0])
def test_halving_ends_within_a_factor_of_two_of_the_known_edge(curvature: float) -> None:
    training = ShortTraining.of(quadratic_subject(curvature))
    rate = halve_until_stable(diverges_at(training, training.measure_start(), 40))
    edge = 2 / curvature
    assert edge / 2 <= rate <= min(edge, 64)


def test_halving_gives_up_where_every_rate_diverges() -> None:
    assert math.isnan(halve_until_stable(lambda rate: True))
    assert halve_until_stable(lambda rate: rate > 3, start=16.0) == 2.0


def test_the_edge_is_where_the_loss_stays_high() -> None:
    start = StartLevel(1.0, 0.0)
    sweep = [(1.0, 1.0), (2.0, 1.5), (3.0, 0.5), (4.0, 2.0), (5.0, math.inf)]
    assert find_edge(sweep, start) == 4.0
    assert find_edge(sweep[:3], start) == math.inf


# The verb


def test_a_recipe_is_searched_with_its_optimizer() -> None:
    found = tw.find_learning_rate("softmax", "iris", {"optimizer": "adam"}, steps=16, repeats=1)
    assert isinstance(found, RateRange)
    assert 1e-3 < found.suggestion < 10


def test_what_cannot_be_searched_is_one_clear_error() -> None:
    net = make_net()
    data = (INPUTS, LABELS)
    with pytest.raises(RecipeError, match="LBFGS"):
        tw.find_learning_rate(net, data, optimizer=optim.LBFGS)
    with pytest.raises(RecipeError, match="no parameter of the model"):
        tw.find_learning_rate(net, data, optimizer=optim.SGD(make_net().parameters()))
    with pytest.raises(RecipeError, match="steps"):
        tw.find_learning_rate(net, data, steps=0)
    with pytest.raises(DataError, match="not finite"):
        tw.find_learning_rate(
            net, (INPUTS * math.nan, INPUTS[:, :2]), loss_fn=squared_error, task="regression"
        )


@pytest.mark.slow
def test_suggestions_are_within_a_factor_of_3_of_the_best_of_a_fine_grid() -> None:
    # All eight take longer than the rest of these tests together; the benchmark has them.
    quick = [name for name in PROBLEMS if "MLP" in name][:2]
    factors = {name: compare(PROBLEMS[name], 300, 3).factor for name in quick}
    assert len(factors) == 2
    assert all(factor <= WITHIN for factor in factors.values()), factors
