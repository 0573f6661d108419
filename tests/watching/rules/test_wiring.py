"""What is wired wrongly in the loop or the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import trainwell as tw
from tests.watching.programs import Program, adam, blobs, echoes, mlp, sgd, waves
from tests.watching.rules.histories import codes, history, readings, stuck
from tests.watching.rules.twins import Twins, assert_named, assert_silent, find
from trainwell.watching.guard import Guard
from trainwell.watching.history import Modes
from trainwell.watching.ledger import Ledger
from trainwell.watching.loss_graph import LossGraph
from trainwell.watching.probing import Probe
from trainwell.watching.updates import UpdateProbe

BLOBS = blobs()
HEALTHY = Program(lambda: mlp(20, 5), BLOBS, epochs=6)


class Cut(nn.Module):
    """Two parts, between which the graph may be cut."""

    def __init__(self, cuts: bool) -> None:
        super().__init__()
        self.encoder, self.head, self.cuts = nn.Linear(20, 16), nn.Linear(16, 5), cuts

    def forward(self, x: Tensor) -> Tensor:
        code = torch.tanh(self.encoder(x))
        return self.head(code.detach() if self.cuts else code)


class Gated(nn.Module):
    """A gate of its own, which is a parameter or a mere tensor."""

    def __init__(self, registers: bool) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(20, 16), nn.Linear(16, 5)
        gate = torch.zeros(1, requires_grad=True)
        self.gate = nn.Parameter(gate.detach()) if registers else gate

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.gate * torch.relu(self.first(x)))


def endless(outputs: Tensor, targets: Tensor) -> Tensor:
    """A score that is to be made large, and has no upper bound."""
    return -(outputs * targets + outputs**2).sum(1).mean()


class OwnReLU(torch.autograd.Function):
    """A ReLU whose backward pass may have a wrong sign."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sign: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.sign = sign
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return ctx.sign * gradient * (x > 0), None


class OwnActivation(nn.Module):
    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, x: Tensor) -> Tensor:
        return OwnReLU.apply(x, self.sign)


def derived(sign: float) -> nn.Module:
    return nn.Sequential(nn.Linear(20, 16), OwnActivation(sign), nn.Linear(16, 5))


def only_last(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(list(model.parameters())[-2:], lr=0.1)


class PartlyCleared(nn.Module):
    """Clears the gradients of its last layer by itself, in each pass with gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = mlp(20, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.head.zero_grad()
        return self.head(self.body(x))


def overlap(outputs: Tensor, targets: Tensor) -> Tensor:
    """Dice's coefficient, which is 1 where both are the same."""
    shares = outputs.sigmoid()
    return (2 * (shares * targets).sum() + 1) / (shares.sum() + targets.sum() + 1)


OVERLAP = BLOBS[0], (BLOBS[1] == 0).float().unsqueeze(1)


class OwnLoss(torch.autograd.Function):
    """A cross-entropy whose backward pass may forget to subtract the targets' mean."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, targets: Tensor, forgets: bool) -> Tensor:
        ctx.save_for_backward(scores, targets)
        ctx.forgets = forgets
        return functional.cross_entropy(scores, targets)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        scores, targets = ctx.saved_tensors
        right = functional.one_hot(targets, scores.shape[1])
        wanted = -right.float() if ctx.forgets else scores.softmax(1) - right
        return gradient * wanted / len(targets), None, None


class Reader(nn.Module):
    """Reads a sequence step by step; the state of the step before may be cut from its graph."""

    def __init__(self, cuts: bool, rounds: bool = False, every: int = 1) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(3, 24), nn.Linear(24, 2)
        self.cuts, self.rounds, self.every = cuts, rounds, every

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 24)
        for number, step in enumerate(x.unbind(1)):
            cuts = self.cuts and number % self.every == 0
            state = self.cell(step, state.detach() if cuts else state)
            if self.rounds:  # straight-through, so nothing is cut off
                state = state + ((8 * state).round() / 8 - state).detach()
        return self.head(state)


class Staircase(nn.Module):
    """Rounds what its first layer gives, with or without a gradient of its own."""

    def __init__(self, passes_through: bool) -> None:
        super().__init__()
        self.body, self.head = mlp(20, 16), nn.Linear(16, 5)
        self.passes_through = passes_through

    def forward(self, x: Tensor) -> Tensor:
        code = self.body(x)
        levels = (4 * code).round() / 4
        return self.head(code + (levels - code).detach() if self.passes_through else levels)


class MakesLayer(nn.Module):
    """Its last layer is made in the forward pass, or in time."""

    def __init__(self, anew: bool) -> None:
        super().__init__()
        self.body, self.head, self.anew = mlp(20, 16), nn.Linear(16, 5), anew

    def forward(self, x: Tensor) -> Tensor:
        return (nn.Linear(16, 5) if self.anew else self.head)(self.body(x))


def clamped(lowest: float) -> nn.Module:
    model = mlp(4, 1)
    model[0].weight.register_hook(lambda gradient: gradient.clamp(lowest, 1.0))
    return model


TWO = waves()[0], torch.cat([waves()[1], waves()[0][:, :1]], 1)


def squares(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of each column."""
    return (outputs - targets).square().mean(0)


CASES = {
    "gradients never set to zero": Twins(
        "missing_zero_grad", Program(lambda: mlp(20, 5), BLOBS, zero=False, epochs=6), HEALTHY
    ),
    "the loss is negated": Twins(
        "gradient_ascent",
        Program(lambda: mlp(20, 5), BLOBS, lambda o, y: -functional.cross_entropy(o, y), epochs=4),
        HEALTHY,
    ),
    "a tensor that is no parameter": Twins(
        "frozen_params",
        Program(lambda: Gated(registers=False), BLOBS, epochs=6),
        Program(lambda: Gated(registers=True), BLOBS, optimizer=sgd(0.3), epochs=12),
    ),
    "a score that is minimised as a loss": Twins(
        "gradient_ascent",
        Program(lambda: mlp(4, 1), waves(), endless, adam(0.01), epochs=20, tell="all"),
        Program(lambda: mlp(4, 1), waves(), functional.mse_loss, adam(0.01), epochs=12, tell="all"),
    ),
    "the optimiser maximises": Twins(
        "gradient_ascent",
        Program(lambda: mlp(20, 5), BLOBS, optimizer=sgd(0.01, maximize=True), epochs=4),
        HEALTHY,
    ),
    "the graph is cut": Twins(
        "detach_inplace",
        Program(lambda: Cut(True), BLOBS, epochs=6),
        Program(lambda: Cut(False), BLOBS, epochs=6),
    ),
    "the optimiser has the last layer only": Twins(
        "frozen_params", Program(lambda: mlp(20, 5), BLOBS, optimizer=only_last, epochs=6), HEALTHY
    ),
    "own backward pass with a wrong sign": Twins(
        "wrong_backward",
        Program(lambda: derived(-1.0), BLOBS, epochs=6, tell="all"),
        Program(lambda: derived(1.0), BLOBS, epochs=6, tell="all"),
    ),
    "one layer's gradients never set to zero": Twins(
        "missing_zero_grad",
        Program(PartlyCleared, BLOBS, zero=False, optimizer=sgd(0.02), epochs=6), HEALTHY,
    ),
    "a share of overlap that is minimised": Twins(
        "gradient_ascent",
        Program(lambda: mlp(20, 1), OVERLAP, overlap, adam(1e-2), epochs=6,
                tell="all"),
        Program(lambda: mlp(20, 1), OVERLAP, lambda o, y: 1 - overlap(o, y), adam(1e-2), epochs=6,
                tell="all"),
    ),
    "a loss with the gradient of another": Twins(
        "wrong_backward",
        Program(lambda: mlp(20, 5), BLOBS, lambda o, y: OwnLoss.apply(o, y, True), adam(3e-3),
                epochs=8, tell="all"),
        Program(lambda: mlp(20, 5), BLOBS, lambda o, y: OwnLoss.apply(o, y, False), adam(3e-3),
                epochs=8, tell="all"),
    ),
    "a staircase": Twins(
        "detach_inplace",
        Program(lambda: Staircase(passes_through=False), BLOBS, epochs=6),
        Program(lambda: Staircase(passes_through=True), BLOBS, epochs=8),
    ),
    "a layer that is made in each pass": Twins(
        "frozen_params",
        Program(lambda: MakesLayer(anew=True), BLOBS, epochs=6),
        Program(lambda: MakesLayer(anew=False), BLOBS, epochs=8),
    ),
    "a state that is cut at each step": Twins(
        "detach_inplace",
        Program(lambda: Reader(cuts=True), echoes(600), optimizer=adam(1e-2), epochs=10),
        Program(lambda: Reader(cuts=False), echoes(600), optimizer=adam(1e-2), epochs=16),
    ),
    "an output that a sum of terms counts twice": Twins(
        "wrong_loss",
        Program(lambda: mlp(4, 2), TWO, lambda o, y: sum([squares(o, y)[1], squares(o, y)[1]]),
                adam(1e-2), epochs=8, tell="all"),
        Program(lambda: mlp(4, 2), TWO, lambda o, y: sum([squares(o, y)[0], squares(o, y)[1]]),
                adam(1e-2), epochs=8, tell="all"),
    ),
    "a loss that is added as a number": Twins(
        "detach_inplace",
        Program(lambda: mlp(4, 2), TWO, lambda o, y: squares(o, y)[0].item() + squares(o, y)[1],
                adam(1e-2), epochs=8, tell="all"),
        Program(lambda: mlp(4, 2), TWO, lambda o, y: squares(o, y).sum(), adam(1e-2), epochs=8,
                tell="all"),
    ),
    "a hook that clamps from zero": Twins(
        "wrong_backward",
        Program(lambda: clamped(0.0), waves(), functional.mse_loss, sgd(0.1), epochs=8),
        Program(lambda: clamped(-1.0), waves(), functional.mse_loss, sgd(0.1), epochs=12),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named(name: str) -> None:
    assert_named(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_its_healthy_twin_is_left_alone(name: str) -> None:
    assert_silent(CASES[name])


def test_gradients_that_are_accumulated_on_purpose_are_no_fault() -> None:
    program = Program(lambda: mlp(20, 5), BLOBS, accumulate=4, optimizer=sgd(0.3), epochs=12)
    assert_silent(Twins("missing_zero_grad", program, program))


def test_layers_that_are_frozen_on_purpose_are_no_fault() -> None:
    def frozen() -> nn.Module:
        model = mlp(20, 5)
        model[0].requires_grad_(False)
        return model

    program = Program(frozen, BLOBS, epochs=6)
    assert_silent(Twins("frozen_params", program, program))


def test_adam_does_not_go_along_the_gradient_and_is_no_ascent() -> None:
    program = Program(lambda: mlp(20, 5), BLOBS, optimizer=adam(3e-3), epochs=8)
    assert_silent(Twins("gradient_ascent", program, program))


@pytest.mark.parametrize(("kept", "found"), [(2, False), (3, False), (10, True)])
def test_old_gradients_must_be_seen_on_many_steps(kept: int, found: bool) -> None:
    old = readings(kept_gradient=True)
    seen = (*old[:kept], *readings()[kept:])
    assert ("missing_zero_grad" in codes(history(readings=seen))) == found


def test_where_gradients_cannot_be_seen_nothing_is_said_of_them() -> None:
    assert codes(history(readings=readings(kept_gradient=None))) == []


@pytest.mark.parametrize(("cosine", "found"), [(0.9, True), (0.1, False), (-0.9, False)])
def test_updates_along_the_gradient_are_an_ascent(cosine: float, found: bool) -> None:
    assert ("gradient_ascent" in codes(stuck(readings=readings(cosine=cosine)))) == found


@pytest.mark.parametrize(("lost", "found"), [(20, True), (19, False)])
def test_the_graph_is_cut_only_where_no_step_has_a_gradient(lost: int, found: bool) -> None:
    whole = readings()
    first = replace(whole[0].parameters[0], has_gradient=False, gradient=float("nan"))
    cut = readings(parameters=(first, *whole[0].parameters[1:]))
    assert ("detach_inplace" in codes(stuck(readings=(*whole[lost:], *cut[:lost])))) == found


def test_a_layer_that_never_ran_has_no_gradient_and_is_no_cut() -> None:
    whole = readings()
    first = replace(whole[0].parameters[0], has_gradient=False, gradient=float("nan"))
    cut = readings(parameters=(first, *whole[0].parameters[1:]))
    assert "detach_inplace" not in codes(stuck(readings=cut, called=frozenset(("2", "4"))))


def test_an_optimiser_whose_updates_were_not_read_made_them_all_the_same() -> None:
    rare = history(readings=(), modes=Modes(steps=400, updates=2))
    assert "frozen_params" not in codes(rare)


@pytest.mark.parametrize(("steps", "found"), [(99, False), (100, True)])
def test_an_optimiser_that_never_made_a_step_is_named_after_a_hundred(
    steps: int, found: bool
) -> None:
    idle = history(readings=(), modes=Modes(steps=steps))
    assert ("frozen_params" in codes(idle)) == found


@pytest.mark.parametrize(("error", "found"), [(0.3, True), (0.01, False), (float("nan"), False)])
def test_a_backward_pass_of_ones_own_must_agree_with_differences(error: float, found: bool) -> None:
    graph = LossGraph(kind="cross_entropy", reduction="mean", custom=("OwnReLU",))
    seen = history(graph=graph, probe=Probe(derivative_error=error, numeric_derivative=1.0))
    assert ("wrong_backward" in codes(seen)) == found


def test_a_straight_through_estimator_is_wrong_on_purpose() -> None:
    graph = LossGraph(kind="cross_entropy", reduction="mean", custom=("RoundBackward",))
    seen = history(graph=graph, probe=Probe(derivative_error=0.9, numeric_derivative=1.0))
    assert codes(seen) == []


@pytest.mark.parametrize(
    "make", [lambda: Reader(cuts=False, rounds=True), lambda: Reader(cuts=True, every=2)]
)
def test_straight_through_estimators_and_cuts_every_few_steps_are_meant(
    make: Callable[[], nn.Module],
) -> None:
    program = Program(make, echoes(600), optimizer=adam(1e-2), epochs=3)
    assert "detach_inplace" not in [finding.code for finding in find(program)]


def test_gradients_that_are_zeroed_for_another_optimiser_do_not_pile_up() -> None:
    torch.manual_seed(0)
    model = mlp(20, 5)
    first = torch.optim.Adam(model.parameters(), lr=1e-3)
    second = torch.optim.SGD(model.parameters(), lr=0.05)
    watcher = tw.watch(model, first, on_finding=lambda finding: None)
    for step in range(600):
        rows = slice(step % 12 * 50, step % 12 * 50 + 50)
        used = first if step < 60 else second
        used.zero_grad(set_to_none=False)
        loss = functional.cross_entropy(model(BLOBS[0][rows]), BLOBS[1][rows])
        loss.backward()
        used.step()
        watcher.step(loss)
    assert "missing_zero_grad" not in [finding.code for finding in watcher.findings()]


def test_layers_that_have_optimisers_one_after_the_other_are_no_fault() -> None:
    torch.manual_seed(0)
    model = mlp(20, 5)
    first, second = (
        torch.optim.Adam(layer.parameters(), lr=1e-2) for layer in (model[0], model[2])
    )
    watcher = tw.watch(model, first, on_finding=lambda finding: None)
    for step in range(900):
        rows = slice(step % 12 * 50, step % 12 * 50 + 50)
        used = first if step < 300 else second
        used.zero_grad()
        loss = functional.cross_entropy(model(BLOBS[0][rows]), BLOBS[1][rows])
        loss.backward()
        used.step()
        watcher.step(loss)
    found = {finding.code for finding in watcher.findings()}
    assert not {"missing_zero_grad", "frozen_params"} & found


def test_zeroed_gradients_are_not_counted_as_kept() -> None:
    model = mlp(20, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for zeroes, count in ((True, 0), (False, 5)):
        updates = UpdateProbe(model, optimizer, Ledger(), Guard())
        functional.cross_entropy(model(BLOBS[0]), BLOBS[1]).backward()
        updates.arm(0, True)
        for _ in range(5):
            if zeroes:
                optimizer.zero_grad(set_to_none=False)
            functional.cross_entropy(model(BLOBS[0]), BLOBS[1]).backward()
        assert updates.count_kept() == count


@pytest.mark.parametrize("clears", [True, False])
def test_updates_that_are_skipped_for_good_pile_up_what_is_not_cleared(clears: bool) -> None:
    torch.manual_seed(0)
    model = mlp(20, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for step in range(400):
        rows = slice(step % 12 * 50, step % 12 * 50 + 50)
        if clears:
            optimizer.zero_grad()
        loss = functional.cross_entropy(model(BLOBS[0][rows]), BLOBS[1][rows])
        loss.backward()
        if step < 200 or clears:
            optimizer.step()
            optimizer.zero_grad()
        watcher.step(loss)
    found = [finding.code for finding in watcher.findings()]
    assert found == ([] if clears else ["missing_zero_grad"])


@pytest.mark.parametrize(("waited", "found"), [(200, True), (100, False)])
def test_an_update_may_be_made_of_many_backward_passes(waited: int, found: bool) -> None:
    modes = Modes(steps=600 + waited, updates=20, updates_read=20, since_update=waited, piled_up=64)
    assert ("missing_zero_grad" in codes(history(modes=modes))) == found


def test_a_learned_loss_that_lives_on_is_not_made_anew() -> None:
    proxies = nn.Linear(5, 5)
    program = Program(
        lambda: mlp(20, 5), BLOBS, lambda o, y: functional.cross_entropy(proxies(o), y), epochs=6
    )
    assert "frozen_params" not in [finding.code for finding in find(program)]
