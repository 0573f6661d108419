"""Labels: their order, balance and noise, and what gives them away."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.watching.programs import (
    Program,
    Recurrent,
    adam,
    blobs,
    echoes,
    mlp,
    rings,
    sgd,
    waves,
)
from tests.watching.rules.histories import OUTPUTS, codes, history, readings
from tests.watching.rules.twins import Twins, assert_named, assert_silent, find
from trainwell.watching.data_facts import DataFacts
from trainwell.watching.probing import Probe, Score

X, Y = blobs()
TRAIN, VALID = (X[:400], Y[:400]), (X[400:], Y[400:])
HEALTHY = Program(lambda: mlp(20, 5), TRAIN, valid=VALID, give=True, epochs=10)


def ordered(data: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    order = data[1].argsort()
    return data[0][order], data[1][order]


def flipped(share: float) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(3)
    wrong = torch.rand(400, generator=g) < share
    other = (TRAIN[1] + torch.randint(1, 5, (400,), generator=g)) % 5
    return TRAIN[0], torch.where(wrong, other, TRAIN[1])


def rare(rows: int) -> tuple[Tensor, Tensor]:
    """Two classes that overlap, the second one rare."""
    g = torch.Generator().manual_seed(4)
    y = (torch.rand(rows, generator=g) < 0.05).long()
    return torch.randn(rows, 4, generator=g) + 0.5 * y.unsqueeze(1), y


def balanced(rows: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(4)
    y = torch.randint(2, (rows,), generator=g)
    return torch.randn(rows, 4, generator=g) + 1.5 * y.unsqueeze(1), y


def given_away(data: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Another column, which is the number of the class."""
    return torch.cat([data[0], data[1].unsqueeze(1).float()], 1), data[1]


CASES = {
    "sorted by class": Twins(
        "no_shuffle", Program(lambda: mlp(20, 5), ordered((X, Y)), shuffle=False, epochs=4),
        Program(lambda: mlp(20, 5), (X, Y), shuffle=False, epochs=6),
    ),
    "one class in twenty": Twins(
        "class_imbalance",
        Program(lambda: mlp(4, 2), rare(800), optimizer=adam(1e-3), epochs=6),
        Program(lambda: mlp(4, 2), balanced(800), optimizer=adam(1e-2), epochs=8),
    ),
    "two labels in five wrong": Twins(
        "corrupted_labels",
        Program(lambda: mlp(20, 5), flipped(0.4), valid=VALID, give=True, epochs=8), HEALTHY,
    ),
    "training labels counted from one": Twins(
        "corrupted_labels",
        Program(lambda: mlp(20, 5), (TRAIN[0], (TRAIN[1] + 1) % 5), valid=VALID, give=True,
                epochs=8),
        HEALTHY,
    ),
    "validation examples that are training examples": Twins(
        "train_val_leak",
        Program(lambda: mlp(20, 5), TRAIN, valid=(X[300:], Y[300:]), give=True, epochs=8), HEALTHY,
    ),
    "a column made from the target": Twins(
        "label_leak",
        Program(lambda: mlp(21, 5), given_away(TRAIN), valid=given_away(VALID), give=True,
                epochs=10),
        HEALTHY,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named(name: str) -> None:
    assert_named(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_its_healthy_twin_is_left_alone(name: str) -> None:
    assert_silent(CASES[name])


def test_the_column_that_gives_the_target_away_is_named() -> None:
    (finding,) = [f for f in find(CASES["a column made from the target"].faulty)
                  if f.code == "label_leak"]  # fmt: skip
    assert finding.where == "feature 20"


def test_a_quarter_of_wrong_labels_is_found_without_validation_data() -> None:
    x, y = rings()
    wrong = torch.rand(len(y), generator=torch.Generator().manual_seed(0)) < 0.25
    program = Program(lambda: mlp(2, 2), (x, torch.where(wrong, 1 - y, y)), optimizer=adam(1e-2))
    assert "corrupted_labels" in [f.code for f in find(program)]


def test_clean_labels_of_sequences_whose_distances_say_little_are_no_fault() -> None:
    program = Program(Recurrent, echoes(steps=40), optimizer=adam(1e-2), epochs=8)
    assert "corrupted_labels" not in [f.code for f in find(program)]


def test_a_regression_in_order_of_time_is_no_fault() -> None:
    x, y = waves()
    program = Program(
        lambda: mlp(4, 1), (x, y), torch.nn.functional.mse_loss, sgd(0.05), shuffle=False, epochs=6
    )
    assert_silent(Twins("no_shuffle", program, program))


@pytest.mark.parametrize(("runs", "found"), [(0.9, True), (0.6, False), (0.2, False)])
def test_neighbours_must_nearly_all_be_of_one_class(runs: float, found: bool) -> None:
    seen = readings(outputs=replace(OUTPUTS, label_runs=runs))
    assert ("no_shuffle" in codes(history(readings=seen))) == found


def test_batches_of_one_class_only_say_nothing_of_the_order() -> None:
    one = replace(OUTPUTS, label_runs=1.0, target_counts=(32.0, 0, 0, 0, 0))
    assert "no_shuffle" not in codes(history(readings=readings(outputs=one)))


@pytest.mark.parametrize(
    ("rare_right", "found"), [(0, True), (2, True), (8, False)], ids=["none", "few", "most"]
)
def test_a_rare_class_is_a_fault_only_where_it_is_not_recognised(
    rare_right: int, found: bool
) -> None:
    score = Score(0.2, 0.9, seen=(190, 10), right=(188, rare_right), said=(195, 5))
    seen = history(probe=Probe(train=score, as_trained=score, on_train=score))
    assert ("class_imbalance" in codes(seen)) == found


@pytest.mark.parametrize(("shared", "found"), [(1, False), (4, False), (10, True)])
def test_a_few_shared_examples_are_chance(shared: int, found: bool) -> None:
    data = DataFacts(examples=400, valid_examples=200, features=20, shared=shared)
    assert ("train_val_leak" in codes(history(data=data))) == found


@pytest.mark.parametrize(("strength", "found"), [(1.0, True), (0.9, False)])
def test_a_feature_must_give_the_target_wholly(strength: float, found: bool) -> None:
    data = DataFacts(examples=400, features=20, leak_strength=strength, leak_column=3)
    assert ("label_leak" in codes(history(data=data))) == found
