"""When a run compiles its model, and that compiled runs resume to the same bits."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import trainwell as tw
from trainwell.data.batches import Batch
from trainwell.errors import Interrupted
from trainwell.nn.objective import make_objective
from trainwell.training import compilation
from trainwell.training.compilation import can_compile, resolve_compilation
from trainwell.training.precision import Resolved
from trainwell.training.recipe import Recipe

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(not can_compile(CPU), reason="there is no C++ compiler")


def resolve(model: nn.Module, batches_in_all: int, **fields: bool) -> Resolved:
    batch = Batch(torch.randn(64, 32), torch.zeros(64, dtype=torch.int64))
    loss = nn.functional.cross_entropy
    return resolve_compilation(
        Recipe(**fields), model, loss, Resolved("float32"), batch, batches_in_all
    )


class Many(nn.Module):
    """Many small operations, which a compiler joins."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(32))

    def forward(self, inputs: Tensor) -> Tensor:
        for _ in range(40):
            inputs = (inputs * self.weight + 1).sin() * 0.5
        return inputs


class Untraceable(Many):
    """Depends on values, which no single graph can."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) if inputs.sum().item() < 1e9 else inputs


def test_a_short_training_is_not_compiled() -> None:
    assert not resolve(Many(), batches_in_all=10).compiled


@pytest.mark.parametrize("asked", [True, False])
def test_what_the_recipe_says_is_done_without_a_trial(asked: bool) -> None:
    assert resolve(Many(), batches_in_all=10, compile=asked).compiled is asked


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.5, 1.2])
def test_a_long_training_is_compiled_only_where_the_trial_was_faster_and_that_is_remembered(
    ratio: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRAINWELL_CACHE", str(tmp_path))
    timed: list[int] = []

    def measured(pairs: Sequence[tuple[float, float]]) -> float:
        timed.append(len(pairs))
        return ratio

    # The trial runs; only the clock is not asked.
    monkeypatch.setattr(compilation, "_median_ratio", measured)
    model = Many()
    before = model.weight.detach().clone()
    for _ in range(2):
        assert resolve(model, batches_in_all=10**9).compiled is (ratio < 1)
    assert torch.equal(model.weight, before) and model.weight.grad is None
    assert timed == [compilation.TRIALS]


@needs_compiler
def test_a_model_that_is_not_one_graph_is_left_as_it_is() -> None:
    assert not resolve(Untraceable(), batches_in_all=10**9).compiled


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    assert not can_compile(CPU)
    assert not resolve(Many(), batches_in_all=10**9).compiled


@needs_compiler
@pytest.mark.slow
def test_only_full_batches_are_compiled() -> None:
    model = nn.Linear(4, 3)
    calls = []
    model.register_forward_hook(lambda *_: calls.append(torch.compiler.is_compiling()))
    measure = make_objective(model, nn.functional.cross_entropy, compiled_for=8)
    for count in (8, 5):
        measure(torch.randn(count, 4), torch.zeros(count, dtype=torch.int64))
    assert calls[-1] is False


class InterruptAt:
    """Raises SIGINT at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def started(self, progress: object) -> None: ...

    def stepped(self, reading: dict[str, object]) -> None:
        if reading["step"] == self.step and reading["kind"] == "window":
            signal.raise_signal(signal.SIGINT)

    def epoch_ended(self, reading: object) -> None: ...

    def ended(self, reason: str) -> None: ...


@needs_compiler
@pytest.mark.slow
def test_a_compiled_run_that_was_interrupted_before_a_short_batch_ends_bit_identical(
    tmp_path: Path,
) -> None:
    recipe = tw.Recipe(epochs=3, batch_size=100, window=1, compile=True, average=0.9)
    # After many compilations in one process torch gives up and runs code as it is written.
    torch._dynamo.reset()
    whole = tw.fit("mlp", "digits", recipe, out=tmp_path / "whole")
    assert whole.about["resolved"]["compiled"] is True
    steps = whole.result["steps"] // 3
    with pytest.raises(Interrupted):
        tw.fit(
            "mlp", "digits", recipe, out=tmp_path / "cut", observers=[InterruptAt(2 * steps - 1)]
        )
    # As in a fresh process: the first batch after the resume is the short one.
    torch._dynamo.reset()
    assert tw.resume(tmp_path / "cut").weights_sha256 == whole.weights_sha256
