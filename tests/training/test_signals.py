"""A signal is honoured in a validation, in a save, and with processes that read (C3, C5)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import trainwell as tw
from tests.training.noisy_runs import RECIPE, Noisy, outcome
from trainwell.errors import Interrupted
from trainwell.training.checkpoint import list_checkpoints
from trainwell.training.retention import step_of
from trainwell.training.signals import StopRequest
from trainwell.training.storage import Disk

SHORT = RECIPE.replace(epochs=3, check=False)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("whole") / "run"
    tw.fit(Noisy(), "blobs", SHORT, out=folder)
    return outcome(folder)


def raise_in_evaluation(model: nn.Module, number: signal.Signals, call: int) -> None:
    """Sends a signal in a forward pass of a validation."""
    calls: list[int] = []

    def hook(module: nn.Module, args: Any, output: Any) -> None:
        if not module.training:
            calls.append(1)
            if len(calls) == call:
                signal.raise_signal(number)

    model.register_forward_hook(hook)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_c3_a_signal_in_a_validation_saves_and_the_run_ends_bit_identical(
    number: signal.Signals, expected: object, tmp_path: Path
) -> None:
    model = Noisy()
    # Two passes try the model out; the average, a copy, is validated after that.
    raise_in_evaluation(model, number, call=3)
    with pytest.raises(Interrupted):
        tw.fit(model, "blobs", SHORT, out=tmp_path / "run")
    assert step_of(list_checkpoints(tmp_path / "run" / "checkpoints")[0]) > 0
    tw.resume(tmp_path / "run", model=Noisy())
    assert outcome(tmp_path / "run") == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("operation", ["write_file", "rename", "sync_folder"])
def test_c3_c5_a_signal_in_a_save_leaves_it_whole_and_the_run_ends_bit_identical(
    number: signal.Signals,
    operation: str,
    expected: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = getattr(Disk, operation)
    hits: list[Path] = []

    def signalled(disk: Disk, path: Path, *rest: Any) -> Any:
        if "checkpoints" in path.parts and "run.json" in os.listdir(tmp_path / "run"):
            hits.append(path)
            if len(hits) == 1:
                signal.raise_signal(number)
        return plain(disk, path, *rest)

    monkeypatch.setattr(Disk, operation, signalled)
    with pytest.raises(Interrupted) as caught:
        tw.fit(Noisy(), "blobs", SHORT, out=tmp_path / "run")
    monkeypatch.undo()
    assert caught.value.signal_number == number
    assert hits
    tw.resume(tmp_path / "run", model=Noisy())
    assert outcome(tmp_path / "run") == expected


def test_c5_a_hang_up_that_is_ignored_does_not_stop_a_training() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_raised
    finally:
        signal.signal(signal.SIGHUP, before)


SCRIPT = """
import sys, torch, trainwell as tw
from trainwell.errors import Interrupted

class Items(torch.utils.data.Dataset):
    def __len__(self):
        return 200
    def __getitem__(self, position):
        return torch.full((4,), position / 200), position % 2

if sys.argv[1] == "fit":
    recipe = tw.Recipe(epochs=100000, workers=1, window=1, batch_size=16, early_stop=None)
    try:
        tw.fit("mlp", Items(), recipe, out="run")
    except Interrupted as stopped:
        sys.exit(128 + stopped.signal_number)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_c5_a_signal_to_the_whole_group_with_its_workers_saves(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "script.py", "fit"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not metrics.exists() or metrics.stat().st_size < 2000:
        time.sleep(0.05)
        assert process.poll() is None
    os.killpg(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (128 + number, "")
    rows = tw.load_run(tmp_path / "run").history
    steps = [row["step"] for row in rows if row["kind"] == "window"]
    assert steps == list(range(1, len(steps) + 1))
    assert step_of(list_checkpoints(tmp_path / "run" / "checkpoints")[0]) == steps[-1]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_worker_asked_twice_leaves(tmp_path: Path) -> None:
    """As torch and then Python ask a worker that is stuck."""
    code = (
        "import os, signal, time\n"
        "from trainwell.data.workers import leave_signals_to_the_parent\n"
        "leave_signals_to_the_parent(0)\n"
        "os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGTERM)\n"
        "print('still here', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "still here\n"
    assert done.returncode == 128 + signal.SIGTERM
