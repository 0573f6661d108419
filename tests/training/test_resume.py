"""Stopping and resuming: signals, changed experiments, damaged checkpoints, state that is kept."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

import trainwell as tw
from tests.training.noisy_runs import RECIPE, Noisy, outcome
from trainwell.errors import CheckpointError, DataError, Interrupted, ModelError, RunFolderError
from trainwell.training.checkpoint import list_checkpoints
from trainwell.training.observer import Progress
from trainwell.training.signals import StopRequest


class SignalAt:
    """Sends a signal to this process when a reading of a step comes by."""

    def __init__(self, step: int, number: signal.Signals) -> None:
        self.step, self.number = step, number

    def started(self, progress: Progress) -> None:
        if self.step == 0:
            signal.raise_signal(self.number)

    def stepped(self, reading: Mapping[str, Any]) -> None:
        if reading["step"] == self.step and reading["kind"] == "window":
            signal.raise_signal(self.number)

    def epoch_ended(self, reading: Mapping[str, Any]) -> None:
        pass

    def ended(self, reason: str) -> None:
        pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    tw.fit(Noisy(), "blobs", RECIPE, out=folder)
    return folder, outcome(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("step", [0, 4, 11, 22, 55])
def test_c1_c3_a_signal_in_any_phase_saves_and_the_resumed_run_ends_bit_identical(
    number: signal.Signals, step: int, whole: tuple[Path, object], tmp_path: Path
) -> None:
    before = signal.getsignal(number)
    try:
        tw.fit(Noisy(), "blobs", RECIPE, out=tmp_path / "run", observers=[SignalAt(step, number)])
    except Interrupted as stopped:
        assert stopped.signal_number == number
        assert f"trainwell resume {tmp_path / 'run'}" in str(stopped)
    assert signal.getsignal(number) is before
    tw.resume(tmp_path / "run", model=Noisy())
    assert outcome(tmp_path / "run") == whole[1]


def test_c2_a_second_ctrl_c_leaves_at_once() -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_raised
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_fit_works_in_a_thread_where_no_signal_can_be_caught(tmp_path: Path) -> None:
    runs = []
    thread = threading.Thread(
        target=lambda: runs.append(tw.fit("mlp", "iris", tw.Recipe(epochs=1), out=tmp_path / "r"))
    )
    thread.start()
    thread.join()
    assert runs[0].metrics["train_loss"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_c1_c3_the_command_line_stops_with_the_signals_status_and_names_the_resume_command(
    number: signal.Signals, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "trainwell", "fit", "spirals", "--epochs", "100000"]
    process = subprocess.Popen([*command, "--out", folder], stderr=subprocess.PIPE, text=True)
    while not (folder / "metrics.jsonl").exists() or (folder / "metrics.jsonl").stat().st_size == 0:
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"trainwell resume {folder}" in message
    assert "Traceback" not in message


def test_a_finished_run_resumes_to_itself(whole: tuple[Path, object]) -> None:
    tw.resume(whole[0], model=Noisy())
    assert outcome(whole[0]) == whole[1]


def interrupted_run(folder: Path, step: int = 22) -> Path:
    with pytest.raises(Interrupted):
        tw.fit(Noisy(), "blobs", RECIPE, out=folder, observers=[SignalAt(step, signal.SIGTERM)])
    return folder


def test_a19_a_moved_or_packed_run_folder_resumes_bit_identical(
    whole: tuple[Path, object], tmp_path: Path
) -> None:
    first = interrupted_run(tmp_path / "first")
    with tarfile.open(tmp_path / "packed.tar", "w") as archive:
        archive.add(first, arcname="elsewhere")
    shutil.rmtree(first)
    with tarfile.open(tmp_path / "packed.tar") as archive:
        archive.extractall(tmp_path / "other", filter="data")
    tw.resume(tmp_path / "other" / "elsewhere", model=Noisy())
    assert outcome(tmp_path / "other" / "elsewhere") == whole[1]


def test_a18_files_dated_before_and_after_each_other_change_nothing(
    whole: tuple[Path, object], tmp_path: Path
) -> None:
    folder = interrupted_run(tmp_path / "run")
    for days, path in enumerate(sorted(folder.rglob("*"))):
        then = time.time() + (-1) ** days * 86400
        os.utime(path, (then, then))
    tw.resume(folder, model=Noisy())
    assert outcome(folder) == whole[1]


def test_a10_a_damaged_newest_checkpoint_falls_back_to_the_one_before_and_says_so(
    whole: tuple[Path, object], tmp_path: Path
) -> None:
    folder = interrupted_run(tmp_path / "run")
    newest = list_checkpoints(folder / "checkpoints")[0]
    weights = newest / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    run = tw.resume(folder, model=Noisy())
    assert outcome(folder) == whole[1]
    events = [e for e in run.run_folder.read_events() if e["event"] == "damaged_checkpoint"]
    assert newest.name in events[0]["message"]


def test_a13_when_every_checkpoint_is_damaged_each_is_named_and_nothing_starts_from_zero(
    tmp_path: Path,
) -> None:
    folder = interrupted_run(tmp_path / "run")
    paths = list_checkpoints(folder / "checkpoints")
    for path in paths:
        (path / "state.json").write_bytes(b"{}")
    with pytest.raises(CheckpointError) as caught:
        tw.resume(folder, model=Noisy())
    assert all(path.name in str(caught.value) for path in paths)


def test_b14_a_changed_recipe_is_refused_unless_allowed(tmp_path: Path) -> None:
    folder = interrupted_run(tmp_path / "run")
    text = (folder / "recipe.toml").read_text()
    (folder / "recipe.toml").write_text(text.replace("seed = 3", "seed = 4"))
    with pytest.raises(RunFolderError, match=r"recipe changed.*--allow-change"):
        tw.resume(folder, model=Noisy())
    run = tw.resume(folder, model=Noisy(), allow_change=True)
    assert any(event["event"] == "changed" for event in run.run_folder.read_events())


def test_b14_more_epochs_need_permission_and_then_are_trained(tmp_path: Path) -> None:
    folder = interrupted_run(tmp_path / "run")
    with pytest.raises(RunFolderError, match="recipe changed"):
        tw.resume(folder, model=Noisy(), settings={"epochs": "6"})
    run = tw.resume(folder, model=Noisy(), settings={"epochs": "6"}, allow_change=True)
    assert run.result["epochs"] == 6
    assert run.recipe.epochs == 6


def test_b14_changed_settings_of_the_optimiser_are_those_that_train_on(tmp_path: Path) -> None:
    ends = {}
    for name, settings in {"as_it_was": {}, "changed": {"momentum": "0.1"}}.items():
        folder = interrupted_run(tmp_path / name)
        run = tw.resume(folder, model=Noisy(), settings=settings, allow_change=True)
        ends[name] = run.weights_sha256
    assert ends["changed"] != ends["as_it_was"]


def test_b14_b16_changed_data_and_a_changed_split_are_refused(tmp_path: Path) -> None:
    x = numpy.random.default_rng(0).normal(size=(100, 2))
    y = (x[:, 0] > 0).astype(int)
    folder = tmp_path / "run"
    recipe = tw.Recipe(epochs=20, window=2, batch_size=32)
    with pytest.raises(Interrupted):
        tw.fit("mlp", (x, y), recipe, out=folder, observers=[SignalAt(5, signal.SIGTERM)])
    with pytest.raises(DataError, match="Python objects"):
        tw.resume(folder)
    with pytest.raises(RunFolderError, match="data changed"):
        tw.resume(folder, data=(x + 1e-9, y))
    with pytest.raises(RunFolderError, match="split changed"):
        tw.resume(folder, data=tw.load((x, y), seed=1))
    assert tw.resume(folder, data=(x, y)).result["epochs"] == 20


def test_b14_d12_a_changed_source_file_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    rows = "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(200))
    table.write_text("u,v,target\n" + rows)
    folder = tmp_path / "run"
    recipe = tw.Recipe(epochs=20, window=2)
    with pytest.raises(Interrupted):
        tw.fit("mlp", table, recipe, out=folder, observers=[SignalAt(4, signal.SIGTERM)])
    table.write_text("u,v,target\n" + rows.replace("7,0,b", "7,1,b", 1))
    with pytest.raises(DataError, match="changed since"):
        tw.resume(folder)
    table.unlink()
    with pytest.raises(DataError, match=r"table\.csv"):
        tw.resume(folder)


def test_e3_a_run_folder_never_says_what_code_to_import(tmp_path: Path) -> None:
    folder = interrupted_run(tmp_path / "run")
    with pytest.raises(ModelError, match=r"--model package\.module:function"):
        tw.resume(folder)


def test_a15_a_run_in_use_is_refused_naming_the_holder(tmp_path: Path) -> None:
    class Intruder(SignalAt):
        def stepped(self, reading: Mapping[str, Any]) -> None:
            with pytest.raises(RunFolderError, match=f"process {os.getpid()}"):
                tw.resume(tmp_path / "run")
            self.tried = True

    intruder = Intruder(0, signal.SIGTERM)
    intruder.started = lambda progress: None  # type: ignore[method-assign]
    tw.fit("mlp", "iris", tw.Recipe(epochs=1), out=tmp_path / "run", observers=[intruder])
    assert intruder.tried


def test_b14_the_torch_version_and_the_device_are_part_of_what_may_not_change(
    tmp_path: Path,
) -> None:
    folder = interrupted_run(tmp_path / "run")
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace(torch.__version__, "1.0.0"))
    with pytest.raises(RunFolderError, match=r"torch \(1\.0\.0, now"):
        tw.resume(folder, model=Noisy())
