"""What fails while it is trained is told in one message, and the run stays whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

import trainwell as tw
from trainwell.errors import DataError, ModelError, RecipeError, TrainwellError
from trainwell.training.observer import Progress

RECIPE = tw.Recipe(epochs=4, batch_size=16, checkpoint_every=1, check=False)


class Failing(nn.Module):
    """Does something in one training step or validation, and is sound before and after."""

    def __init__(self, call: int = 7, *, training: bool = True) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.call, self.when_training, self.calls = call, training, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training == self.when_training:
            self.calls += 1
            if self.calls == self.call:
                return self.fail(x)
        return self.layer(x)

    def fail(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("the roof is on fire\nsecond line")


class Cut(Failing):
    def fail(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).detach()


def test_a_model_that_fails_in_a_step_is_named_with_the_step_and_the_run_goes_on(
    tmp_path: Path,
) -> None:
    with pytest.raises(ModelError, match=r"^step 7: .*the roof is on fire\. Mend"):
        tw.fit(Failing(), "iris", RECIPE, out=tmp_path / "run")
    undisturbed = tw.fit(Failing(call=0), "iris", RECIPE, out=tmp_path / "whole")
    mended = tw.resume(tmp_path / "run", model=Failing(call=0))
    events = mended.run_folder.read_events()
    assert "the roof is on fire" in next(e for e in events if e["event"] == "failed")["message"]
    assert next(e for e in events if e["event"] == "resumed")["step"] == 6
    assert mended.result["epochs"] == 4
    assert mended.run_folder.read_events()[-1]["event"] == "epoch"
    assert mended.result["steps"] == undisturbed.result["steps"]


def test_a_model_that_fails_in_a_validation_is_named_with_the_epoch(tmp_path: Path) -> None:
    # It is tried out twice before.
    with pytest.raises(ModelError, match=r"validation after epoch 2: .*the roof is on fire"):
        tw.fit(Failing(call=4, training=False), "iris", RECIPE, out=tmp_path / "run")


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).detach()


class CutInEvaluation(Detached):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) if self.training else self.layer(x).detach()


def test_outputs_cut_off_from_the_parameters_are_refused_before_a_run_is_made(
    tmp_path: Path,
) -> None:
    with pytest.raises(ModelError, match="does not depend on any parameter"):
        tw.fit(Detached(), "iris", RECIPE, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    tw.fit(CutInEvaluation(), "iris", RECIPE.replace(epochs=1), out=tmp_path / "fine")


def test_outputs_cut_off_in_one_step_are_named_with_the_step(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"step 7: the loss does not depend on any parameter"):
        tw.fit(Cut(), "iris", RECIPE, out=tmp_path / "run")


@pytest.mark.parametrize("error", [KeyError("odd"), AssertionError(), ZeroDivisionError("odd")])
def test_whatever_a_model_raises_when_it_is_tried_out_is_one_message(
    error: Exception, tmp_path: Path
) -> None:
    class Raising(Detached):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise error

    with pytest.raises(ModelError, match=f"the model fails on inputs .*{type(error).__name__}"):
        tw.fit(Raising(), "iris", RECIPE, out=tmp_path / "run")


class Put(nn.Module):
    """Uses an operation that has no deterministic implementation."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = self.layer(x)
        place = torch.tensor([0])
        return outputs + torch.zeros(1).put_(place, torch.ones(1), accumulate=False)


def test_b13_deterministic_refuses_an_operation_by_name_and_is_undone_after_the_run(
    tmp_path: Path,
) -> None:
    recipe = RECIPE.replace(deterministic=True, epochs=1)
    with pytest.raises(RecipeError, match="put_ is not deterministic"):
        tw.fit(Put(), "iris", recipe, out=tmp_path / "refused")
    assert not torch.are_deterministic_algorithms_enabled()
    tw.fit(Put(), "iris", RECIPE.replace(epochs=1), out=tmp_path / "allowed")

    class Asks(Detached):
        seen: tuple[bool, ...] = ()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            Asks.seen += (torch.are_deterministic_algorithms_enabled(),)
            return self.layer(x)

    run = tw.fit(Asks(), "iris", recipe, out=tmp_path / "run")
    assert all(Asks.seen) and run.recipe.deterministic
    assert not torch.are_deterministic_algorithms_enabled()


class Items(Dataset[Any]):
    """Readable until a file is there: workers are other processes."""

    def __init__(self, broken: Path) -> None:
        self.broken = broken

    def __len__(self) -> int:
        return 60

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        if position == 17 and self.broken.exists():
            raise OSError(5, "Input/output error", "17.png")
        return torch.full((4,), position / 60), position % 2


class Breaks:
    """Breaks the data once the training has begun."""

    def __init__(self, broken: Path) -> None:
        self.broken = broken

    def started(self, progress: Progress) -> None:
        self.broken.touch()

    def stepped(self, reading: Mapping[str, Any]) -> None: ...
    def epoch_ended(self, reading: Mapping[str, Any]) -> None: ...
    def ended(self, reason: str) -> None:
        self.reason = reason


@pytest.mark.parametrize("workers", [0, 1])
def test_an_item_that_cannot_be_read_in_mid_run_is_named(workers: int, tmp_path: Path) -> None:
    data, breaks = Items(tmp_path / "broken"), Breaks(tmp_path / "broken")
    recipe, out = RECIPE.replace(workers=workers), tmp_path / "run"
    with pytest.raises(DataError, match=r"item 17 cannot be read: OSError: .*17\.png") as caught:
        tw.fit("mlp", data, recipe, out=out, observers=[breaks])
    assert "\n" not in str(caught.value)
    assert breaks.reason == "failed"
    (tmp_path / "broken").unlink()
    assert tw.resume(out, data=data).result["epochs"] == 4


class Deadly(Items):
    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        if self.broken.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(position)


def test_b17_a_worker_that_is_killed_is_told_and_the_run_goes_on(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    with pytest.raises(DataError, match=r"a process that reads data died: .*Use fewer workers"):
        tw.fit(
            "mlp",
            Deadly(broken),
            RECIPE.replace(workers=1),
            out=tmp_path / "run",
            observers=[Breaks(broken)],
        )
    broken.unlink()
    assert tw.resume(tmp_path / "run", data=Deadly(broken)).result["epochs"] == 4


def test_b11_an_empty_split_is_refused_before_the_training(tmp_path: Path) -> None:
    import dataclasses

    data = tw.load("iris")
    assert isinstance(data.valid.inputs, torch.Tensor)
    none = dataclasses.replace(
        data.valid,
        inputs=data.valid.inputs[:0],
        targets=data.valid.targets[:0],
        ids=data.valid.ids[:0],
    )
    with pytest.raises(DataError, match="validation split is empty"):
        tw.fit("mlp", dataclasses.replace(data, valid=none), RECIPE, out=tmp_path / "run")
    x = numpy.ones((30, 4))
    with pytest.raises(DataError, match="not a share between 0 and 1"):
        tw.load((x, numpy.arange(30) % 2), valid_fraction=0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, "iris"), "the model is a NoneType"),
        ((nn.Linear, "iris"), "the model is a type"),
        (("mlp", "iris", 3), "the recipe is a int"),
        (("mlp", "iris", {"epoch": 1}), "Did you mean 'epochs'"),
    ],
)
def test_arguments_of_another_kind_are_refused_clearly(
    arguments: tuple[Any, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(TrainwellError, match=message):
        tw.fit(*arguments, out=tmp_path / "run")


def test_a_mapping_is_a_recipe_and_numpy_numbers_are_numbers(tmp_path: Path) -> None:
    fields = {"epochs": numpy.int64(2), "learning_rate": numpy.float32(0.5)}
    run = tw.fit("mlp", "iris", fields, out=tmp_path / "run")
    assert (run.recipe.epochs, run.recipe.learning_rate) == (2, 0.5)
    assert type(run.recipe.epochs) is int
