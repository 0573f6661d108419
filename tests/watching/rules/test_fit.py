"""How well a model fits what it was trained on, and what it was not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.watching.programs import Program, adam, blobs, mlp, rings, sgd, stripes, waves
from tests.watching.rules.histories import FACTS, codes, history, parameters, readings, stuck
from tests.watching.rules.twins import Twins, assert_named, assert_silent, find
from trainwell.optim.muon import Muon
from trainwell.watching.data_facts import DataFacts
from trainwell.watching.facts import collect_facts
from trainwell.watching.probing import Probe
from trainwell.watching.readings import EpochReading
from trainwell.watching.scores import Score

X, Y = blobs()


class AdamW8bit(torch.optim.SGD):
    """Of a name that others give theirs."""


def noisy(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Classes that overlap: more can be learned by heart than in truth."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 20, generator=g)
    return x, ((x[:, 0] + 1.5 * torch.randn(rows, generator=g)) > 0).long()


def jitter(x: Tensor) -> Tensor:
    return x + 6 * torch.randn_like(x)


class Clamped(nn.Module):
    """Puts its weights back into bounds in each pass."""

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.layers, self.bound = mlp(20, 5), bound

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.clamp_(-self.bound, self.bound)
        return self.layers(x)


class Penalised(nn.Module):
    """Its outputs remember a penalty of the weights, for `penalise` to add."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.layers, self.strength = mlp(2, 2), strength

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.layers(x)
        outputs.penalty = self.strength * sum(p.abs().sum() for p in self.parameters())  # pyright: ignore
        return outputs


def penalise(outputs: Tensor, targets: Tensor) -> Tensor:
    penalty = getattr(outputs, "penalty", 0.0)
    return functional.cross_entropy(outputs, targets) + penalty


CASES = {
    "a large net on few noisy examples": Twins(
        "overfitting",
        Program(lambda: mlp(20, 2, hidden=128), noisy(100, 0), valid=noisy(300, 1), give=True,
                optimizer=adam(1e-2), epochs=40),
        Program(lambda: mlp(20, 5), (X[:400], Y[:400]), valid=(X[400:], Y[400:]), give=True,
                epochs=10),
    ),
    "a line for rings": Twins(
        "underfitting",
        Program(lambda: nn.Sequential(nn.Linear(2, 2)), rings(), optimizer=adam(2e-2)),
        Program(lambda: mlp(2, 2), rings(), optimizer=adam(1e-2), epochs=12),
    ),
    "a weight decay of one": Twins(
        "over_regularised",
        Program(lambda: mlp(20, 5), (X, Y), optimizer=sgd(0.1, weight_decay=1.0), epochs=10),
        Program(lambda: mlp(20, 5), (X, Y), optimizer=sgd(0.1, weight_decay=1e-4), epochs=10),
    ),
    "a dropout of 0.95": Twins(
        "over_regularised",
        Program(lambda: mlp(20, 5, between=lambda: nn.Dropout(0.95)), (X, Y), epochs=10),
        Program(lambda: mlp(20, 5, between=lambda: nn.Dropout(0.2)), (X, Y), epochs=10),
    ),
    "noise larger than the signal": Twins(
        "bad_augmentation",
        Program(lambda: mlp(144, 4), (stripes()[0].flatten(1), stripes()[1]), prepare=jitter,
                valid=(stripes(seed=1)[0].flatten(1), stripes(seed=1)[1]), optimizer=adam(3e-3)),
        Program(lambda: mlp(144, 4), (stripes()[0].flatten(1), stripes()[1]),
                prepare=lambda x: x + 0.05 * torch.randn_like(x),
                valid=(stripes(seed=1)[0].flatten(1), stripes(seed=1)[1]), optimizer=adam(3e-3)),
    ),
    "weights that are clamped": Twins(
        "over_regularised",
        Program(lambda: Clamped(0.02), (X, Y), epochs=10), Program(lambda: Clamped(9.0), (X, Y)),
    ),
    "a penalty that is most of the loss": Twins(
        "over_regularised",
        Program(lambda: Penalised(0.3), rings(), penalise, adam(1e-2), tell="all"),
        Program(lambda: Penalised(1e-6), rings(), penalise, adam(1e-2),
                tell="all"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named(name: str) -> None:
    assert_named(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_its_healthy_twin_is_left_alone(name: str) -> None:
    assert_silent(CASES[name])


def epochs(train: list[float], valid: list[float], gap: float = 0.2) -> list[EpochReading]:
    return [
        EpochReading(20 * k, {"train_loss": a, "valid_loss": b, "train_metric": 0.98,
                              "valid_metric": 0.98 - gap})
        for k, (a, b) in enumerate(zip(train, valid, strict=True))
    ]  # fmt: skip


FALLING = [1.6, 1.0, 0.6, 0.4, 0.3, 0.25, 0.2, 0.2]


@pytest.mark.parametrize(
    ("valid", "found"),
    [
        ([1.6, 1.1, 0.9, 0.8, 0.9, 1.2, 1.5, 1.8], True),
        ([1.6, 1.1, 0.8, 0.6, 0.5, 0.45, 0.4, 0.38], False),
        ([1.6, 1.0, 0.6, 0.4, 0.3, 0.25, 0.2, 0.2], False),
    ],
    ids=["rises", "falls more slowly", "falls along"],
)
def test_overfitting_is_a_validation_loss_that_rises_far_above_the_training_loss(
    valid: list[float], found: bool
) -> None:
    gap = 0.2 if found else 0.03
    assert ("overfitting" in codes(history(epochs=epochs(FALLING, valid, gap)))) == found


def test_one_bad_epoch_of_the_validation_is_no_overfitting() -> None:
    valid = [1.6, 1.0, 0.6, 0.4, 2.0, 0.28, 0.25, 0.24]
    assert codes(history(epochs=epochs(FALLING, valid, gap=0.02))) == []


@pytest.mark.parametrize(("possible", "found"), [(0.98, True), (0.3, False)])
def test_underfitting_is_a_plateau_below_what_neighbours_achieve(
    possible: float, found: bool
) -> None:
    data = DataFacts(examples=400, features=20, neighbours=possible, one_neighbour=possible,
                     misplaced=0.0, class_counts=(80,) * 5)  # fmt: skip
    seen = stuck(data=data, facts=replace(FACTS, hidden_units=2, narrowest=2))
    right = tuple(replace(r, outputs=replace(r.outputs, accuracy=0.45)) for r in seen.readings)
    assert ("underfitting" in codes(replace(seen, readings=right))) == found


def test_without_data_nothing_is_said_of_underfitting() -> None:
    assert "underfitting" not in codes(stuck(facts=replace(FACTS, hidden_units=2)))


@pytest.mark.parametrize(("decay", "found"), [(1e-4, False), (1e-2, False), (0.5, True)])
def test_a_usual_weight_decay_is_never_named(decay: float, found: bool) -> None:
    seen = stuck(facts=replace(FACTS, weight_decay=decay))
    assert ("over_regularised" in codes(seen)) == found


def test_a_weight_decay_that_is_too_strong_is_not_called_a_rate_that_is_too_high() -> None:
    found = find(CASES["a weight decay of one"].faulty)
    assert [f.code for f in found if f.severity != "note"] == ["over_regularised"]


def test_a_line_whose_best_weights_are_small_is_not_called_over_regularised() -> None:
    program = replace(CASES["a line for rings"].faulty)
    watcher = program.run(seed=1)[1]
    assert watcher is not None
    assert [f.code for f in watcher.findings() if f.severity != "note"] == ["underfitting"]


def test_a_regression_that_learns_is_left_alone() -> None:
    program = Program(
        lambda: mlp(4, 1), waves(), functional.mse_loss, adam(1e-2), valid=waves(seed=1),
        give=True, epochs=8,
    )  # fmt: skip
    assert_silent(Twins("overfitting", program, program))


def test_a_healthy_history_with_readings_of_every_kind_is_left_alone() -> None:
    assert codes(history(readings=readings(), epochs=epochs(FALLING, FALLING, gap=0.0))) == []


@pytest.mark.parametrize(
    ("build", "decouples"),
    [
        (torch.optim.AdamW, True),
        (partial(torch.optim.RAdam, decoupled_weight_decay=True), True),
        (Muon, True),
        (AdamW8bit, True),
        (torch.optim.Adam, False),
        (torch.optim.SGD, False),
    ],
)
def test_a_decay_that_is_apart_from_the_gradient_is_not_compared_with_it(
    build: Callable[..., torch.optim.Optimizer], decouples: bool
) -> None:
    model = mlp(20, 5)
    optimizer = build(model.parameters(), lr=0.02, weight_decay=0.05)
    assert collect_facts(model, optimizer, None, None).decouples == decouples
    facts = replace(FACTS, weight_decay=0.05, decouples=decouples)
    small = readings(parameters=parameters((1e-3,) * 3))
    seen = stuck(facts=facts, readings=small, rates=[(step, 0.02) for step in range(200)])
    assert ("over_regularised" in codes(seen)) == (not decouples)


@pytest.mark.parametrize(
    ("dropouts", "found"),
    [
        ({"dropout": 0.6, "input_dropout": 0.6, "dropout_left": 0.4}, True),
        ({"dropout": 0.6, "dropout_left": 0.064}, True),
        ({"dropout": 0.5, "dropout_left": 0.25}, False),
        ({"dropout": 0.2, "input_dropout": 0.2, "dropout_left": 0.1}, False),
    ],
)
def test_dropout_is_too_strong_on_the_inputs_and_where_it_adds_up(
    dropouts: dict[str, float], found: bool
) -> None:
    scores = Probe(train=Score(1.0, 0.2), as_trained=Score(1.6, 0.2))
    seen = stuck(facts=replace(FACTS, **dropouts), probe=scores)
    assert ("over_regularised" in codes(seen)) == found


def test_where_dropout_stands_is_read_off_the_model() -> None:
    layers = (nn.Dropout(0.3), nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    facts = collect_facts(nn.Sequential(*layers), None, None, None)
    assert (facts.input_dropout, facts.dropout) == (0.3, 0.5)
    assert facts.dropout_left == pytest.approx(0.35)
    assert collect_facts(nn.Sequential(*layers[1:]), None, None, None).input_dropout == 0


class Words(nn.Module):
    """Its dropout is made first and used last."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.layer = nn.Dropout(0.5), nn.Linear(4, 2)


def test_of_a_model_with_a_forward_of_its_own_the_order_is_unknown() -> None:
    facts = collect_facts(Words(), None, None, None)
    assert (facts.dropout, facts.input_dropout, facts.dropout_left) == (0.5, 0.0, 1.0)


def test_weights_that_began_alike_and_shrink_are_not_called_over_regularised() -> None:
    first, last = (
        readings(parameters=parameters(weight=0.15)),
        readings(parameters=parameters(weight=0.03)),
    )
    shrunk = (*first[:10], *last[10:])
    assert "over_regularised" in codes(stuck(readings=shrunk))
    alike = stuck(readings=shrunk, facts=replace(FACTS, twins=0.9))
    assert "over_regularised" not in codes(alike)


class Quantised(nn.Module):
    """The nearest of some codes, and the loss of codes and encodings (van den Oord et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(8, 16), nn.Linear(16, 8)
        self.codes = nn.Embedding(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        encoded = self.encode(x)
        code = self.codes(torch.cdist(encoded, self.codes.weight).argmin(1))
        outputs = self.decode(encoded + (code - encoded).detach())
        outputs.penalty = functional.mse_loss(code, encoded.detach())  # pyright: ignore
        outputs.penalty += 0.25 * functional.mse_loss(encoded, code.detach())
        return outputs


def test_losses_beside_the_first_are_no_penalties() -> None:
    x = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    program = Program(
        Quantised, (x, x), lambda o, y: functional.mse_loss(o, y) + getattr(o, "penalty", 0.0),
        adam(3e-3), epochs=20, tell="all",
    )  # fmt: skip
    assert not {"over_regularised", "detach_inplace"} & {f.code for f in find(program)}
