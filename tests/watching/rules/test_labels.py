"""Labels: their order, balance and noise, and what gives them away."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import trainwell as tw
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
from tests.watching.rules.histories import OUTPUTS, codes, falling, history, readings
from tests.watching.rules.twins import Twins, assert_named, assert_silent, find
from trainwell.watching.data_facts import DataFacts
from trainwell.watching.loss_graph import LossGraph
from trainwell.watching.probing import Probe
from trainwell.watching.readings import Reading
from trainwell.watching.scores import Score

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


WAVES = waves()
NUMBERS = Program(
    lambda: mlp(4, 1), (WAVES[0][:400], WAVES[1][:400]), functional.mse_loss, adam(1e-2),
    valid=(WAVES[0][400:], WAVES[1][400:]), give=True, epochs=20,
)  # fmt: skip
TWO = blobs(600, 6, 2)
TWO_TRAIN, TWO_VALID = (TWO[0][:400], TWO[1][:400]), (TWO[0][400:], TWO[1][400:])


class NextSymbol(nn.Module):
    """Says the next one of seven symbols; attention may see it."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.embedding, self.head, self.causal = nn.Embedding(7, 16), nn.Linear(16, 7), causal
        self.places = nn.Parameter(0.1 * torch.randn(12, 16))

    def forward(self, x: Tensor) -> Tensor:
        h = self.embedding(x) + self.places
        h = h + functional.scaled_dot_product_attention(h, h, h, is_causal=self.causal)
        return self.head(h).transpose(1, 2)


def symbols() -> tuple[Tensor, Tensor]:
    """Each symbol is the one before plus 1 or 2, and the target the next one."""
    g = torch.Generator().manual_seed(12)
    steps = torch.randint(1, 3, (300, 13), generator=g)
    whole = steps.cumsum(1) % 7
    return whole[:, :-1], whole[:, 1:]


def filled() -> tuple[Tensor, Tensor]:
    """A fifth of the targets, of any rows, are one number in the midst of the others."""
    missing = torch.rand(400, 1, generator=torch.Generator().manual_seed(8)) < 0.2
    return WAVES[0][:400], torch.where(missing, torch.tensor(-0.5), WAVES[1][:400])


def overdue(data: tuple[Tensor, Tensor], leaks: bool) -> tuple[Tensor, Tensor]:
    """Another column, which is 0 in one class and hardly ever in the other."""
    x, y = data
    x = x + 2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    months = torch.poisson(torch.full((len(y),), 4.0), generator=torch.Generator().manual_seed(9))
    return torch.cat([x, (months * y if leaks else months).unsqueeze(1)], 1), y


def encoded(share: float) -> tuple[Tensor, Tensor]:
    """Another column, which is the target in so many rows."""
    x, y = WAVES
    g = torch.Generator().manual_seed(10)
    other = y[torch.randperm(len(y), generator=g)] + 0.01
    same = torch.rand(len(y), 1, generator=g) < share
    return torch.cat([x, torch.where(same, y, other)], 1), y


def records(rows: range) -> tuple[Tensor, Tensor]:
    """Of 150 patients four records each, which lie near each other."""
    g = torch.Generator().manual_seed(11)
    patients = torch.randn(150, 8, generator=g)
    x = patients.repeat_interleave(4, 0) + 0.1 * torch.randn(600, 8, generator=g)
    ill = (patients[:, 0] + torch.randn(150, generator=g) > 0).long().repeat_interleave(4)
    return x[list(rows)], ill[list(rows)]


def in_order(data: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    rows = data[1][:, 0].argsort()
    return data[0][rows], data[1][rows]


CASES = {
    "attention to the symbol that is asked for": Twins(
        "label_leak",
        Program(lambda: NextSymbol(causal=False), symbols(), optimizer=adam(1e-2), epochs=10,
                tell="all"),
        Program(lambda: NextSymbol(causal=True), symbols(), optimizer=adam(1e-2), epochs=10,
                tell="all"),
    ),
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
    "targets of other rows": Twins(
        "corrupted_labels",
        Program(lambda: mlp(4, 1), (WAVES[0][:400], WAVES[1][:400].sort(0).values),
                functional.mse_loss, adam(1e-2), valid=(WAVES[0][400:], WAVES[1][400:]), give=True,
                epochs=10),
        NUMBERS,
    ),
    "missing targets filled with one number": Twins(
        "corrupted_labels",
        Program(lambda: mlp(4, 1), filled(), functional.mse_loss, adam(1e-2), give=True, epochs=10),
        NUMBERS,
    ),
    "a column that one limit divides": Twins(
        "label_leak",
        Program(lambda: mlp(7, 2), overdue(TWO_TRAIN, True), valid=overdue(TWO_VALID, True),
                give=True, epochs=10),
        Program(lambda: mlp(7, 2), overdue(TWO_TRAIN, False), valid=overdue(TWO_VALID, False),
                give=True, epochs=10),
    ),
    "a column that is the target in some rows": Twins(
        "label_leak",
        Program(lambda: mlp(5, 1), encoded(0.3), functional.mse_loss, adam(1e-2), give=True,
                epochs=10),
        Program(lambda: mlp(5, 1), encoded(0.0), functional.mse_loss, adam(1e-2), give=True,
                epochs=10),
    ),
    "records of one patient on both sides": Twins(
        "train_val_leak",
        Program(lambda: mlp(8, 2), records(range(0, 600, 2)), valid=records(range(1, 600, 2)),
                give=True, optimizer=adam(1e-2), epochs=6),
        Program(lambda: mlp(8, 2), records(range(0, 600, 6)), valid=records(range(3, 600, 6)),
                give=True, optimizer=adam(1e-2), epochs=6),
    ),
    "numbers sorted by their size": Twins(
        "no_shuffle",
        Program(lambda: mlp(4, 1), in_order(WAVES), functional.mse_loss, adam(1e-2), shuffle=False,
                tell="all"),
        Program(lambda: mlp(4, 1), in_order(WAVES), functional.mse_loss, adam(1e-2), tell="all"),
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


def test_targets_that_alternate_from_batch_to_batch_are_no_order() -> None:
    means = (0.0, 1.0)
    seen = tuple(
        Reading(
            k, outputs=replace(OUTPUTS, target_counts=(), target_mean=means[k % 2], row_std=0.0)
        )
        for k in range(12)
    )
    assert "no_shuffle" not in codes(history(readings=seen))


def test_more_right_in_validation_than_in_training_says_that_labels_are_wrong() -> None:
    train = Score(0.6, 0.6, (200, 200), (120, 120), (200, 200))
    valid = Score(0.4, 0.8, (100, 100), (80, 80), (100, 100))
    seen = history(data=DataFacts(), probe=Probe(on_train=train, valid=valid))
    assert "corrupted_labels" in codes(seen)


def test_a_loss_that_forgives_outliers_may_have_them() -> None:
    data = DataFacts(examples=400, valid_examples=200, association=0.3, valid_association=0.9)
    assert "corrupted_labels" in codes(history(data=data))
    assert "corrupted_labels" not in codes(history(data=data, graph=LossGraph(kind="huber")))


@pytest.mark.parametrize(
    ("right", "found"), [((0, 12, 12), True), ((12, 12, 12), False), ((4, 14, 19), False)]
)
def test_of_several_rare_classes_the_one_that_is_found_least_counts(
    right: tuple[int, int, int], found: bool
) -> None:
    score = Score(0.2, 0.9, seen=(200, 20, 15, 20), right=(198, *right), said=(220, 12, 12, 11))
    seen = history(probe=Probe(train=score, as_trained=score, on_train=score))
    assert ("class_imbalance" in codes(seen)) == found


@pytest.mark.parametrize(
    ("trained", "code"), [((250, 20, 20), "class_imbalance"), ((220, 100, 40), "corrupted_labels")]
)
def test_where_all_classes_but_one_are_rarer_labels_were_not_changed(
    trained: tuple[int, int, int], code: str
) -> None:
    train = Score(0.2, 0.9, seen=trained, right=(trained[0], 4, 1), said=(sum(trained), 0, 0))
    valid = Score(1.2, 0.5, seen=(100, 100, 100), right=(98, 60, 5), said=(190, 100, 10))
    seen = history(
        data=DataFacts(examples=sum(trained), features=20),
        probe=Probe(train=train, as_trained=train, on_train=train, valid=valid),
    )
    assert codes(seen)[:1] == [code]


@pytest.mark.parametrize(("end", "found"), [(0.05, False), (0.8, True)])
def test_windows_over_time_may_come_in_order_where_they_are_learned(
    end: float, found: bool
) -> None:
    numbers = replace(
        OUTPUTS, columns=1, accuracy=float("nan"), target_counts=(), right_counts=(),
        predicted_counts=(), label_runs=0.9, target_std=1.0, target_mean=0.0, standard_loss=end,
    )  # fmt: skip
    seen = history(
        graph=LossGraph(kind="mse", reduction="mean", direct=True, named=True),
        losses=falling(1.0, end),
        readings=readings(outputs=numbers),
    )
    assert ("no_shuffle" in codes(seen)) == found


def test_labels_of_mixed_examples_are_not_called_wrong() -> None:
    torch.manual_seed(0)
    model = mlp(20, 5)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for _ in range(300):
        rows, others = torch.randint(len(X), (2, 64))
        share = float(torch.rand(()))
        mixed = share * X[rows] + (1 - share) * X[others]
        outputs = model(mixed)
        own, other = (functional.cross_entropy(outputs, Y[k]) for k in (rows, others))
        loss = share * own + (1 - share) * other
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=mixed, outputs=outputs, targets=Y[rows])
    assert [finding.code for finding in watcher.findings() if finding.severity != "note"] == []
