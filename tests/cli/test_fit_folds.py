"""`trainwell fit --folds`: cross-validation as a person or a script runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainwell.cli.main import main

FIT = ["fit", "iris", "--epochs", "2", "--folds", "3"]


def test_one_json_document_and_a_report_for_each_fold(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, "--out", str(tmp_path / "cv"), "--json"]) == 0
    out, error = capfd.readouterr()
    document = json.loads(out)
    assert document["cross_validation"] == str(tmp_path / "cv")
    assert len(document["scores"]) == 3
    assert document["interval"][0] <= document["mean"] <= document["interval"][1]
    assert [fold["state"] for fold in document["folds"]] == ["finished"] * 3
    assert "the test split is not read" in error
    assert "iris, fold 2 of 3" in error
    for fold in document["folds"]:
        page = (tmp_path / "cv" / fold["run"] / "report.html").read_text()
        assert f"fold {fold['fold']} of 3" in page


def test_resume_gives_what_was_given_before_and_trains_nothing_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "cv")
    assert main([*FIT, "--model", "mlp", "--option", "sizes=8", "--out", folder, "--json"]) == 0
    before = json.loads(capfd.readouterr().out)
    assert main(["resume", folder, "--json", "--no-report"]) == 0
    out, error = capfd.readouterr()
    assert json.loads(out) == before
    assert "training" not in error
    assert main(["resume", folder, "--set", "epochs=9"]) == 2
    assert "share one recipe" in capfd.readouterr().err


def test_a_stopped_command_names_the_folder_of_the_whole_and_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cv"
    words = ["fit", "iris", "--epochs", "100", "--folds", "2"]
    command = [sys.executable, "-m", "trainwell", *words, "--out", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    readings = folder / "fold-1" / "metrics.jsonl"
    while not readings.exists() or readings.stat().st_size == 0:
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert message.rstrip().endswith(f"trainwell resume {folder}")
    assert main(["resume", str(folder), "--no-report"]) == 0
    assert "resumed at step" in capfd.readouterr().err
    assert main([*words, "--out", str(tmp_path / "whole"), "--no-report"]) == 0
    results = [json.loads((at / "cross_validation.json").read_text()) for at in _both(tmp_path)]
    assert results[0] == results[1]


def _both(folder: Path) -> tuple[Path, Path]:
    return folder / "cv", folder / "whole"


def test_a_model_of_the_users_own_is_built_for_each_fold_and_asked_for_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine_by_fold.py").write_text(
        "from torch import nn\n"
        "def build(data):\n"
        "    return nn.Linear(data.input_shape[0], len(data.classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = ["--model", "mine_by_fold:build"]
    assert main([*FIT, *own, "--out", "cv", "--no-report"]) == 0
    capfd.readouterr()
    assert main(["resume", "cv"]) == 2
    assert "--model package.module:function" in capfd.readouterr().err
    assert main(["resume", "cv", *own, "--no-report"]) == 0


def test_folds_that_diverge_are_reported_with_status_1(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", "line", "--folds", "2", "--out", str(tmp_path / "cv"), "--json"]
    wild = ["--set", "learning_rate=1e9", "--set", "optimizer=sgd", "--epochs", "50"]
    assert main([*words, *wild]) == 1
    out, error = capfd.readouterr()
    document = json.loads(out)
    assert [fold["state"] for fold in document["folds"]] == ["failed", "failed"]
    assert document["mean"] is None
    assert "error: fold 1:" in error and "error: fold 2:" in error
    assert "exploding_or_nan" in (tmp_path / "cv" / "fold-2" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["iris", "--folds", "1"], "1 folds are no cross-validation"),
        (["iris", "--folds", "1000"], "too few for 1000 folds"),
        (["iris", "--folds", "2", "--explain"], "Give one of the two"),
    ],
)
def test_folds_that_cannot_be_are_refused(
    words: list[str], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *words, "--out", str(tmp_path / "cv")]) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "cv").exists()
