"""A model that runs as compiled code is watched without being compiled again."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

import trainwell as tw
from tests.watching.programs import blobs, mlp
from trainwell.watching.watcher import Watcher

pytestmark = pytest.mark.slow

INPUTS, LABELS = blobs()


def dead_network() -> nn.Sequential:
    """Nine tenths of its hidden units never answer."""
    model = mlp(20, 5)
    layer = next(m for m in model if isinstance(m, nn.Linear))
    with torch.no_grad():
        layer.bias[: layer.out_features * 9 // 10] = -100
    return model


def train(run: nn.Module, model: nn.Module, watcher: Watcher | None, steps: int = 120) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    if watcher is not None:
        optimizer = watcher._optimizer
    for number in range(steps):
        rows = torch.arange(number * 50, number * 50 + 50) % len(INPUTS)
        optimizer.zero_grad()
        outputs = run(INPUTS[rows])
        loss = nn.functional.cross_entropy(outputs, LABELS[rows])
        loss.backward()
        optimizer.step()
        if watcher is not None:
            watcher.step(loss, INPUTS[rows], outputs, LABELS[rows])


def watch(model: nn.Module) -> Watcher:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    loss = nn.CrossEntropyLoss()
    return tw.watch(model, optimizer, loss, on_finding=lambda finding: None)


@pytest.mark.parametrize("compiled", [False, True])
def test_dead_units_of_a_compiled_model_are_found(compiled: bool) -> None:
    model = dead_network()
    run = torch.compile(model) if compiled else model
    watcher = watch(run)
    train(run, model, watcher)
    assert "dying_relu" in {finding.code for finding in watcher.findings()}


def test_a_model_that_was_compiled_elsewhere_is_followed_and_trained_as_without() -> None:
    model = dead_network()
    alone = copy.deepcopy(model)
    torch._dynamo.reset()
    train(torch.compile(alone), alone, None)
    watcher = watch(model)
    train(torch.compile(model), model, watcher)
    assert "dying_relu" in {finding.code for finding in watcher.findings()}
    for name, value in alone.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_a_run_is_compiled_once_and_trained_as_without(tmp_path: Path) -> None:
    digests = {
        count_graphs(lambda: fit(tmp_path / "plain", watch=False)),
        count_graphs(lambda: fit(tmp_path / "watched", watch=True)),
    }
    assert len(digests) == 1
    assert next(iter(digests))[1] == 1


def fit(out: Path, watch: bool) -> str:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), head())
    recipe = tw.Recipe(epochs=8, batch_size=256, window=2, compile=True, watch=watch)
    return tw.fit(model, "digits", recipe, out=out).weights_sha256


def head() -> nn.Module:
    return nn.Sequential(nn.Dropout(0.2), nn.Linear(32, 10))


def count_graphs(run: Callable[[], str]) -> tuple[str, int]:
    """What it returns, and how many graphs were compiled for it."""
    torch._dynamo.reset()
    counters.clear()
    return run(), counters["stats"]["unique_graphs"]
