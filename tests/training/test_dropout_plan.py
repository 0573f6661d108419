"""How much is dropped as the training goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.errors import Interrupted
from trainwell.nn.dropout import VanillaDropout
from trainwell.optim.schedules import build_schedule
from trainwell.training.dropout_plan import DropoutPlan


def test_probabilities_follow_the_schedule_in_quarters_and_come_back() -> None:
    model = nn.Sequential(nn.Dropout(0.4), nn.Sequential(VanillaDropout(0.8)), nn.Linear(1, 1))
    plan = DropoutPlan(model, build_schedule("linear(start=0, end=1)"), epochs=9)
    shares = []
    for epoch in range(9):
        plan.arrange(epoch)
        shares.append(model[0].p / 0.4)
        assert model[1][0].probability == pytest.approx(2 * model[0].p)
    assert shares == pytest.approx([0, 0, 0.25, 0.5, 0.5, 0.5, 0.75, 1, 1])
    plan.restore()
    assert (model[0].p, model[1][0].probability) == (0.4, 0.8)


class Watch:
    """Notes the probability of a layer at every reading, and interrupts once if told to."""

    def __init__(self, layer: nn.Dropout, interrupt_at: int = -1) -> None:
        self.layer, self.interrupt_at = layer, interrupt_at
        self.seen: dict[int, float] = {}

    def started(self, progress: object) -> None: ...

    def stepped(self, reading: dict[str, int]) -> None:
        import signal

        self.seen[reading["epoch"]] = self.layer.p
        if reading["step"] == self.interrupt_at and reading["kind"] == "window":
            signal.raise_signal(signal.SIGINT)

    def epoch_ended(self, reading: object) -> None: ...

    def ended(self, reason: str) -> None: ...


def dropping_network() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), head())


def head() -> nn.Linear:
    return nn.Linear(32, 10)


def test_early_dropout_ends_after_the_beginning_and_the_model_gets_its_own_back(
    tmp_path: Path,
) -> None:
    model = dropping_network()
    watch = Watch(model[3])
    recipe = tw.Recipe(
        epochs=5, batch_size=128, dropout_schedule="constant until 0.5, constant(level=0)"
    )
    tw.fit(model, "digits", recipe, out=tmp_path / "run", observers=[watch])
    assert watch.seen == {1: 0.5, 2: 0.5, 3: 0.0, 4: 0.0, 5: 0.0}
    assert model[3].p == 0.5


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_run_with_a_dropout_schedule_resumes_bit_identical(
    compiled: bool, tmp_path: Path
) -> None:
    recipe = tw.Recipe(
        epochs=8,
        batch_size=256,
        window=2,
        dropout_schedule="linear(start=0, end=1)",
        compile=compiled,
    )
    torch.manual_seed(0)
    model = dropping_network()
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    whole = tw.fit(model, "digits", recipe, out=tmp_path / "whole")
    model.load_state_dict(start)
    with pytest.raises(Interrupted):
        tw.fit(model, "digits", recipe, out=tmp_path / "cut", observers=[Watch(model[3], 28)])
    resumed = tw.resume(tmp_path / "cut", model=model)
    assert resumed.weights_sha256 == whole.weights_sha256
