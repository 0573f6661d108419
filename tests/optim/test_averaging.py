"""Averages of weights: of what they are the mean, refreshed statistics, the choice at the end."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.errors import Interrupted, RecipeError
from trainwell.optim.averaging import (
    EpochAverage,
    ExponentialAverage,
    build_averaging,
    refresh_batch_norm,
)
from trainwell.training.checkpoint import newest_checkpoint

PLAIN = {"momentum": 0.0, "warmup": 0.0, "schedule": "constant", "learning_rate": 0.05}


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def normed_network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def move(model: nn.Module) -> None:
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p))
    model(torch.randn(16, 3))


def test_an_exponential_average_is_torchs() -> None:
    model = normed_network()
    ours = ExponentialAverage(model, 0.9)
    torchs = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True
    )
    for _ in range(10):
        move(model)
        ours.after_step()
        torchs.update_parameters(model)
    expected = torchs.module.state_dict()
    for name, tensor in ours.module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert tensor == model.state_dict()[name]
            continue
        assert torch.allclose(tensor.float(), expected[name].float(), atol=1e-6), name


def test_an_average_over_epochs_is_the_mean_and_counts_an_epoch_once() -> None:
    model = normed_network()
    average = EpochAverage(model, first_epoch=3)
    seen = []
    for epoch in range(1, 8):
        move(model)
        average.after_step()
        for _ in range(2):
            average.after_epoch(epoch)
        if epoch >= 3:
            seen.append(weights(model))
        assert average.has_weights == (epoch >= 3)
    assert torch.allclose(weights(average.module), torch.stack(seen).mean(0), atol=1e-5)


@pytest.mark.parametrize(
    ("described", "epochs", "first"),
    [("stochastic", 20, 16), ("stochastic(start=0.5)", 10, 6), ("checkpoints(last=3)", 10, 8)],
)
def test_an_average_begins_where_the_recipe_says(described: str, epochs: int, first: int) -> None:
    average = build_averaging(described)(nn.Linear(1, 1), epochs)
    assert isinstance(average, EpochAverage)
    assert average.first_epoch == first


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (1.0, "below 1"),
        ("exponental", "'exponential'"),
        ("stochastic(start=1)", "below 1"),
        ("checkpoints(last=0)", "at least 1"),
    ],
)
def test_an_average_that_cannot_be_is_refused(described: float | str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        tw.Recipe(average=described)


def test_refreshed_statistics_are_those_of_the_inputs() -> None:
    model, inputs = normed_network(), torch.randn(512, 3) * 5 + 2
    refresh_batch_norm(model, inputs.split(128))
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None
    assert norm.momentum == 0.1
    seen = model[0](inputs)
    assert torch.allclose(norm.running_mean, seen.mean(0), atol=1e-4)
    assert norm.running_var is not None
    assert torch.allclose(norm.running_var, seen.var(0), rtol=0.05)


def kept(run: tw.Run) -> str:
    events = run.run_folder.read_text("events.jsonl")
    return events[events.index("kept the") :].split(":")[0]


def test_the_average_of_the_last_epochs_is_kept_with_refreshed_statistics(tmp_path: Path) -> None:
    data = tw.load("digits")
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10)
    )
    # A rate at which single weights stay noisy.
    recipe = tw.Recipe(
        epochs=8, batch_size=16, average="checkpoints(last=5)", **{**PLAIN, "learning_rate": 1.0}
    )
    run = tw.fit(model, data, recipe, out=tmp_path / "run")
    assert kept(run) == "kept the averaged weights"
    found = newest_checkpoint(run.run_folder.checkpoints)
    assert found is not None
    tensors = found[0].tensors
    assert torch.equal(run.model.state_dict()["1.weight"], tensors["average"]["1.weight"])
    assert not torch.equal(tensors["weights"]["1.weight"], tensors["average"]["1.weight"])
    reopened = tw.load_run(run.folder, model=copy.deepcopy(model), data=data)
    assert torch.equal(weights(reopened.model), weights(run.model))
    assert reopened.evaluate("test")["test_loss"] == pytest.approx(run.metrics["test_loss"])


def test_an_average_that_validates_worse_is_not_kept(tmp_path: Path) -> None:
    data = tw.load("digits")
    # So slow an average that it has hardly left the initial weights.
    recipe = tw.Recipe(epochs=4, average=0.9999, batch_size=64, learning_rate=0.1)
    run = tw.fit("mlp", data, recipe, out=tmp_path / "run")
    assert kept(run) == "kept the trained weights"
    assert run.metrics["test_accuracy"] > 0.85
    assert torch.equal(weights(tw.load_run(run.folder).model), weights(run.model))


class InterruptWhileValidating:
    """Raises SIGINT in the last window of an epoch: the validation after it is cut short."""

    def __init__(self, step: int) -> None:
        self.step = step

    def started(self, progress: object) -> None: ...

    def stepped(self, reading: dict[str, object]) -> None:
        import signal

        if reading["step"] == self.step and reading["kind"] == "window":
            signal.raise_signal(signal.SIGINT)

    def epoch_ended(self, reading: object) -> None: ...

    def ended(self, reason: str) -> None: ...


@pytest.mark.parametrize("average", [0.9, "stochastic(start=0.3)", "checkpoints(last=2)"])
@pytest.mark.parametrize("early_stop", [None, 2])
def test_an_averaged_run_that_was_interrupted_ends_bit_identical(
    average: float | str, early_stop: int | None, tmp_path: Path
) -> None:
    data = tw.load("digits")
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10)
    )
    recipe = tw.Recipe(
        epochs=5, batch_size=256, average=average, early_stop=early_stop, window=2, seed=3
    )
    start = copy.deepcopy(model.state_dict())
    whole = tw.fit(model, data, recipe, out=tmp_path / "whole")
    for step in (12, 16):
        out = tmp_path / f"cut-{step}"
        model.load_state_dict(start)
        with pytest.raises(Interrupted):
            tw.fit(model, data, recipe, out=out, observers=[InterruptWhileValidating(step)])
        resumed = tw.resume(out, model=model, data=data)
        assert resumed.weights_sha256 == whole.weights_sha256
        assert resumed.metrics == whole.metrics
