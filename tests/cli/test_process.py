"""The command as a process: closed streams, signals before a training, and bugs of our own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import trainwell as tw
from trainwell.cli.main import main, run_safely
from trainwell.cli.process import leaving_on_signals

PROGRAM = f"{sys.executable} -m trainwell"


def test_a_bug_is_one_line_with_status_1_and_the_way_to_the_traceback(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def buggy() -> int:
        return {}["nothing"]

    monkeypatch.delenv("TRAINWELL_DEBUG", raising=False)
    assert run_safely(buggy) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "this is a bug in trainwell" in line
    assert "KeyError: 'nothing'" in line and "TRAINWELL_DEBUG=1" in line


def test_a_bug_shows_its_traceback_on_demand(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def buggy() -> int:
        raise RuntimeError("odd")

    monkeypatch.setenv("TRAINWELL_DEBUG", "1")
    assert run_safely(buggy) == 1
    error = capfd.readouterr().err
    assert "Traceback" in error and "in buggy" in error


def test_c5_a_closed_standard_error_does_not_stop_a_run(tmp_path: Path) -> None:
    command = f"{PROGRAM} fit iris --epochs 1 --no-report --out {tmp_path / 'run'} --json 2>&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("{")
    assert tw.load_run(tmp_path / "run").result["epochs"] == 1


def test_c5_a_list_of_models_that_is_cut_short_by_its_reader_is_no_failure() -> None:
    command = f"set -o pipefail; {PROGRAM} models | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "model" in done.stdout


def test_c3_sigterm_before_the_training_leaves_with_its_status_and_no_run(tmp_path: Path) -> None:
    (tmp_path / "slow_model_of_a_test.py").write_text(
        "import pathlib, time\n"
        "def build():\n"
        "    pathlib.Path('waiting').touch()\n"
        "    time.sleep(60)\n"
    )
    command = [*PROGRAM.split(), "fit", "iris", "--model", "slow_model_of_a_test:build"]
    process = subprocess.Popen(
        [*command, "--out", "run"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "waiting").exists():
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert error == "stopped by SIGTERM; what was saved is whole\n"
    assert not (tmp_path / "run").exists()


def test_c5_a_hang_up_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with leaving_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_have_their_handlers_back_after_a_command() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main(["fit", "digitz"]) == 2
    assert signal.getsignal(signal.SIGTERM) is before
