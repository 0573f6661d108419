"""The watcher changes nothing, leaves nothing behind, and keeps its budget."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import trainwell as tw
from tests.watching.programs import (
    Program,
    Recurrent,
    adam,
    blobs,
    convnet,
    echoes,
    mlp,
    sgd,
    stripes,
)
from trainwell.findings import Finding
from trainwell.watching.budget import Budget

BLOBS = blobs()


def programs() -> dict[str, Program]:
    return {
        "mlp": Program(lambda: mlp(20, 5), BLOBS, epochs=3, tell="all"),
        "dropout": Program(
            lambda: mlp(20, 5, between=lambda: nn.Dropout(0.5)),
            BLOBS, epochs=3, valid=BLOBS, give=True, optimizer=adam(1e-3),
        ),
        "batch norm": Program(
            lambda: convnet(norm=True), stripes(), epochs=2, optimizer=sgd(0.05, momentum=0.9)
        ),
        "lstm": Program(Recurrent, echoes(), epochs=2, optimizer=adam(1e-2), clip=1.0),
        "accumulation": Program(lambda: mlp(20, 5), BLOBS, epochs=4, accumulate=4),
    }  # fmt: skip


@pytest.mark.parametrize("name", programs())
def test_weights_buffers_and_random_numbers_are_the_same_with_and_without(name: str) -> None:
    program = programs()[name]
    watched, _ = program.run(seed=3)
    after_watched = torch.rand(4)
    plain, _ = program.run(seed=3, watched=False)
    after_plain = torch.rand(4)
    for key, value in plain.state_dict().items():
        assert torch.equal(watched.state_dict()[key], value), key
    assert torch.equal(after_watched, after_plain)


def hooks_of(model: nn.Module, optimizer: Any) -> list[int]:
    counts = [
        len(getattr(module, name))
        for module in model.modules()
        for name in ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called")
    ]
    counts += [len(p._backward_hooks or ()) for p in model.parameters()]
    return [*counts, len(optimizer._optimizer_step_pre_hooks), len(
        optimizer._optimizer_step_post_hooks)]  # fmt: skip


def step(model: nn.Module, optimizer: Any, watcher: Any) -> None:
    x, y = BLOBS[0][:32], BLOBS[1][:32]
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    watcher.step(loss)


def test_detached_it_leaves_no_hook_and_no_attribute() -> None:
    model = mlp(20, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before, names = hooks_of(model, optimizer), [set(vars(m)) for m in model.modules()]
    with tw.watch(model, optimizer, on_finding=lambda finding: None) as watcher:
        for _ in range(10):
            step(model, optimizer, watcher)
    assert hooks_of(model, optimizer) == before
    assert [set(vars(m)) for m in model.modules()] == names
    assert all(p._backward_hooks is None for p in model.parameters())


def test_a_copy_or_a_pickle_of_a_watched_model_does_not_take_the_watcher_along() -> None:
    model = mlp(20, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    step(model, optimizer, watcher)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        seen = watcher._passes.counts.with_gradient
        other(BLOBS[0][:4])
        assert watcher._passes.counts.with_gradient == seen
    watcher.detach()


def test_an_exception_in_the_forward_pass_leaves_no_function_mode_on() -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(20, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("broken")

    model = Fails()
    watcher = tw.watch(model, torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="broken"):
        model(BLOBS[0][:4])
    assert torch.overrides._get_current_function_mode_stack() == []
    watcher.detach()


@pytest.mark.parametrize("source", ["inputs", "layer", "targets"])
def test_a_loss_that_is_not_finite_is_traced_to_its_origin(source: str) -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(20, 8), nn.Linear(8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = self.first(x)
            return self.last(torch.sqrt(hidden) if source == "layer" else hidden)

    torch.manual_seed(0)
    model = Root()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    told: list[Finding] = []
    watcher = tw.watch(model, optimizer, nn.MSELoss(), on_finding=told.append)
    x, y = torch.randn(16, 20), torch.randn(16, 1)
    if source == "inputs":
        x[3, 2] = math.nan
    if source == "targets":
        y[5] = math.inf
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    watcher.step(loss, inputs=x, targets=y)
    (finding,) = [f for f in watcher.findings() if f.code == "exploding_or_nan"]
    expected = {"inputs": "the inputs", "targets": "the targets", "layer": "sqrt"}[source]
    assert expected in finding.where
    assert told[0].code == "exploding_or_nan"
    if source == "inputs":
        assert "row 3" in finding.cause


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_readings_are_only_made_while_they_fit_the_budget() -> None:
    clock = Clock()
    budget = Budget(share=0.03, allowance=0.05, first=4, clock=clock, meter=clock)
    reads = 0
    for number in range(20_000):
        clock.now += 0.001
        if budget.wants_reading(number):
            reads += 1
            with budget.metered():
                clock.now += 0.002
            budget.note_reading(0.002)
    assert reads > 40
    assert budget.overhead <= 0.03 + 1e-9


def test_the_first_steps_are_read_whatever_they_cost() -> None:
    clock = Clock()
    budget = Budget(share=0.0, allowance=0.0, first=4, clock=clock, meter=clock)
    budget.note_reading(1.0)
    assert [budget.wants_reading(k) for k in range(8)] == [True] * 4 + [False] * 4


@pytest.mark.parametrize(
    "make", [lambda: (torch.randn(2),), lambda: {"logits": torch.randn(2, 2)}, lambda: None]
)
def test_odd_outputs_never_raise_into_the_loop(make: Callable[[], Any]) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1)

        def forward(self, x: torch.Tensor, extra: Any = None) -> Any:
            self.loss = self.layer(x).square().mean()
            return make()

    model = Odd()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    x = torch.randn(8, 3)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        model(x, extra={"a": 1})
        model.loss.backward()
        return model.loss

    for _ in range(20):
        watcher.step(optimizer.step(closure))
    assert isinstance(watcher.findings(), list)
    watcher.detach()
