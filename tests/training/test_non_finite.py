"""A loss or gradient that is not finite stops the training before the update (B1 to B4)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.errors import NonFiniteError
from trainwell.training.checkpoint import newest_checkpoint
from trainwell.training.early_stop import EarlyStop


class Poisoned(nn.Module):
    """Puts out NaN for examples whose first column is above a limit, from some call on."""

    def __init__(self, calm_calls: int) -> None:
        super().__init__()
        self.first = nn.Linear(3, 8)
        self.last = nn.Linear(8, 2)
        self.calls, self.calm_calls = 0, calm_calls

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.calls += 1
        hidden = self.first(x)
        if self.training and self.calls > self.calm_calls:
            hidden = torch.where(x[:, :1] > 1.0, hidden / 0.0 * 0.0, hidden)
        return self.last(hidden)


class BadGradient(torch.autograd.Function):
    """The identity, with a gradient that is not finite."""

    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * math.inf


class BadBackward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(BadGradient.apply(self.first(x)))


def table() -> tuple[numpy.ndarray, numpy.ndarray]:
    generator = numpy.random.default_rng(0)
    x = generator.normal(size=(300, 3))
    return x, (x[:, 0] + x[:, 1] > 0).astype(int)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
def test_b1_a_nan_loss_stops_before_the_update_and_names_step_layer_and_rows(
    optimizer: str, tmp_path: Path
) -> None:
    model = Poisoned(calm_calls=6)
    recipe = tw.Recipe(
        epochs=5, batch_size=32, optimizer=optimizer, window=4, checkpoint_every=1, warmup=0.0
    )
    with pytest.raises(NonFiniteError, match=r"step 7, batch 7.*div in the model.*rows \d+"):
        tw.fit(model, table(), recipe, out=tmp_path / "run")
    assert all(torch.isfinite(p).all() for p in model.parameters())
    found = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert found is not None
    saved = found[0].tensors["weights"]
    assert found[0].step == 6
    assert all(torch.equal(saved[name], p) for name, p in model.named_parameters())


def test_b2_an_infinite_gradient_behind_a_finite_loss_stops_before_the_update(
    tmp_path: Path,
) -> None:
    model = BadBackward()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(NonFiniteError, match=r"gradient of first\.weight.*step 1"):
        tw.fit(model, table(), tw.Recipe(epochs=1), out=tmp_path / "run")
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_b2_float16_that_overflows_without_end_stops_and_says_how_often(tmp_path: Path) -> None:
    recipe = tw.Recipe(epochs=40, batch_size=64, precision="float16")
    with pytest.raises(NonFiniteError, match="overflowed float16"):
        tw.fit(BadBackward(), table(), recipe, out=tmp_path / "run")


def test_b4_nan_is_never_the_best_and_later_finite_losses_still_count() -> None:
    model = nn.Linear(2, 1)
    stop = EarlyStop(look_ahead=3)
    losses = [math.nan, 2.0, math.nan, 1.0, math.inf, math.nan]
    assert not any(stop.observe(loss, epoch + 1, model) for epoch, loss in enumerate(losses))
    assert (stop.best_loss, stop.best_epoch) == (1.0, 4)
    assert stop.observe(1.5, 7, model)


def test_early_stopping_looks_ahead_and_goes_back_to_the_best_weights(tmp_path: Path) -> None:
    generator = numpy.random.default_rng(1)
    noise = generator.normal(size=(200, 20)), generator.integers(0, 2, 200)
    recipe = tw.Recipe(epochs=60, batch_size=20, early_stop=5, learning_rate=0.1)
    run = tw.fit("mlp", noise, recipe, out=tmp_path / "run")
    losses = [row["valid_loss"] for row in run.history if row["kind"] == "epoch"]
    assert run.result["reason"] == "early_stop"
    assert len(losses) == losses.index(min(losses)) + 1 + 5
    assert run.evaluate("valid")["valid_loss"] == pytest.approx(min(losses), rel=1e-6)


class Squared(nn.Module):
    """Overflows float16, and no other precision, from some call on."""

    def __init__(self, calm_calls: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 2)
        self.calls, self.calm_calls = 0, calm_calls

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        hidden = self.first(x)
        if self.training and self.calls > self.calm_calls:
            hidden = hidden * 60000.0 * 2
        return self.last(hidden)


def test_b1_what_overflows_in_float16_only_is_explained_in_float16(tmp_path: Path) -> None:
    recipe = tw.Recipe(epochs=5, batch_size=32, precision="float16", window=1, watch=False)
    with pytest.raises(NonFiniteError, match=r"the loss is (nan|inf) at step 5.*mul in the model"):
        tw.fit(Squared(calm_calls=4), table(), recipe, out=tmp_path / "run")


def test_b2_updates_that_float16_skips_are_counted_and_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from trainwell.cli.ending import tell_end

    class SometimesBad(BadBackward):
        calls = 0

        def started(self, progress: object) -> None:
            """As an observer: before this, the model was only tried out."""
            SometimesBad.calls = 0

        def stepped(self, reading: object) -> None: ...
        def epoch_ended(self, reading: object) -> None: ...
        def ended(self, reason: str) -> None: ...
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            SometimesBad.calls += self.training
            hidden = self.first(x)
            is_bad = self.training and SometimesBad.calls in (3, 5)
            return self.last(BadGradient.apply(hidden) if is_bad else hidden)

    recipe = tw.Recipe(epochs=2, batch_size=32, precision="float16", window=2)
    model = SometimesBad()
    run = tw.fit(model, table(), recipe, out=tmp_path / "run", observers=[model])
    windows = [row["skipped_updates"] for row in run.history if row["kind"] == "window"]
    assert windows[:3] == [0, 1, 2]
    assert run.result["skipped_updates"] == 2
    tell_end(run, as_json=False, with_report=False)
    assert "2 updates were skipped" in capfd.readouterr().err


class BadValidation(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) if self.training else super().forward(x) / 0.0 * 0.0


def test_b4_a_validation_loss_that_is_never_finite_is_one_warning(tmp_path: Path) -> None:
    recipe = tw.Recipe(epochs=3, check=False, watch=False)
    run = tw.fit(BadValidation(3, 2), table(), recipe, out=tmp_path / "run")
    (finding,) = run.findings
    assert (finding.code, finding.severity, finding.where) == (
        "exploding_or_nan",
        "warning",
        "validation",
    )
    assert finding.evidence == {"epochs": 3, "not_finite": 3}
    assert run.result["epochs"] == 3
