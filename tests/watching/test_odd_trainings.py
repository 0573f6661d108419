"""Watching never disturbs a training, however odd it is, and says nothing of sound ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import trainwell as tw
from tests.watching.programs import blobs, mlp
from trainwell.errors import ModelError
from trainwell.watching.facts import collect_facts
from trainwell.watching.watcher import Watcher

INPUTS, LABELS = blobs()
Loss = Callable[[Tensor, Tensor], Tensor]


def train(
    model: nn.Module, loss_fn: Loss = functional.cross_entropy, first: tuple[Tensor, ...] = ()
) -> tuple[Watcher, list[str]]:
    """The watcher, and the codes of what it found.

    Args:
        model: Called with `first` and the inputs.
        loss_fn: Of outputs and labels.
        first: Arguments before the inputs.
    """
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for number in range(150):
        rows = torch.arange(50 * number, 50 * number + 50) % len(INPUTS)
        optimizer.zero_grad()
        loss = loss_fn(model(*first, INPUTS[rows]), LABELS[rows])
        loss.backward()
        optimizer.step()
        watcher.step(loss)
    codes = [finding.code for finding in watcher.findings() if finding.severity != "note"]
    return watcher, codes


class Timed(nn.Module):
    """Called with a time of no dimension first, as in diffusion."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(20, 5)

    def forward(self, time: Tensor, x: Tensor) -> Tensor:
        return self.net(x * time)


class Stateful(nn.Module):
    """Its state has more than tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(20, 5)

    def get_extra_state(self) -> dict[str, int]:
        return {"version": 1}

    def set_extra_state(self, state: dict[str, int]) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


@pytest.mark.parametrize(
    "make", [Timed, Stateful, lambda: nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.Linear(16, 5))]
)
def test_odd_models_are_trained_and_watched(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    first = (torch.tensor(0.5),) if make is Timed else ()
    watcher, codes = train(make(), first=first)
    assert codes == []
    assert not watcher._guard.has_given_up("readings")


def test_after_a_failed_reading_nothing_more_is_read() -> None:
    model = mlp(20, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)

    def fail(*args: object) -> None:
        raise RuntimeError("an odd model")

    watcher._batches.read = fail  # pyright: ignore[reportAttributeAccessIssue]
    for _ in range(20):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(INPUTS[:50]), LABELS[:50])
        loss.backward()
        optimizer.step()
        watcher.step(loss)
    assert not watcher._armed
    assert not any(module._forward_hooks for module in model.modules())
    assert not optimizer._optimizer_step_pre_hooks


def test_an_optimizer_of_nothing_that_is_read_makes_its_steps() -> None:
    scale = nn.Parameter(torch.ones((), dtype=torch.complex64))
    model = nn.Identity()
    optimizer = torch.optim.SGD([scale], lr=0.1)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for _ in range(10):
        optimizer.zero_grad()
        loss = (scale * scale.conj()).real
        loss.backward()
        optimizer.step()
        watcher.step(loss)
    assert abs(scale.item()) < 0.2


def test_a_step_without_a_loss_is_refused_at_once() -> None:
    model = mlp(20, 5)
    watcher = tw.watch(model, torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ModelError, match="got None where it takes the loss"):
        watcher.step(None)


class Learnable(nn.Module):
    """A loss that learns a scale and draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.calls = 0

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.calls += 1
        noisy = outputs * self.scale + 0.1 * torch.randn_like(outputs)
        return functional.cross_entropy(noisy, targets)


def test_a_loss_that_learns_and_draws_is_left_alone_when_a_nan_is_traced() -> None:
    model, loss_fn = mlp(20, 5), Learnable()
    optimizer = torch.optim.SGD([*model.parameters(), *loss_fn.parameters()], lr=0.05)
    watcher = tw.watch(model, optimizer, loss_fn, on_finding=lambda finding: None)
    for number in range(20):
        inputs = INPUTS[:50] * (math.nan if number == 19 else 1)
        optimizer.zero_grad()
        loss = loss_fn(model(inputs), LABELS[:50])
        loss.backward()
        gradient, state = loss_fn.scale.grad, torch.get_rng_state()
        assert gradient is not None
        if number < 19:
            optimizer.step()
        gradient.zero_()
        watcher.step(loss, inputs, None, LABELS[:50])
        assert loss_fn.calls == number + 1
        assert loss_fn.scale.grad is gradient and gradient == 0
        assert torch.equal(torch.get_rng_state(), state)


def focal(outputs: Tensor, labels: Tensor) -> Tensor:
    log_p = -functional.cross_entropy(outputs, labels, reduction="none")
    return (-((1 - log_p.exp()) ** 2) * log_p).mean()


def reward(outputs: Tensor, labels: Tensor) -> Tensor:
    return -(-functional.cross_entropy(outputs, labels, reduction="none") * 1.5).mean()


@pytest.mark.parametrize("loss_fn", [focal, reward])
def test_a_loss_with_two_minus_signs_is_not_called_ascent(loss_fn: Loss) -> None:
    torch.manual_seed(0)
    assert train(mlp(20, 5), loss_fn)[1] == []


def test_a_loss_that_is_scaled_for_float16_is_not_called_a_sum() -> None:
    torch.manual_seed(0)
    model = mlp(20, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for number in range(150):
        rows = torch.arange(50 * number, 50 * number + 50) % len(INPUTS)
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(INPUTS[rows]), LABELS[rows])
        (loss * 65536).backward()
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad /= 65536
        optimizer.step()
        watcher.step(loss)
    assert "loss_reduction" not in {finding.code for finding in watcher.findings()}


class Student(nn.Module):
    """Keeps a teacher in a list, out of its own parameters on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.teacher = mlp(20, 5), [mlp(20, 5)]

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.teacher[0](x)
        return self.net(x)


class Forgotten(Student):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + self.teacher[0](x)


def test_layers_that_were_forgotten_in_a_list_are_told_from_a_teacher_in_one() -> None:
    torch.manual_seed(0)
    assert train(Student())[1] == []
    assert train(Forgotten())[1] == ["frozen_params"]


def test_a_model_whose_normalisations_have_no_values_yet_is_watched() -> None:
    model = nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.LazyLinear(8),
                          nn.LazyBatchNorm1d(), nn.LazyLinear(5))  # fmt: skip
    model(INPUTS[:2])
    lazy = nn.Sequential(nn.LazyBatchNorm1d(), nn.LazyBatchNorm1d())
    assert not collect_facts(lazy, None, None, None).norms_at_zero
    assert not collect_facts(model, None, None, None).norms_at_zero
