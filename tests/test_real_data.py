"""The main job on real data: the figures that the project promises, each by its own command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import trainwell as tw
from trainwell.cli.main import main


def fit(capfd: pytest.CaptureFixture[str], *words: str) -> dict[str, float]:
    capfd.readouterr()
    assert main(["fit", *words, "--json"]) == 0
    return json.loads(capfd.readouterr().out)["metrics"]


def test_digits_reach_97_percent_with_no_option(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert fit(capfd, "digits", "--out", str(tmp_path / "r"))["test_accuracy"] >= 0.97


def test_mnist_is_read_whole_and_has_the_published_moments(shared_data: Path) -> None:
    data = tw.load(shared_data / "mnist")
    assert data.test is not None
    assert [len(s) for s in (data.train, data.valid, data.test)] == [54_000, 6_000, 10_000]
    assert data.input_shape == (1, 28, 28)
    assert isinstance(data.train.inputs, torch.Tensor)
    assert data.train.inputs.dtype == torch.uint8
    pixels = data.train.inputs.float() / 255
    assert pixels.mean().item() == pytest.approx(0.1307, abs=5e-4)
    assert pixels.std().item() == pytest.approx(0.3081, abs=5e-4)
    seen = data.preprocess(data.train.inputs)
    assert seen.mean().item() == pytest.approx(0, abs=1e-4)
    assert seen.std().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_mnist_reaches_98_2_percent_with_no_option_but_the_path(
    shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    metrics = fit(capfd, str(shared_data / "mnist"), "--out", str(tmp_path / "r"))
    assert metrics["test_accuracy"] >= 0.982


@pytest.mark.slow
def test_lenet_5_reaches_99_2_percent_of_mnist_in_12_epochs_with_no_option(
    shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    metrics = fit(capfd, str(shared_data / "mnist"), "--model", "lenet5", "--out", str(out))
    assert tw.load_run(out).recipe.epochs == 12
    assert metrics["test_accuracy"] >= 0.992


@pytest.mark.slow
def test_cifar_10_is_read_with_its_class_names_and_resnet20_reaches_60_percent_in_3_epochs(
    shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, out = str(shared_data / "cifar10"), str(tmp_path / "r")
    metrics = fit(capfd, path, "--model", "resnet20", "--epochs", "3", "--out", out)
    about = tw.load_run(out).about["data"]
    assert about["sizes"] == {"train": 45_000, "valid": 5_000, "test": 10_000}
    assert about["classes"][:3] == ["airplane", "automobile", "bird"]
    assert about["input_shape"] == [3, 32, 32]
    assert metrics["test_accuracy"] >= 0.6
