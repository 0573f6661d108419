"""Cross-validation: what a fold sees, that it goes on when interrupted, and what its scores say."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import signal
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn

import trainwell as tw
from tests.training.noisy_runs import RECIPE, Noisy, outcome
from trainwell.data.folds import make_fold, pool_examples
from trainwell.errors import DataError, Interrupted, ModelError, RunFolderError
from trainwell.training.intervals import corrected_interval, student_interval
from trainwell.training.observer import Progress
from trainwell.training.signals import StopRequest

QUICK = tw.Recipe(epochs=2, batch_size=32)


class SignalInFold:
    """Sends SIGTERM at a step of a fold."""

    def __init__(self, fold: int, step: int) -> None:
        self.fold, self.step, self.current = fold, step, 0

    def started(self, progress: Progress) -> None:
        self.current += 1

    def stepped(self, reading: Mapping[str, Any]) -> None:
        is_there = self.current == self.fold and reading["step"] >= self.step
        if is_there and reading["kind"] == "window":
            signal.raise_signal(signal.SIGTERM)

    def epoch_ended(self, reading: Mapping[str, Any]) -> None:
        pass

    def ended(self, reason: str) -> None:
        pass


class Starts:
    """Remembers which runs were started or gone on with."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, int]] = []

    def started(self, progress: Progress) -> None:
        self.runs.append((Path(progress.run).name, progress.first_step))

    def stepped(self, reading: Mapping[str, Any]) -> None:
        pass

    def epoch_ended(self, reading: Mapping[str, Any]) -> None:
        pass

    def ended(self, reason: str) -> None:
        pass


def table(count: int = 60, offset: float = 0.0) -> tuple[numpy.ndarray, numpy.ndarray]:
    generator = numpy.random.default_rng(1)
    y = numpy.arange(count) % 3
    return generator.normal(offset, size=(count, 4)) + y[:, None], y


def folds_of(data: tw.Dataset, folds: int) -> list[tw.Dataset]:
    return [make_fold(data, number, folds, seed=0) for number in range(1, folds + 1)]


@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_each_example_of_train_and_valid_is_validated_on_once_and_no_test_example_is_seen(
    name: str,
) -> None:
    data = tw.load(name)
    assert data.test is not None
    folds = folds_of(data, 5)
    validated = torch.cat([fold.valid.ids for fold in folds])
    pooled = torch.cat([data.train.ids, data.valid.ids])
    assert sorted(validated.tolist()) == sorted(pooled.tolist())
    for fold in folds:
        assert fold.test is None
        seen = {*fold.train.ids.tolist(), *fold.valid.ids.tolist()}
        assert len(fold.train) + len(fold.valid) == len(seen) == len(pooled)
        assert not seen & set(data.test.ids.tolist())


def test_the_classes_have_the_same_shares_in_all_folds() -> None:
    for fold in folds_of(tw.load("iris"), 5):
        counts = torch.bincount(fold.valid.targets, minlength=3)
        assert int(counts.max() - counts.min()) <= 1


def test_the_seed_cuts_the_folds() -> None:
    data = tw.load("iris")
    first, again = make_fold(data, 1, 4, seed=0), make_fold(data, 1, 4, seed=0)
    assert first.fingerprints == again.fingerprints
    assert make_fold(data, 1, 4, seed=1).fingerprints != first.fingerprints


def test_the_preprocessing_of_a_fold_depends_on_its_own_training_rows_only() -> None:
    data = tw.load(table())
    folds = folds_of(data, 3)
    shifts = [fold.preprocess.shift for fold in folds]
    assert not torch.equal(shifts[0], shifts[1])
    for fold in folds:
        assert isinstance(fold.train.inputs, torch.Tensor)
        assert torch.allclose(fold.preprocess.shift, fold.train.inputs.mean(0))
    # Whatever stands in the rows that a fold validates on, or in the test split, changes nothing.
    pool = pool_examples(data)
    assert isinstance(pool.inputs, torch.Tensor)
    held_out = torch.isin(pool.ids, folds[0].valid.ids)
    changed = pool.inputs.clone()
    changed[held_out] += 1000
    count = len(data.train)
    other = dataclasses.replace(
        data,
        train=dataclasses.replace(data.train, inputs=changed[:count]),
        valid=dataclasses.replace(data.valid, inputs=changed[count:]),
    )
    refitted = make_fold(other, 1, 3, seed=0).preprocess
    assert torch.equal(refitted.shift, folds[0].preprocess.shift)
    assert torch.equal(refitted.scale, folds[0].preprocess.scale)
    assert not torch.equal(make_fold(other, 2, 3, seed=0).preprocess.shift, shifts[1])


def test_rows_of_two_sources_keep_numbers_of_their_own() -> None:
    data = tw.load("iris")
    given = dataclasses.replace(data, valid=dataclasses.replace(data.valid, source="valid"))
    pool = pool_examples(given)
    assert pool.ids.tolist() == list(range(len(data.train) + len(data.valid)))


class Unreadable:
    """A test split that must not be looked at."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the test split was asked for {name}")


def test_the_test_split_is_never_looked_at(tmp_path: Path) -> None:
    data: Any = dataclasses.replace(tw.load("iris"), test=Unreadable())
    result = tw.cross_validate("mlp", data, QUICK, 3, out=tmp_path / "cv")
    assert all(not any(k.startswith("test") for k in run.metrics) for run in result.folds)
    assert "The test split was not read" in str(result)


def test_every_fold_is_an_ordinary_run_folder(tmp_path: Path) -> None:
    result = tw.cross_validate("mlp", "iris", QUICK, 3, out=tmp_path / "cv")
    assert [run.folder.name for run in result.folds] == ["fold-1", "fold-2", "fold-3"]
    assert result.scores == [run.metrics["valid_accuracy"] for run in result.folds]
    assert len({run.weights_sha256 for run in result.folds}) == 3
    assert len({run.run_folder.read_text("recipe.toml") for run in result.folds}) == 1
    opened = tw.load_run(tmp_path / "cv" / "fold-2")
    assert opened.evaluate("valid")["valid_loss"] == result.folds[1].metrics["valid_loss"]
    assert tw.resume(tmp_path / "cv" / "fold-2").metrics == result.folds[1].metrics
    assert all(path.is_file() for path in result.report())


def test_the_file_and_the_table_hold_scores_mean_deviation_and_interval(tmp_path: Path) -> None:
    result = tw.cross_validate("mlp", "iris", QUICK, 3, out=tmp_path / "cv")
    written = json.loads((tmp_path / "cv" / "cross_validation.json").read_text())
    assert written["scores"] == result.scores
    assert written["mean"] == pytest.approx(statistics.fmean(result.scores))
    assert written["standard_deviation"] == pytest.approx(statistics.stdev(result.scores))
    assert written["interval"] == list(result.interval)
    assert result.interval[0] < result.mean < result.interval[1] <= 1
    assert [fold["run"] for fold in written["folds"]] == ["fold-1", "fold-2", "fold-3"]
    shown = str(result)
    assert f"{result.mean:.2%}" in shown and "Nadeau & Bengio 2003" in shown


def test_the_interval_is_students_with_the_correction_for_folds_that_share_examples() -> None:
    scores = [0.90, 0.92, 0.88, 0.91, 0.89]
    low, high = corrected_interval(scores, train=80, valid=20)
    # The 97.5 % quantile of Student's t with 4 degrees of freedom is 2.7764.
    reach = 2.7764451 * math.sqrt((1 / 5 + 20 / 80) * statistics.variance(scores))
    assert (low, high) == pytest.approx((0.9 - reach, 0.9 + reach))
    assert all(math.isnan(end) for end in corrected_interval([0.9], 80, 20))


def test_scores_that_share_nothing_have_students_own_interval() -> None:
    low, high = student_interval([1.0, 1.1, 0.9])
    # The 97.5 % quantile of Student's t with 2 degrees of freedom is 4.3027.
    reach = 4.3026527 * 0.1 / math.sqrt(3)
    assert (low, high) == pytest.approx((1 - reach, 1 + reach))
    assert all(math.isnan(end) for end in student_interval([]))


@pytest.mark.parametrize("model", ["mlp", Noisy, lambda data: tw.models.create("mlp", data)])
def test_a_name_and_functions_with_and_without_data_build_a_fresh_module_for_each_fold(
    model: Any, tmp_path: Path
) -> None:
    state = torch.get_rng_state()
    result = tw.cross_validate(model, "blobs", QUICK, 2, out=tmp_path / "cv")
    assert len({id(run.model) for run in result.folds}) == 2
    assert torch.equal(torch.get_rng_state(), state)


def test_a_function_gives_the_same_as_the_name_of_the_same_model(tmp_path: Path) -> None:
    def build(data: tw.Dataset) -> nn.Module:
        return tw.models.create("mlp", data)

    named = tw.cross_validate("mlp", "iris", QUICK, 2, out=tmp_path / "named")
    built = tw.cross_validate(build, "iris", QUICK, 2, out=tmp_path / "built")
    assert [r.weights_sha256 for r in named.folds] == [r.weights_sha256 for r in built.folds]


def test_a_module_that_all_folds_would_share_is_refused(tmp_path: Path) -> None:
    shared: Any = Noisy()
    for model in (shared, lambda: shared):
        with pytest.raises(ModelError, match="share the weights"):
            tw.cross_validate(model, "blobs", QUICK, 2, out=tmp_path / "cv" / str(id(model)))
    with pytest.raises(ModelError, match=r"gives a int, not a torch\.nn\.Module"):
        wrong: Any = lambda: 3  # noqa: E731
        tw.cross_validate(wrong, "blobs", QUICK, 2, out=tmp_path / "wrong")


class Items(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((4,), float(index)), index % 3


@pytest.mark.parametrize(
    ("data", "folds", "message"),
    [
        (table, 1, "1 folds are no cross-validation"),
        (table, 0, "0 folds are no cross-validation"),
        (table, 30, r"the rarest class has \d+ examples .* Use at most"),
        (lambda: (numpy.zeros((12, 2)), numpy.arange(12.0) / 7), 11, "too few for 11 folds"),
        (Items, 3, "a stream of examples cannot be cut into folds"),
    ],
)
def test_what_cannot_be_cut_is_refused_before_there_is_a_folder(
    data: Callable[[], Any], folds: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        tw.cross_validate("mlp", data(), QUICK, folds, out=tmp_path / "cv")
    assert not (tmp_path / "cv").exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    path = tmp_path_factory.mktemp("whole") / "cv"
    tw.cross_validate(Noisy, "blobs", RECIPE, 3, out=path)
    return [outcome(path / f"fold-{n}") for n in (1, 2, 3)]


def interrupt(path: Path, step: int) -> None:
    """Stops at a step of the second of three folds."""
    stopping = [SignalInFold(2, step)]
    with pytest.raises(Interrupted, match=f"trainwell resume {path}$"):
        tw.cross_validate(Noisy, "blobs", RECIPE, 3, out=path, observers=stopping)
    assert not (path / "fold-3").exists()


def test_an_interrupted_cross_validation_goes_on_to_the_same_bits(
    whole: list[object], tmp_path: Path
) -> None:
    path, starts = tmp_path / "cv", Starts()
    interrupt(path, step=5)
    tw.cross_validate(Noisy, "blobs", RECIPE, 3, out=path, observers=[starts])
    assert [name for name, _ in starts.runs] == ["fold-2", "fold-3"]
    assert starts.runs[0][1] > 0 and starts.runs[1][1] == 0
    assert [outcome(path / f"fold-{n}") for n in (1, 2, 3)] == whole


def test_a_signal_in_the_last_step_of_a_fold_ends_it_and_starts_no_other(
    whole: list[Any], tmp_path: Path
) -> None:
    path, starts = tmp_path / "cv", Starts()
    rows = whole[1][1]
    interrupt(path, step=max(row["step"] for row in rows if row["kind"] == "window"))
    tw.resume_cross_validation(path, model=Noisy, observers=[starts])
    assert [name for name, _ in starts.runs][-1] == "fold-3"
    assert [outcome(path / f"fold-{n}") for n in (1, 2, 3)] == whole


def test_a_signal_that_an_inner_training_took_in_reaches_whoever_runs_several() -> None:
    with StopRequest() as outer:
        with StopRequest():
            signal.raise_signal(signal.SIGTERM)
        assert outer.is_raised


def test_a_fold_that_was_killed_before_its_first_checkpoint_is_started_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cv"
    whole = tw.cross_validate("mlp", "iris", QUICK, 2, out=path)
    for name in ("run.json", "result.json", "evaluation.json"):
        (path / "fold-2" / name).unlink()
    for checkpoint in (path / "fold-2" / "checkpoints").iterdir():
        if not checkpoint.name.endswith("000000"):
            shutil.rmtree(checkpoint)
    again = tw.resume_cross_validation(path)
    assert [r.weights_sha256 for r in again.folds] == [r.weights_sha256 for r in whole.folds]


def test_one_cross_validation_never_goes_on_as_another(tmp_path: Path) -> None:
    path = tmp_path / "cv"
    tw.cross_validate("mlp", "iris", QUICK, 2, out=path)
    for changed, message in (
        (lambda: tw.cross_validate("mlp", "iris", QUICK, 3, out=path), "folds changed"),
        (lambda: tw.cross_validate("mlp", "iris", tw.Recipe(), 2, out=path), "recipe changed"),
        (lambda: tw.cross_validate("softmax", "iris", QUICK, 2, out=path), "model changed"),
        (lambda: tw.cross_validate("mlp", "blobs", QUICK, 2, out=path), "data changed"),
    ):
        with pytest.raises(RunFolderError, match=message):
            changed()
    with pytest.raises(RunFolderError, match="not empty"):
        tw.fit("mlp", "iris", QUICK, out=path)


def test_data_and_models_that_only_python_has_are_asked_for(tmp_path: Path) -> None:
    path, data = tmp_path / "cv", table()
    whole = tw.cross_validate(lambda: nn.Linear(4, 3), data, QUICK, 2, out=path)
    with pytest.raises(ModelError, match="a model of your own"):
        tw.resume_cross_validation(path, data=data)
    with pytest.raises(DataError, match="was given Python objects"):
        tw.resume_cross_validation(path, model=lambda: nn.Linear(4, 3))
    again = tw.resume_cross_validation(path, model=lambda: nn.Linear(4, 3), data=data)
    assert again.scores == whole.scores


def test_a_model_that_reconstructs_is_cut_and_reloaded_as_what_it_trains_on(tmp_path: Path) -> None:
    result = tw.cross_validate("rbm", "digits", tw.Recipe(epochs=1), 2, out=tmp_path / "cv")
    assert result.metric == "valid_loss"
    again = tw.load_run(tmp_path / "cv" / "fold-2").evaluate("valid")
    assert again["valid_loss"] == pytest.approx(result.scores[1])
    assert tw.resume_cross_validation(tmp_path / "cv").scores == result.scores


class Exploding(nn.Module):
    """Puts out NaN where an input is marked."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.line(x)
        return out.masked_fill(self.training & (x[:, :1] > 8), math.nan)


def test_a_fold_that_is_not_finite_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    inputs, targets = table(90)
    data = tw.load((inputs, targets), preprocess=())
    # The marked row is trained on in all folds but the one that validates on it.
    marked = make_fold(data, 2, 3, seed=0).valid.ids[0]
    inputs[int(marked)] = 9.0
    data = tw.load((inputs, targets), preprocess=())
    result = tw.cross_validate(Exploding, data, QUICK, 3, out=tmp_path / "cv")
    assert sorted(result.failures) == [1, 3]
    assert len(result.folds) == 1 and math.isnan(result.interval[0])
    assert "failed" in str(result) and "unknown" in str(result)
    written = json.loads((tmp_path / "cv" / "cross_validation.json").read_text())
    assert [fold["state"] for fold in written["folds"]] == ["failed", "finished", "failed"]
    assert written["interval"] == [None, None]
    starts = Starts()
    again = tw.cross_validate(Exploding, data, QUICK, 3, out=tmp_path / "cv", observers=[starts])
    assert again.failures == result.failures and starts.runs == []
