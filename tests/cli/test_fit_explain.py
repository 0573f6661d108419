"""`trainwell fit --explain`: what a run would do and why, without doing it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import trainwell as tw
from trainwell.cli.main import main
from trainwell.report.blocks import EIGHTHS, draw_blocks


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_value_is_printed_with_its_source_and_nothing_is_trained_or_written(
    empty_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", "digits", "--model", "plain20", "--set", "momentum=0.8", "--explain"]
    assert main([*words, "--out", "run"]) == 0
    out, error = capfd.readouterr()
    for field in dataclasses.fields(tw.Recipe):
        assert f"\n  {field.name} " in out
    for source in (
        "given by you",
        "suits the model plain20 (He et al. 2015)",
        "usual for nesterov",
        "trainwell's default",
    ):
        assert f"\n{source}\n" in out
    assert "momentum           0.8" in out
    assert error == ""
    assert list(empty_folder.iterdir()) == []


def test_the_planned_rate_is_drawn_with_its_start_highest_and_end(
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = ["fit", "iris", "--epochs", "20", "--set", "learning_rate=0.25", "--explain"]
    assert main([*words, "--set", "schedule=step(factor=0.5)"]) == 0
    out = capfd.readouterr().out
    assert any(block in out for block in EIGHTHS[1:])
    assert "highest 0.25, ends at 0.0625" in out
    assert "decays by a factor of 4 by the end; about 100 or more is advised." in out


def test_json_gives_value_source_and_reason_of_every_field(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["fit", "digits", "--seed", "3", "--explain", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert set(document) == {field.name for field in dataclasses.fields(tw.Recipe)}
    assert document["seed"]["value"] == 3
    assert document["seed"]["source"] == "given by you"
    assert all(set(choice) == {"value", "source", "reason"} for choice in document.values())


def test_what_could_not_be_trained_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "iris", "--model", "resnet20", "--explain"]) == 2
    assert "error:" in capfd.readouterr().err


def test_blocks_fill_the_height_at_the_highest_value_and_show_whatever_is_above_zero() -> None:
    rows = draw_blocks([0.0, 1e-9, 0.5, 1.0], width=4, height=2)
    assert rows == ["   █", " ▁██"]
    assert draw_blocks([0.0], width=3, height=1) == ["   "]
