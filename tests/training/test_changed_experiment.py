"""A resumed run notices what changed since it was started (B14); one that has ended says so."""

from __future__ import annotations

import functools
import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional

import trainwell as tw
from trainwell.errors import Interrupted, ModelError, RecipeError, RunFolderError
from trainwell.training.fingerprint import fingerprint, list_changes
from trainwell.training.observer import Progress
from trainwell.training.own_code import describe_code, describe_model

RECIPE = tw.Recipe(epochs=3, batch_size=32, window=2)


class StopAtOnce:
    """Asks the training to stop before its first step."""

    def started(self, progress: Progress) -> None:
        signal.raise_signal(signal.SIGTERM)

    def stepped(self, reading: Mapping[str, Any]) -> None: ...
    def epoch_ended(self, reading: Mapping[str, Any]) -> None: ...
    def ended(self, reason: str) -> None: ...


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def change_forward() -> nn.Module:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * self.layer(x)

    return Scaled()


def smoothed(outputs: torch.Tensor, targets: torch.Tensor, amount: float = 0.1) -> torch.Tensor:
    return functional.cross_entropy(outputs, targets, label_smoothing=amount)


def start(folder: Path, model: nn.Module | str = "mlp", data: Any = "iris", **given: Any) -> Path:
    with pytest.raises(Interrupted):
        tw.fit(model, data, RECIPE, out=folder, observers=[StopAtOnce()], **given)
    return folder


def test_b14_another_loss_is_refused_and_a_missing_one_named(tmp_path: Path) -> None:
    folder = start(tmp_path / "run", loss_fn=smoothed)
    with pytest.raises(ModelError, match=r"loss of your own, smoothed.*loss_fn=\.\.\."):
        tw.resume(folder)
    with pytest.raises(RunFolderError, match="loss changed"):
        tw.resume(folder, loss_fn=functools.partial(smoothed, amount=0.2))
    run = tw.resume(folder, loss_fn=smoothed)
    assert run.result["epochs"] == 3
    with pytest.raises(ModelError, match="loss of your own"):
        tw.load_run(folder).evaluate("valid")
    again = tw.load_run(folder, loss_fn=smoothed).evaluate("valid")
    assert again["valid_loss"] == run.metrics["valid_loss"]


def test_b14_a_loss_given_only_to_the_resumed_run_is_refused(tmp_path: Path) -> None:
    folder = start(tmp_path / "run")
    with pytest.raises(RunFolderError, match="loss changed"):
        tw.resume(folder, loss_fn=smoothed)


def test_b14_changed_code_of_the_users_own_model_is_refused(tmp_path: Path) -> None:
    folder = start(tmp_path / "run", Scaled())
    with pytest.raises(RunFolderError, match="model code changed"):
        tw.resume(folder, model=change_forward())
    assert tw.resume(folder, model=Scaled()).result["epochs"] == 3


def test_b14_a_layer_without_weights_that_changed_is_noticed() -> None:
    one = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.1))
    assert describe_model(one) != describe_model(nn.Sequential(one[0], nn.Tanh(), one[2]))
    assert describe_model(one) != describe_model(nn.Sequential(one[0], one[1], nn.Dropout(0.2)))
    same = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.1))
    assert describe_model(one) == describe_model(same)


@pytest.mark.parametrize(
    "make",
    [
        lambda amount: functools.partial(smoothed, amount=amount),
        lambda amount: nn.CrossEntropyLoss(label_smoothing=amount),
        lambda amount: nn.CrossEntropyLoss(weight=torch.full((3,), amount)),
        lambda amount: lambda outputs, targets: smoothed(outputs, targets, amount),
    ],
)
def test_b14_settings_of_a_loss_are_part_of_it(make: Callable[[float], Any]) -> None:
    assert describe_code(make(0.1)) == describe_code(make(0.1))
    assert describe_code(make(0.1)) != describe_code(make(0.2))


def test_b14_changed_preprocessing_is_noticed() -> None:
    x = numpy.random.default_rng(0).normal(size=(60, 4))
    data = (x, (x[:, 0] > 0).astype(int))
    prints = [
        fingerprint(tw.Recipe(), nn.Linear(4, 1), tw.load(data, preprocess=steps))
        for steps in (["centre"], ["centre", "scale"])
    ]
    assert list_changes(*prints) == ["preprocessing"]


@pytest.mark.parametrize("name", ["numpy", "python", "trainwell", "torch"])
def test_b14_another_version_of_what_computes_is_refused(name: str, tmp_path: Path) -> None:
    folder = start(tmp_path / "run")
    about = json.loads((folder / "run.json").read_text())
    about["environment"][name] = "0.0.1"
    (folder / "run.json").write_text(json.dumps(about))
    with pytest.raises(RunFolderError, match=rf"{name} \(0\.0\.1, now"):
        tw.resume(folder)
    assert tw.resume(folder, allow_change=True).result["epochs"] == 3


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ended") / "run"
    tw.fit(Scaled(), "iris", RECIPE, out=folder)
    return folder


def test_settings_of_a_run_that_has_ended_are_refused_naming_start_from(ended: Path) -> None:
    with pytest.raises(RunFolderError, match=rf"has ended.*start_from={ended}"):
        tw.resume(ended, model=Scaled(), settings={"epochs": "50"}, allow_change=True)
    with pytest.raises(RecipeError, match="no field 'rubbish'"):
        tw.resume(ended, model=Scaled(), settings={"rubbish": "1"})
    assert tw.resume(ended, model=Scaled(), settings={"epochs": "3"}).result["epochs"] == 3


def test_a_recipe_edited_after_the_end_is_refused(ended: Path, tmp_path: Path) -> None:
    text = (ended / "recipe.toml").read_text()
    try:
        (ended / "recipe.toml").write_text(text.replace("epochs = 3", "epochs = 50"))
        with pytest.raises(RunFolderError, match="has ended"):
            tw.resume(ended, model=Scaled())
    finally:
        (ended / "recipe.toml").write_text(text)


def test_a_model_of_another_shape_is_refused_naming_the_tensor(ended: Path) -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 7)

    for open_run in (tw.resume, tw.load_run):
        with pytest.raises(ModelError, match=r"do not fit the model: size mismatch for layer\."):
            open_run(ended, model=Wide())


def test_a_run_that_has_ended_resumes_although_its_data_is_gone(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("u,v,target\n" + "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(60)))
    tw.fit("mlp", table, RECIPE, out=tmp_path / "run")
    table.unlink()
    assert tw.resume(tmp_path / "run").result["epochs"] == 3


def test_a_field_opened_again_is_filled_as_for_a_new_run(tmp_path: Path) -> None:
    folder = start(tmp_path / "run")
    run = tw.resume(folder, settings={"batch_size": "none"}, allow_change=True)
    assert run.recipe.batch_size == 16
