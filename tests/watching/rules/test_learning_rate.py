"""Learning rates, momentum and schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import trainwell as tw
from tests.watching.programs import (
    Data,
    Program,
    Recurrent,
    adam,
    blobs,
    convnet,
    echoes,
    mlp,
    rings,
    sgd,
    stripes,
    waves,
)
from tests.watching.rules.histories import (
    FACTS,
    OUTPUTS,
    STEPS,
    codes,
    falling,
    history,
    parameters,
    readings,
    standing,
    stuck,
)
from tests.watching.rules.twins import Twins, assert_named, assert_silent
from trainwell.findings import Finding
from trainwell.tracing.origin import Origin
from trainwell.watching.history import NanOrigin
from trainwell.watching.probing import Probe
from trainwell.watching.rates import has_one_schedule
from trainwell.watching.readings import EpochReading, Reading

BLOBS = blobs()
HEALTHY = Program(lambda: mlp(20, 5), BLOBS, epochs=6)
STEPPED = torch.optim.lr_scheduler.StepLR


def soon_gone(optimizer: torch.optim.Optimizer) -> Any:
    """Of numbers meant for epochs, stepped at each step."""
    return STEPPED(optimizer, step_size=5, gamma=0.1)


def cosine(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12 * 19)


def by(optimizer: torch.optim.Optimizer, factor: float) -> Any:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor)


def warm_up(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    rise = torch.optim.lr_scheduler.LambdaLR
    return rise(optimizer, lambda step: min((step + 1) / steps, 1.0))


def line(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)


class Cycle(torch.optim.lr_scheduler.OneCycleLR):
    """Laid out for all steps; may make one of them only in so many calls."""

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int, calls: int) -> None:
        self.calls, self.called = calls, -1
        super().__init__(
            optimizer, 0.3, total_steps=steps + 1, div_factor=100, cycle_momentum=False
        )

    def step(self, epoch: int | None = None) -> None:
        self.called += 1
        if self.called % self.calls == 0:
            super().step(epoch)


CASES = {
    "a cycle of which an epoch is one step": Twins(
        "lr_schedule",
        Program(lambda: mlp(20, 5), BLOBS, schedule=lambda o: Cycle(o, 8 * 38, 38), epochs=8,
                batch=16, valid=blobs()),
        Program(lambda: mlp(20, 5), BLOBS, schedule=lambda o: Cycle(o, 8 * 38, 1), epochs=8,
                batch=16, valid=blobs()),
    ),
    "AdamW with a rate of one": Twins(
        "lr_too_high",
        Program(lambda: mlp(4, 1), waves(), functional.mse_loss,
                lambda m: torch.optim.AdamW(m.parameters(), lr=1.0), epochs=10),
        Program(lambda: mlp(4, 1), waves(), functional.mse_loss,
                lambda m: torch.optim.AdamW(m.parameters(), lr=3e-3), epochs=10),
    ),
    "plain descent at a thousandth": Twins(
        "lr_too_low",
        Program(lambda: mlp(2, 2, activation=nn.Tanh), rings(), optimizer=sgd(0.001, momentum=0.0),
                give=True, epochs=10),
        Program(lambda: mlp(2, 2, activation=nn.Tanh), rings(), optimizer=sgd(0.5, momentum=0.0),
                give=True, epochs=20),
    ),
    "a warm-up that is longer than the training": Twins(
        "lr_schedule",
        Program(lambda: mlp(2, 2), rings(), optimizer=sgd(0.1), schedule=lambda o: warm_up(o, 4000),
                epochs=8, valid=rings()),
        Program(lambda: mlp(2, 2), rings(), optimizer=sgd(0.1), schedule=lambda o: warm_up(o, 40),
                epochs=16, valid=rings()),
    ),
    "a rate of thirty": Twins(
        "lr_too_high", Program(lambda: mlp(20, 5), BLOBS, optimizer=sgd(30.0), epochs=4), HEALTHY
    ),
    "Adam with a rate of one": Twins(
        "lr_too_high", Program(lambda: mlp(20, 5), BLOBS, optimizer=adam(1.0), epochs=4),
        Program(lambda: mlp(20, 5), BLOBS, optimizer=adam(3e-3), epochs=6),
    ),
    "a rate of a millionth": Twins(
        "lr_too_low", Program(lambda: mlp(20, 5), BLOBS, optimizer=sgd(1e-6), epochs=6), HEALTHY
    ),
    "Adam with a rate of a ten-millionth": Twins(
        "lr_too_low", Program(lambda: mlp(20, 5), BLOBS, optimizer=adam(1e-7), epochs=6),
        Program(lambda: mlp(20, 5), BLOBS, optimizer=adam(3e-3), epochs=6),
    ),
    "a momentum of 0.999": Twins(
        "momentum_too_high",
        Program(lambda: mlp(4, 1), waves(), functional.mse_loss,
                sgd(0.05, momentum=0.999), epochs=6),
        Program(lambda: mlp(4, 1), waves(), functional.mse_loss,
                sgd(0.02, momentum=0.9), epochs=8),
    ),
    "a schedule of epochs stepped at each step": Twins(
        "lr_schedule",
        Program(lambda: mlp(20, 5), BLOBS, optimizer=sgd(0.01), schedule=soon_gone),
        Program(lambda: mlp(20, 5), BLOBS, schedule=cosine),
    ),
    "a rate that only grows": Twins(
        "lr_schedule",
        Program(lambda: mlp(20, 5), BLOBS, optimizer=sgd(1e-3),
                schedule=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 1.06)),
        Program(lambda: mlp(20, 5), BLOBS, schedule=cosine),
    ),
    "a function that returns the rate and not a factor": Twins(
        "lr_schedule",
        Program(lambda: mlp(20, 5), BLOBS, optimizer=sgd(0.01), schedule=lambda o: by(o, 0.01),
                valid=BLOBS),
        Program(lambda: mlp(20, 5), BLOBS, optimizer=sgd(0.1), schedule=lambda o: by(o, 1.0),
                valid=BLOBS),
    ),
    "a line that goes on below zero": Twins(
        "lr_schedule",
        Program(lambda: mlp(20, 5), BLOBS, optimizer=sgd(0.1),
                schedule=lambda o: line(o, 100)),
        Program(lambda: mlp(20, 5), BLOBS, optimizer=sgd(0.1), schedule=lambda o: line(o, 400)),
    ),
    "Adagrad with the rate of Adam": Twins(
        "lr_too_low",
        Program(lambda: mlp(20, 5), BLOBS, epochs=6,
                optimizer=lambda m: torch.optim.Adagrad(m.parameters(), lr=1e-5)),
        Program(lambda: mlp(20, 5), BLOBS, epochs=6,
                optimizer=lambda m: torch.optim.Adagrad(m.parameters(), lr=0.1)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named(name: str) -> None:
    assert_named(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_its_healthy_twin_is_left_alone(name: str) -> None:
    assert_silent(CASES[name])


# Warm-ups


@dataclass(frozen=True)
class WarmUp:
    """A training whose rate rises from a thousandth of its height.

    Attributes:
        make: Builds the model.
        data: Training examples.
        loss: Of outputs and targets.
        optimizer: Builds the optimiser.
    """

    make: Callable[[], nn.Module]
    data: Data
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]

    def ask(self, *steps: int, schedule: Callable[[torch.optim.Optimizer], Any]) -> list[Finding]:
        """What is said of it after each of so many steps, notes excepted."""
        torch.manual_seed(1)
        model = self.make()
        optimizer = self.optimizer(model)
        scheduler = schedule(optimizer)
        said: list[Finding] = []
        with tw.watch(model, optimizer, on_finding=lambda finding: None) as watcher:
            for step in range(1, max(steps) + 1):
                rows = torch.randint(len(self.data[0]), (32,))
                optimizer.zero_grad()
                loss = self.loss(model(self.data[0][rows]), self.data[1][rows])
                loss.backward()
                optimizer.step()
                scheduler.step()
                watcher.step(loss)
                if step in steps:
                    said += [f for f in watcher.findings() if f.severity != "note"]
        return said


MOMENTUM, ADAMW = sgd(0.1, momentum=0.9), lambda m: torch.optim.AdamW(m.parameters(), lr=5e-4)
WARM_UPS = {
    "classes, momentum": WarmUp(lambda: mlp(20, 5), BLOBS, functional.cross_entropy, MOMENTUM),
    "classes, AdamW": WarmUp(lambda: mlp(20, 5), BLOBS, functional.cross_entropy, ADAMW),
    "numbers, momentum": WarmUp(lambda: mlp(4, 1), waves(), functional.mse_loss, MOMENTUM),
    "pictures, momentum": WarmUp(
        lambda: convnet(norm=True), stripes(), functional.cross_entropy, MOMENTUM
    ),
    "pictures, AdamW": WarmUp(
        lambda: convnet(norm=True), stripes(), functional.cross_entropy, ADAMW
    ),
    "sequences, AdamW": WarmUp(Recurrent, echoes(), functional.cross_entropy, ADAMW),
}


@pytest.mark.parametrize("warmup", [200, 1000, 5000])
@pytest.mark.parametrize("name", WARM_UPS)
def test_a_long_warm_up_is_no_fault_whenever_one_asks(name: str, warmup: int) -> None:
    def schedule(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.LinearLR(optimizer, 1e-3, total_iters=warmup)

    assert WARM_UPS[name].ask(60, 120, 300, schedule=schedule) == []


@pytest.mark.parametrize("warmup", [100, 500, 2000])
def test_the_warm_up_of_transformers_with_adamw_is_no_fault(warmup: int) -> None:
    transformers = pytest.importorskip("transformers")

    def schedule(optimizer: torch.optim.Optimizer) -> Any:
        return transformers.get_linear_schedule_with_warmup(optimizer, warmup, 10_000)

    assert WARM_UPS["classes, AdamW"].ask(60, 120, 300, schedule=schedule) == []


# Boundaries


@pytest.mark.parametrize(("ratio", "found"), [(0.5, True), (0.05, False), (1e-3, False)])
def test_updates_are_too_large_at_a_quarter_of_the_weights(ratio: float, found: bool) -> None:
    large = readings(parameters=parameters(ratio=ratio))
    assert ("lr_too_high" in codes(stuck(readings=large, losses=falling(1.6, 1.5)))) == found


def test_one_large_update_is_no_fault() -> None:
    large = readings(parameters=parameters(ratio=0.5))
    mixed = (*readings()[:9], large[9], *readings()[10:])
    assert codes(history(readings=mixed)) == []


@pytest.mark.parametrize(("ratio", "found"), [(1e-6, True), (1e-3, False)])
def test_tiny_updates_of_a_training_that_stands_are_too_small(ratio: float, found: bool) -> None:
    small = readings(parameters=parameters(ratio=ratio), turn=0.6)
    rates = [(step, 1e-4) for step in range(STEPS)]
    assert ("lr_too_low" in codes(stuck(readings=small, rates=rates))) == found


def test_tiny_updates_of_a_training_that_is_done_are_no_fault() -> None:
    small = readings(parameters=parameters(ratio=1e-6), turn=0.6)
    assert codes(history(readings=small)) == []


@pytest.mark.parametrize(("momentum", "found"), [(0.9, False), (0.95, False), (0.99, True)])
def test_a_usual_momentum_is_never_named(momentum: float, found: bool) -> None:
    seen = stuck(facts=replace(FACTS, momentum=momentum))
    assert ("momentum_too_high" in codes(seen)) == found


@pytest.mark.parametrize(("gone", "found"), [(40, True), (150, False)])
def test_a_rate_that_is_gone_in_the_first_half_is_a_fault_of_the_schedule(
    gone: int, found: bool
) -> None:
    rates = [(k, 0.1 if k < gone else 1e-4) for k in range(STEPS)]
    losses = [(k, 1.6 - 0.005 * min(k, gone)) for k in range(STEPS)]
    assert ("lr_schedule" in codes(stuck(losses=losses, rates=rates))) == found


def test_a_nan_of_the_data_is_not_blamed_on_the_rate() -> None:
    broken = [*falling(), (STEPS, math.nan)]
    large = readings(parameters=parameters(ratio=0.05))
    seen = history(losses=broken, readings=large)
    assert "lr_too_high" in codes(seen)
    known = replace(seen, nan=NanOrigin(STEPS, Origin("inputs", rows=(3,))))
    assert codes(known) == ["exploding_or_nan"]


@pytest.mark.parametrize(("last", "found"), [(1e-4, False), (1e-5, True)])
def test_a_rate_that_still_rises_is_not_called_too_low(last: float, found: bool) -> None:
    small = readings(parameters=parameters(ratio=1e-6), turn=0.6)
    rates = [(k, 1e-5 + (last - 1e-5) * k / STEPS) for k in range(STEPS)]
    assert ("lr_too_low" in codes(stuck(readings=small, rates=rates))) == found


def test_a_loss_that_stands_at_a_usual_rate_is_not_called_a_rate_that_is_too_low() -> None:
    assert "lr_too_low" not in codes(stuck(losses=standing()))


def test_a_group_with_a_thousandth_of_the_rate_stands_still() -> None:
    facts = replace(FACTS, slow_group=("0.weight",))
    still, *others = parameters()
    stands = readings(parameters=(replace(still, update_ratio=1e-6), *others))
    assert "lr_too_low" in codes(stuck(facts=facts, readings=stands))
    assert "lr_too_low" not in codes(stuck(facts=facts))  # it has been raised since
    assert codes(history(facts=facts, readings=stands)) == []


def test_a_memory_of_most_of_the_training_is_too_long() -> None:
    facts = replace(FACTS, momentum=0.998)
    assert "momentum_too_high" in codes(stuck(facts=facts))


def test_a_loss_of_single_examples_may_end_high_when_epochs_fall() -> None:
    losses = [(k, 0.2 + 0.01 * k) for k in range(STEPS)]
    large = readings(parameters=parameters(ratio=0.04))
    epochs = [EpochReading(100 * (k + 1), {"train_loss": 1.0 - 0.3 * k}) for k in range(2)]
    assert "lr_too_high" in codes(history(losses=losses, readings=large))
    assert "lr_too_high" not in codes(history(losses=losses, readings=large, epochs=epochs))


def test_decay_that_outweighs_the_gradients_is_named_and_not_the_rate() -> None:
    facts = replace(FACTS, weight_decay=0.5)
    large = readings(parameters=parameters(ratio=0.3))
    found = codes(stuck(facts=facts, readings=large))
    assert "over_regularised" in found
    assert "lr_too_high" not in found


@pytest.mark.parametrize(
    ("optimizer", "rate", "found"),
    [("sparseadam", 0.1, False), ("sparseadam", 1.0, True), ("adam", 0.1, True)],
)
def test_an_optimiser_of_few_rows_takes_higher_rates(
    optimizer: str, rate: float, found: bool
) -> None:
    losses = [(k, 1.0 + 0.8 * (k % 5 == 0)) for k in range(STEPS)]
    seen = stuck(
        facts=replace(FACTS, optimizer=optimizer),
        losses=losses,
        rates=[(step, rate) for step, _ in losses],
        readings=readings(parameters=parameters(ratio=0.025)),
    )
    assert ("lr_too_high" in codes(seen)) == found


def waves_of_rate(length: int) -> list[tuple[int, float]]:
    """A cosine that goes on: down in `length` steps and up again in as many."""
    return [(k, 0.05 * (1 + math.cos(math.pi * k / length))) for k in range(STEPS)]


@pytest.mark.parametrize(("length", "found"), [(8, True), (60, False)])
def test_a_cosine_that_comes_up_again_several_times_an_epoch_counts_epochs(
    length: int, found: bool
) -> None:
    epochs = [EpochReading(step, {"train_loss": 0.5}) for step in (50, 100, 150, 200)]
    seen = history(rates=waves_of_rate(length), epochs=epochs, readings=fair())
    assert ("lr_schedule" in codes(seen)) == found


def fair() -> tuple[Reading, ...]:
    """Readings of outputs that leave something to be desired."""
    return readings(outputs=replace(OUTPUTS, accuracy=0.9, standard_loss=1.6))


@pytest.mark.parametrize(
    "share",
    [lambda k: (1 + math.cos(math.pi * (k % 10) / 10)) / 2, lambda k: abs(k % 16 - 8) / 8],
    ids=["warm restarts", "triangles"],
)
def test_restarts_and_triangles_within_an_epoch_are_meant(share: Callable[[int], float]) -> None:
    rates = [(k, 0.1 * share(k)) for k in range(STEPS)]
    epochs = [EpochReading(step, {"train_loss": 0.5}) for step in (50, 100, 150, 200)]
    seen = history(rates=rates, epochs=epochs, readings=fair())
    assert "lr_schedule" not in codes(seen)


@pytest.mark.parametrize(
    ("given", "top", "alone", "found"),
    [
        (0.05, math.nan, True, False),
        (1.0, math.nan, True, True),
        (1.0, math.nan, False, False),
        (0.05, 1.25, True, True),
    ],
)
def test_a_schedule_that_begins_low_and_never_moves_is_not_stepped(
    given: float, top: float, alone: bool, found: bool
) -> None:
    epochs = [EpochReading(step, {"train_loss": 1.5}) for step in (50, 100, 150, 200)]
    rates = [(step, 0.05) for step in range(STEPS)]
    seen = stuck(
        rates=rates,
        epochs=epochs,
        initial_rate=given,
        top_rate=top,
        one_schedule=alone,
        probe=Probe(),
    )
    assert ("lr_schedule" in codes(seen)) == found


@pytest.mark.parametrize(
    ("losses", "found"),
    [
        ((1.60, 1.59, 1.58, 1.57, 1.56, 1.55), True),
        ((1.60, 1.57, 1.56, 1.555, 1.552, 1.551), False),
        ((1.60, 1.59, 1.60, 1.57, 1.58, 1.55), False),
    ],
)
def test_a_loss_that_creeps_down_as_fast_in_the_end_as_ever_asks_for_a_higher_rate(
    losses: Sequence[float], found: bool
) -> None:
    epochs = [
        EpochReading(30 * (k + 1), {"train_loss": 1.6, "valid_loss": loss})
        for k, loss in enumerate(losses)
    ]
    seen = stuck(epochs=epochs, readings=readings(parameters=parameters(ratio=5e-4)))
    assert ("lr_too_low" in codes(seen)) == found


def test_groups_that_are_scheduled_differently_have_no_schedule_in_common() -> None:
    model = mlp(20, 5)
    groups = [{"params": [p]} for p in model.parameters()][:2]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    assert has_one_schedule(optimizer)
    torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda step: 0.05, lambda step: 0.8**step])
    assert not has_one_schedule(optimizer)
