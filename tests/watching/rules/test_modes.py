"""Training and evaluation mode, and batch normalisation."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import trainwell as tw
from tests.watching.programs import Program, blobs, convnet, mlp, sgd, stripes
from tests.watching.rules.histories import FACTS, OUTPUTS, codes, history, readings, standing
from tests.watching.rules.twins import Twins, assert_named, assert_silent, find
from trainwell.watching.history import History, Modes
from trainwell.watching.loss_graph import LossGraph
from trainwell.watching.probing import Probe
from trainwell.watching.readings import EpochReading, NormReading
from trainwell.watching.scores import Score

BLOBS, STRIPES = blobs(), stripes()


def dropped() -> nn.Module:
    return mlp(20, 5, between=lambda: nn.Dropout(0.3))


def normed(momentum: float = 0.1) -> nn.Module:
    return mlp(20, 5, between=lambda: nn.BatchNorm1d(32, momentum=momentum))


def evaluated() -> nn.Module:
    model = dropped()
    model.eval()
    return model


def by_batch(x: Tensor, model: nn.Module) -> Tensor:
    return functional.batch_norm(x, None, None, training=True)


class Noise(nn.Module):
    """Noise in training, or always."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.always = always

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.6 * torch.randn_like(x) if self.always or self.training else x


def noisy(always: bool) -> nn.Module:
    return nn.Sequential(Noise(always), mlp(20, 5))


class Streams(nn.Module):
    """Two streams of inputs of different sizes, with one batch norm for both or one for each."""

    def __init__(self, shares: bool) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(10, 16), nn.Linear(10, 16)
        self.norm = nn.BatchNorm1d(16)
        self.norm_other = self.norm if shares else nn.BatchNorm1d(16)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        one = torch.relu(self.norm(self.one(x[:, :10])))
        other = torch.relu(self.norm_other(6 * self.other(x[:, 10:]) + 8))
        return self.head(torch.cat([one, other], 1))


class Functional(nn.Module):
    """A network with one function between its layers."""

    def __init__(self, function: Callable[[Tensor, nn.Module], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.function = nn.Linear(20, 64), nn.Linear(64, 5), function

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(torch.relu(self.first(x)), self))


CASES = {
    "trained in evaluation mode": Twins(
        "eval_mode_bug",
        Program(evaluated, BLOBS, train_mode=False, epochs=6),
        Program(dropped, BLOBS, epochs=8),
    ),
    "validated in training mode": Twins(
        "eval_mode_bug",
        Program(dropped, BLOBS, valid=blobs(), eval_mode=False, epochs=6),
        Program(dropped, BLOBS, valid=blobs(), epochs=8),
    ),
    "batch norm of two examples": Twins(
        "batchnorm_misuse",
        Program(normed, (BLOBS[0][:200], BLOBS[1][:200]), batch=2, optimizer=sgd(0.02), epochs=2),
        Program(normed, BLOBS, epochs=6),
    ),
    "batch norm that keeps the last batch": Twins(
        "batchnorm_misuse",
        Program(lambda: normed(0.99), BLOBS, batch=8, optimizer=sgd(0.02), epochs=3),
        Program(normed, BLOBS, epochs=6),
    ),
    "batch norm that hardly follows": Twins(
        "batchnorm_misuse",
        Program(lambda: convnet(norm=True, momentum=1e-4), (STRIPES[0] * 3 + 4, STRIPES[1]),
                optimizer=sgd(0.05), epochs=6),
        Program(lambda: convnet(norm=True), STRIPES, optimizer=sgd(0.05), epochs=8),
    ),
    "a function that drops in evaluation mode too": Twins(
        "eval_mode_bug",
        Program(lambda: Functional(lambda x, _: functional.dropout(x, 0.5)), BLOBS, epochs=8),
        Program(lambda: Functional(lambda x, m: functional.dropout(x, 0.5, m.training)), BLOBS,
                epochs=8),
    ),
    "a function that normalises by batch in evaluation mode too": Twins(
        "batchnorm_misuse",
        Program(lambda: Functional(by_batch), BLOBS, epochs=8),
        Program(lambda: Functional(lambda x, _: functional.layer_norm(x, x.shape[1:])), BLOBS,
                epochs=8),
    ),
    "one batch norm for two streams": Twins(
        "batchnorm_misuse",
        Program(lambda: Streams(shares=True), BLOBS, optimizer=sgd(0.05), epochs=8),
        Program(lambda: Streams(shares=False), BLOBS, optimizer=sgd(0.05), epochs=8),
    ),
    "noise of one's own that never stops": Twins(
        "eval_mode_bug",
        Program(lambda: noisy(True), BLOBS, valid=blobs(), tell="all", epochs=8),
        Program(lambda: noisy(False), BLOBS, valid=blobs(), tell="all", epochs=8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named(name: str) -> None:
    assert_named(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_its_healthy_twin_is_left_alone(name: str) -> None:
    assert_silent(CASES[name])


WITH_DROPOUT = replace(FACTS, dropout=0.3)


@pytest.mark.parametrize(("share", "found"), [(0.2, False), (0.3, True)])
def test_a_quarter_of_the_updates_in_evaluation_mode_is_too_much(share: float, found: bool) -> None:
    modes = Modes(steps=200, steps_in_eval=int(200 * share), updates_read=20)
    assert ("eval_mode_bug" in codes(history(facts=WITH_DROPOUT, modes=modes))) == found


def test_the_mode_of_a_model_without_dropout_and_batch_norm_does_not_matter() -> None:
    modes = Modes(steps=200, steps_in_eval=200, updates_read=20)
    assert codes(history(modes=modes)) == []


@pytest.mark.parametrize(("evaluations", "found"), [(0, True), (1, False)])
def test_validation_in_training_mode_is_one_that_never_was_in_evaluation_mode(
    evaluations: int, found: bool
) -> None:
    modes = Modes(
        steps=200,
        passes_in_training=9,
        occasions=3,
        passes_in_eval=evaluations,
        updates_read=20,
    )
    assert ("eval_mode_bug" in codes(history(facts=WITH_DROPOUT, modes=modes))) == found


@pytest.mark.parametrize(("values", "found"), [(3, True), (4, False), (16, False)])
def test_statistics_of_three_values_are_too_few(values: int, found: bool) -> None:
    norms = (NormReading("1", values, 0.1, 0.1, training=True, momentum=0.1),)
    seen = history(facts=replace(FACTS, batch_norms=1, norms=1), readings=readings(norms=norms))
    assert ("batchnorm_misuse" in codes(seen)) == found


@pytest.mark.parametrize(("loss", "found"), [(2.0, True), (0.25, False)])
def test_training_and_evaluation_mode_must_agree_on_the_same_examples(
    loss: float, found: bool
) -> None:
    norms = (NormReading("1", 64, 0.1, 0.1, training=True, momentum=0.1),)
    probe = Probe(
        train=Score(loss, 0.95 if loss < 1 else 0.4, (40, 40), (38, 38), (40, 40)),
        as_trained=Score(0.2, 0.96, (40, 40), (38, 38), (40, 40)),
    )
    facts = replace(FACTS, batch_norms=1, norms=1)
    seen = history(facts=facts, readings=readings(norms=norms), probe=probe)
    assert ("batchnorm_misuse" in codes(seen)) == found


def test_the_line_of_the_function_that_drops_is_named() -> None:
    found = find(CASES["a function that drops in evaluation mode too"].faulty)
    (finding,) = [f for f in found if f.code == "eval_mode_bug"]
    assert "test_modes.py:" in finding.source


def validated(told: float, by_batch: bool = False, **changes: Any) -> History:
    """A history whose validation says a loss where evaluation mode has 0.35."""
    return history(
        facts=replace(FACTS, batch_norms=1, norms=1, norms_by_batch=by_batch),
        graph=LossGraph(kind="cross_entropy", reduction="mean", direct=True, named=True),
        epochs=[EpochReading(200, {"train_loss": 0.3, "valid_loss": told})],
        probe=Probe(
            train=Score(0.3, 0.9),
            as_trained=Score(0.3, 0.9),
            valid=Score(0.35, 0.9),
            valid_at_first=Score(2.03, 0.3),
        ),
        losses=standing(),
        readings=readings(outputs=replace(OUTPUTS, standard_loss=1.6)),
        modes=Modes(200, updates_read=20, **changes),
    )


@pytest.mark.parametrize(("told", "found"), [(2.0, True), (0.4, False)])
def test_a_validation_must_say_what_evaluation_mode_says(told: float, found: bool) -> None:
    assert ("eval_mode_bug" in codes(validated(told, passes_in_eval=3))) == found


def test_a_validation_that_batch_norm_makes_depend_on_its_batches_is_its_misuse() -> None:
    assert codes(validated(2.0, by_batch=True))[0] == "batchnorm_misuse"


@pytest.mark.parametrize(
    ("before", "told", "found"),
    [(2.1, 2.0, True), (2.1, 1.7, False), (1.2, 1.7, True), (1.2, 1.4, False)],
)
def test_a_validation_of_a_copy_is_named_where_its_statistics_are_the_first(
    before: float, told: float, found: bool
) -> None:
    seen = validated(told)
    epochs = [EpochReading(100, {"valid_loss": before}), *seen.epochs]
    named = {"batchnorm_misuse", "eval_mode_bug"} & set(codes(replace(seen, epochs=epochs)))
    assert named == ({"batchnorm_misuse"} if found else set())


@pytest.mark.parametrize(("mean_gap", "found"), [(0.7, False), (1.5, True)])
def test_variances_may_lag_while_the_rate_is_high_but_means_may_not(
    mean_gap: float, found: bool
) -> None:
    norms = (NormReading("1", 8192, mean_gap, 1.6, training=True, momentum=0.1),)
    facts = replace(FACTS, batch_norms=1, norms=1)
    scores = Probe(train=Score(0.5, 0.85), as_trained=Score(0.3, 0.9))
    seen = history(facts=facts, readings=readings(norms=norms), probe=scores)
    assert ("batchnorm_misuse" in codes(seen)) == found


@pytest.mark.parametrize("train_loss", [0.3, 3.0])
def test_a_validation_is_judged_where_no_training_score_is_known(train_loss: float) -> None:
    seen = history(
        facts=WITH_DROPOUT,
        graph=LossGraph(kind="cross_entropy", reduction="mean", direct=True, named=True),
        epochs=[EpochReading(200, {"train_loss": train_loss, "valid_loss": 2.0})],
        probe=Probe(valid=Score(0.45, 0.85)),
        losses=standing(),
        readings=readings(outputs=replace(OUTPUTS, standard_loss=1.6)),
        modes=Modes(200, updates_read=20, passes_in_eval=3),
    )
    assert "eval_mode_bug" in codes(seen)


def test_statistics_that_lag_are_no_fault_unless_evaluation_mode_is_worse() -> None:
    norms = (NormReading("1", 64, 0.5, 2.0, training=True, momentum=0.1),)
    seen = history(facts=replace(FACTS, batch_norms=1, norms=1), readings=readings(norms=norms))
    assert codes(seen) == []


class Siamese(Streams):
    """One batch norm for two streams that are alike."""

    def __init__(self) -> None:
        super().__init__(shares=True)

    def forward(self, x: Tensor) -> Tensor:
        halves = x[:, :10], x[:, :10] + 0.1
        return self.head(torch.cat([self.norm(self.one(half)) for half in halves], 1))


def test_one_batch_norm_for_streams_that_are_alike_is_no_fault() -> None:
    found = find(Program(Siamese, BLOBS, optimizer=sgd(0.05), epochs=8))
    assert "batchnorm_misuse" not in [finding.code for finding in found]


def train_and_validate(
    validate: Callable[[nn.Module], object], make: Callable[[], nn.Module] = dropped
) -> list[str]:
    """Codes of a training that is validated after each ten steps."""
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for step in range(60):
        rows = slice(step % 10 * 50, step % 10 * 50 + 50)
        model.train()
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(BLOBS[0][rows]), BLOBS[1][rows])
        loss.backward()
        optimizer.step()
        watcher.step(loss)
        if step % 10 == 9:
            with torch.no_grad():
                validate(model)
    return [finding.code for finding in watcher.findings()]


def evaluate(model: nn.Module, whole: bool) -> None:
    if whole:
        model.eval()
    else:
        model.training = False
    model(BLOBS[0])


@pytest.mark.parametrize(("whole", "found"), [(False, ["eval_mode_bug"]), (True, [])])
def test_a_mode_that_is_set_on_the_model_alone_does_not_reach_its_layers(
    whole: bool, found: list[str]
) -> None:
    assert train_and_validate(lambda model: evaluate(model, whole)) == found


def relapse(model: nn.Module) -> None:
    model.eval()
    for part in BLOBS[0].split(200):
        model(part)
        model.train()


def draw_predictions(model: nn.Module) -> None:
    """Once as usual, then with dropout, for the same examples (Gal & Ghahramani 2016)."""
    model.eval()
    model(BLOBS[0])
    model.train()
    for _ in range(5):
        model(BLOBS[0].clone())  # as a loader makes each batch anew


def estimate_statistics(model: nn.Module) -> None:
    """One batch of validation, then the running statistics of batch norm, from training batches."""
    model.eval()
    model(BLOBS[0][500:550])
    model.train()
    for part in BLOBS[0][:500].split(50):
        model(part)


def with_both() -> nn.Module:
    return nn.Sequential(
        nn.Linear(20, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 5)
    )


def trace(model: nn.Module, evaluates: bool) -> None:
    model.train(not evaluates)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(model, BLOBS[0][:2], check_trace=False)
    model.eval()
    model(BLOBS[0])


def test_a_validation_that_falls_back_into_training_mode_is_named() -> None:
    assert train_and_validate(relapse) == ["eval_mode_bug"]


def test_predictions_that_are_drawn_after_the_usual_one_are_no_fault() -> None:
    assert "eval_mode_bug" not in train_and_validate(draw_predictions)


def test_running_statistics_may_be_estimated_anew_after_a_validation() -> None:
    assert "eval_mode_bug" not in train_and_validate(estimate_statistics, with_both)


@pytest.mark.parametrize(("evaluates", "found"), [(False, ["eval_mode_bug"]), (True, [])])
def test_a_model_is_to_be_traced_in_evaluation_mode(evaluates: bool, found: list[str]) -> None:
    assert train_and_validate(lambda model: trace(model, evaluates)) == found


def test_one_traced_pass_may_have_counted_operations() -> None:
    modes = Modes(steps=200, passes_in_eval=9, updates_read=20, traced=1)
    assert codes(history(facts=WITH_DROPOUT, modes=modes)) == []


def validate_by_copy(follows: Callable[[nn.Module, nn.Module], None]) -> list[str]:
    """Codes of a training whose validation uses a copy, which follows after each update."""
    torch.manual_seed(0)
    model = with_both()
    copied = copy.deepcopy(model).eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loss_fn, x, y = nn.CrossEntropyLoss(), BLOBS[0] + 5, BLOBS[1]
    watcher = tw.watch(
        model, optimizer, loss_fn, train=(x[:400], y[:400]), valid=(x[400:], y[400:]),
        on_finding=lambda finding: None,
    )  # fmt: skip
    for _ in range(6):
        for rows in torch.randperm(400).split(40):
            optimizer.zero_grad()
            outputs = model(x[rows])
            loss = loss_fn(outputs, y[rows])
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=x[rows], outputs=outputs, targets=y[rows])
            follows(copied, model)
        with torch.no_grad():
            watcher.epoch(valid_loss=loss_fn(copied(x[400:]), y[400:]))
    return [finding.code for finding in watcher.findings()]


@torch.no_grad()
def copy_parameters(copied: nn.Module, model: nn.Module) -> None:
    for mine, theirs in zip(copied.parameters(), model.parameters(), strict=True):
        mine.copy_(theirs)


@torch.no_grad()
def average(copied: nn.Module, model: nn.Module) -> None:
    """An exponential average that lags far behind so short a training."""
    for mine, theirs in zip(copied.state_dict().values(), model.state_dict().values(), strict=True):
        if mine.is_floating_point():
            mine.lerp_(theirs, 0.005)


def test_a_copy_without_the_running_statistics_is_named() -> None:
    assert "batchnorm_misuse" in validate_by_copy(copy_parameters)


def test_an_average_that_lags_behind_is_no_fault_of_mode_or_batch_norm() -> None:
    assert not {"batchnorm_misuse", "eval_mode_bug"} & set(validate_by_copy(average))
