"""A training that mends itself: proved remedies are put in force, and everything is told."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import trainwell as tw
from tests.training.disks import FAST, FailingDisk, memory_folder
from trainwell.cli.main import main
from trainwell.errors import NonFiniteError, RunFolderError
from trainwell.findings import Finding
from trainwell.training.checkpoint import NonFiniteWeightsError, newest_checkpoint
from trainwell.training.fingerprint import digest_recipe
from trainwell.training.going_back import finish_going_back, start_repair, take_back
from trainwell.training.observer import Progress
from trainwell.training.recipe import Recipe
from trainwell.training.repairs import NOT_REPAIRED, Repair, read_repairs
from trainwell.training.run_folder import RunFolder

DIGITS = tw.Recipe(epochs=8, batch_size=32, optimizer="sgd", learning_rate=0.1, repair=3)
MOONS = DIGITS.replace(epochs=25, batch_size=16)
IRIS = DIGITS.replace(epochs=40, batch_size=16)


def told(folder: Path, event: str) -> list[str]:
    return [e["message"] for e in RunFolder.open(folder).read_events() if e["event"] == event]


@pytest.mark.parametrize(
    ("data", "recipe", "fault", "field"),
    [
        ("moons", MOONS, {"learning_rate": 1e4}, "learning_rate"),
        ("iris", IRIS, {"learning_rate": 30.0}, "learning_rate"),
        ("digits", DIGITS, {"learning_rate": 1e-6}, "learning_rate"),
        ("iris", IRIS, {"optimizer": "momentum", "momentum": 0.999}, "momentum"),
        ("iris", IRIS, {"weight_decay": 3.0}, "weight_decay"),
        ("iris", IRIS, {"l2": 1.0}, "l2"),
    ],
)
def test_a_training_with_a_fault_of_the_recipe_ends_about_as_well_as_without(
    data: str, recipe: Recipe, fault: Mapping[str, Any], field: str, tmp_path: Path
) -> None:
    healthy = {"digits": 0.98, "iris": 0.9, "moons": 0.99}[data]
    run = tw.fit("mlp", data, recipe.replace(**fault), out=tmp_path / "run")
    (repair,) = run.repairs
    assert field in repair.change
    assert repair.before[field] == recipe.replace(**fault).__getattribute__(field)
    assert getattr(run.recipe, field) == repair.change[field]
    assert repair.replays["end_with"] < 0.9 * repair.replays["start"]
    assert repair.status == "in force"
    assert run.metrics["test_accuracy"] > healthy - 0.025
    assert not [f for f in run.findings if f.severity == "error"]
    assert len(told(tmp_path / "run", "repaired")) == 1


def test_a_repair_from_the_start_is_the_training_that_the_new_recipe_gives(tmp_path: Path) -> None:
    run = tw.fit("mlp", "iris", IRIS.replace(learning_rate=1e4), out=tmp_path / "run")
    assert run.repairs[0].goes_on_from == 0
    again = tw.fit("mlp", "iris", run.recipe.replace(repair=0), out=tmp_path / "again")
    assert again.weights_sha256 == run.weights_sha256
    assert [row["kind"] for row in again.history] == [row["kind"] for row in run.history]


class Normed(nn.Module):
    """Its loss stays finite while its running statistics overflow."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Linear(16, 16), nn.BatchNorm1d(16)
        )
        self.out = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.layers(x)))


def test_weights_that_cannot_be_saved_are_a_divergence_like_any_other(tmp_path: Path) -> None:
    wild = IRIS.replace(learning_rate=1e4, warmup=0.0)
    with pytest.raises(NonFiniteWeightsError):
        tw.fit(Normed(), "iris", wild.replace(repair=0), out=tmp_path / "plain")
    found = RunFolder.open(tmp_path / "plain").read_findings()
    assert "exploding_or_nan" in {row["code"] for row in found}
    run = tw.fit(Normed(), "iris", wild.replace(repair=3), out=tmp_path / "run")
    assert run.repairs and run.metrics["test_accuracy"] > 0.85


def test_a_healthy_run_is_the_same_to_the_bit_with_and_without_repair(tmp_path: Path) -> None:
    mending = tw.fit("mlp", "digits", DIGITS.replace(epochs=5), out=tmp_path / "mending")
    plain = tw.fit("mlp", "digits", DIGITS.replace(epochs=5, repair=0), out=tmp_path / "plain")
    assert mending.weights_sha256 == plain.weights_sha256
    assert mending.history == plain.history
    assert mending.repairs == []
    assert not (tmp_path / "mending" / "repairs.json").exists()


class Cut:
    """Leaves a training in the middle of an epoch, once it was repaired."""

    def __init__(self) -> None:
        self.starts = 0

    def started(self, progress: Progress) -> None:
        self.starts += 1
        self.notes = progress.notes

    def stepped(self, reading: Mapping[str, Any]) -> None:
        if self.starts == 2 and reading["kind"] == "window" and reading["step"] > 40:
            raise RuntimeError("cut")

    def epoch_ended(self, reading: Mapping[str, Any]) -> None: ...

    def found(self, finding: Finding) -> None: ...

    def ended(self, reason: str) -> None: ...


def test_a_run_resumed_after_a_repair_ends_in_the_same_bits(tmp_path: Path) -> None:
    recipe = IRIS.replace(learning_rate=1e4, checkpoint_every=30, window=4)
    whole = tw.fit("mlp", "iris", recipe, out=tmp_path / "whole")
    cut = Cut()
    with pytest.raises(RuntimeError, match="cut"):
        tw.fit("mlp", "iris", recipe, out=tmp_path / "run", observers=[cut])
    assert "repair 1 of lr_too_high" in cut.notes[0]
    run = tw.resume(tmp_path / "run")
    assert "resumed at step 30" in told(tmp_path / "run", "resumed")
    assert run.weights_sha256 == whole.weights_sha256
    assert run.history == whole.history
    for repair, same in zip(run.repairs, whole.repairs, strict=True):
        assert (repair.change, repair.replays) == (same.change, same.replays)
        assert repair.valid_loss_after == same.valid_loss_after


def test_a_training_that_had_learned_goes_on_from_its_last_good_state(tmp_path: Path) -> None:
    rising = {"learning_rate": 1.0, "warmup": 0.95, "checkpoint_every": 50, "keep": 20}
    recipe = tw.Recipe(epochs=60, batch_size=32, optimizer="sgd", repair=3, **rising)
    run = tw.fit("linear_regression", "diabetes", recipe, out=tmp_path / "run")
    repair = run.repairs[0]
    assert 0 < repair.goes_on_from < repair.found_at
    assert run.metrics["valid_r2"] > 0.4
    assert (tmp_path / "run" / "metrics.superseded.jsonl").exists()
    steps = [row["step"] for row in run.history if row["kind"] == "epoch"]
    assert steps == sorted(set(steps)) and len(steps) == 60


class Dead(nn.Module):
    """Its units are dead from the first: no rate brings them back."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(64, 32), nn.Linear(32, 10)
        for number, parameter in enumerate(self.parameters()):
            torch.manual_seed(number)
            nn.init.normal_(parameter, std=0.1)
        nn.init.constant_(self.hidden.bias, -100.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(x.flatten(1))))


class Huge(Dead):
    """Its first weights are far too large, which no recipe mends."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            self.hidden.bias.zero_()
            self.out.weight *= 3e4


@pytest.mark.parametrize(
    ("model", "code", "reason"),
    [
        (Dead, "dying_relu", "no replay proved a remedy"),
        (Huge, "bad_init", "takes more than a change of the recipe"),
    ],
)
def test_where_nothing_is_proved_the_training_goes_on_as_it_was_and_says_so(
    model: type[nn.Module], code: str, reason: str, tmp_path: Path
) -> None:
    run = tw.fit(model(), "digits", DIGITS, out=tmp_path / "run")
    plain = tw.fit(model(), "digits", DIGITS.replace(repair=0), out=tmp_path / "plain")
    assert run.findings[0].code == code
    assert run.repairs == []
    assert run.weights_sha256 == plain.weights_sha256
    (message,) = told(tmp_path / "run", NOT_REPAIRED)
    assert message.startswith(code) and reason in message


def test_the_recipe_is_changed_no_more_often_than_it_says(tmp_path: Path) -> None:
    two_faults: dict[str, Any] = {"optimizer": "momentum", "momentum": 0.99, "learning_rate": 1e3}
    two_faults["weight_decay"] = 3.0
    run = tw.fit("mlp", "iris", IRIS.replace(**two_faults), out=tmp_path / "run")
    # What is found when depends on how much time there is to look.
    assert set(run.repairs[0].change) == {"learning_rate"}
    assert 2 <= len(run.repairs) <= 3
    once = IRIS.replace(**two_faults, repair=1)
    run = tw.fit("mlp", "iris", once, out=tmp_path / "once")
    assert len(run.repairs) == 1
    assert "changed 1 times already" in told(tmp_path / "once", NOT_REPAIRED)[-1]


def test_a_fault_that_lasts_is_the_error_that_it_is_without_repair(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError):
        tw.fit("mlp", "iris", IRIS.replace(learning_rate=1e4, repair=0), out=tmp_path / "run")
    assert read_repairs(RunFolder.open(tmp_path / "run")) == []


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A healthy run at its end, before anything is evaluated."""
    folder = tmp_path_factory.mktemp("ended") / "run"
    tw.fit("mlp", "iris", IRIS.replace(epochs=10, repair=1), out=folder)
    return folder


def harmful(folder: RunFolder) -> Repair:
    """A repair that makes the training worse."""
    epochs = [row for row in folder.read_metrics() if row["kind"] == "epoch"]
    return Repair(
        number=1,
        finding=Finding("lr_too_high", "warning", cause="Large steps."),
        change={"learning_rate": 1e-7},
        before={"learning_rate": 0.1},
        proof="with learning_rate = 1e-07 the loss stays",
        replays={"steps": 60, "start": 1.0, "end_without": 1.0, "end_with": 0.9},
        found_at=epochs[-1]["step"],
        goes_on_from=0,
        had_ended=True,
        valid_loss_before=epochs[-1]["valid_loss"],
    )


def before_evaluation(ended: Path, path: Path, disk: Any = FAST) -> RunFolder:
    shutil.copytree(ended, path)
    for name in ("result.json", "evaluation.json"):
        (path / name).unlink()
    folder = RunFolder.open(path)
    with folder.open_metrics() as metrics:
        metrics.cut(sum(row["kind"] != "final" for row in folder.read_metrics()))
    return RunFolder(path, disk)


def test_a_repair_that_does_not_help_is_taken_back(ended: Path, tmp_path: Path) -> None:
    folder = before_evaluation(ended, tmp_path / "run")
    with folder.lock():
        start_repair(folder, harmful(folder))
    run, before = tw.resume(tmp_path / "run"), tw.load_run(ended)
    (repair,) = run.repairs
    assert repair.status == "taken back"
    assert repair.valid_loss_before < repair.valid_loss_after
    assert "It did not help" in str(repair) and "taken back" in str(repair)
    assert run.weights_sha256 == before.weights_sha256
    assert run.history == before.history
    assert run.recipe == before.recipe
    assert run.metrics == before.metrics


def test_a_kill_while_a_run_goes_back_is_made_good(ended: Path) -> None:
    """The disk fails at every second operation in turn, which leaves what a kill leaves."""
    with memory_folder() as place:
        rates = {
            (action.__name__, rate)
            for action in (start_repair, take_back)
            for rate in fail_everywhere(action, ended, place)
        }
    # Before the intention is written down nothing has happened; from then on it is carried out.
    assert rates == {(a, r) for a in ("start_repair", "take_back") for r in (0.1, 1e-7)}


def fail_everywhere(action: Callable[..., object], ended: Path, place: Path) -> set[float | None]:
    """The learning rates of the recipes that are found once a failed action was made good."""
    rates: set[float | None] = set()
    fail_at, has_failed = 1, True
    while has_failed:
        path = place / f"{action.__name__}-{fail_at}"
        folder = before_evaluation(ended, path)
        repair = harmful(folder)
        if action is take_back:
            start_repair(folder, repair)
            (repair,) = read_repairs(folder)
        disk = FailingDisk(fail_at, errno.EIO)
        with contextlib.suppress(tw.TrainwellError, OSError):
            action(RunFolder(path, disk), repair)
        has_failed = disk.has_failed
        with folder.lock():
            finish_going_back(folder)
        recipe = Recipe.from_toml(folder.read_text("recipe.toml"))
        found = newest_checkpoint(folder.checkpoints)
        assert found is not None and not found[1]
        assert found[0].fingerprints["recipe"] == digest_recipe(recipe)
        is_changed = recipe.learning_rate == 1e-7
        assert found[0].step == (0 if is_changed else repair.found_at)
        assert all(r.status in ("in force", "taken back") for r in read_repairs(folder))
        rates.add(recipe.learning_rate)
        shutil.rmtree(path)
        fail_at += 2
    return rates


def test_a_repair_reads_well_and_is_written_as_it_is_read(ended: Path) -> None:
    folder = RunFolder.open(ended)
    repair = dataclasses.replace(harmful(folder), valid_loss_before=0.4, valid_loss_after=0.5)
    assert Repair.from_dict(json.loads(json.dumps(repair.to_dict()))) == repair
    assert str(repair).startswith("repair 1 of lr_too_high: learning_rate 0.1 → 1e-07, since with")
    assert "It did not help: the validation loss was 0.4 before and is 0.5 with it" in str(repair)


def test_the_command_repairs_and_report_and_json_tell_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", "iris", "--model", "mlp", "--epochs", "40", "--set", "optimizer=sgd"]
    words += ["--set", "learning_rate=1e4", "--set", "batch_size=16", "--out", str(tmp_path / "r")]
    assert main([*words, "--repair", "--json"]) == 0
    printed = capsys.readouterr()
    (repair,) = json.loads(printed.out)["repairs"]
    assert repair["finding"]["code"] == "lr_too_high"
    assert repair["change"].keys() == {"learning_rate"}
    assert "note: repair 1 of lr_too_high: learning_rate 1e+04 →" in printed.err
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Repairs</h2>" in page and "learning_rate 1e+04 →" in page
    assert main([*words[:-1], str(tmp_path / "s")]) == 1
    assert "<h2>Repairs</h2>" not in (tmp_path / "s" / "report.html").read_text(encoding="utf-8")
    assert main([*words, "--repair", "--explain"]) == 0
    assert "repair" in capsys.readouterr().out


def test_a_damaged_list_of_repairs_is_named(ended: Path, tmp_path: Path) -> None:
    shutil.copytree(ended, tmp_path / "run")
    (tmp_path / "run" / "repairs.json").write_text('{"repairs": [{"number": 1}]}')
    with pytest.raises(RunFolderError, match=r"repairs\.json"):
        _ = tw.load_run(tmp_path / "run").repairs
