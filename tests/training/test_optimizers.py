"""Every optimiser through `fit`: it trains, resumes to the bit, accumulates, and stops in time."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional

import trainwell as tw
from tests.training.noisy_runs import Noisy
from tests.training.test_non_finite import BadBackward, table
from tests.training.test_resume import SignalAt
from trainwell.errors import Interrupted, ModelError, NonFiniteError, RecipeError
from trainwell.models.catalogue import ModelSpec, find_entry
from trainwell.optim.optimizers import OPTIMIZERS
from trainwell.training import defaults
from trainwell.training.checkpoint import newest_checkpoint
from trainwell.training.defaults import complete_recipe
from trainwell.training.recipe import Recipe

SEARCHING = ("lbfgs", "bfgs", "newton")
TEXTS = (
    *OPTIMIZERS,
    "adam(bias_correction=false)",
    "rmsprop(decay=0.9)",
    "lbfgs(history=3, iterations=2)",
)
RECIPE = tw.Recipe(epochs=12, window=1, seed=2)


def small_model() -> nn.Module:
    return tw.models.create("mlp", input_shape=(4,), classes=3, seed=1, sizes=(5,))


def losses(run: tw.Run) -> list[float]:
    return [row["train_loss"] for row in run.history if row["kind"] == "epoch"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tw.Run]:
    """A training that nothing interrupted, made once for each optimiser."""
    runs: dict[str, tw.Run] = {}

    def train(text: str) -> tw.Run:
        if text not in runs:
            folder = tmp_path_factory.mktemp("whole") / "run"
            recipe = RECIPE.replace(optimizer=text)
            runs[text] = tw.fit(small_model(), "iris", recipe, out=folder)
        return runs[text]

    return train


@pytest.mark.parametrize("text", TEXTS)
def test_every_optimiser_lowers_the_loss(text: str, whole: Callable[[str], tw.Run]) -> None:
    found = losses(whole(text))
    assert found[-1] < found[0] - 0.005
    assert whole(text).recipe.optimizer == text


@pytest.mark.parametrize("text", TEXTS)
def test_a_run_that_was_stopped_resumes_to_the_same_bits(
    text: str, whole: Callable[[str], tw.Run], tmp_path: Path
) -> None:
    recipe = RECIPE.replace(optimizer=text)
    observers = [SignalAt(5, signal.SIGTERM)]
    with pytest.raises(Interrupted):
        tw.fit(small_model(), "iris", recipe, out=tmp_path / "run", observers=observers)
    resumed = tw.resume(tmp_path / "run", model=small_model())
    assert resumed.weights_sha256 == whole(text).weights_sha256
    assert losses(resumed) == losses(whole(text))


@pytest.mark.parametrize("text", ["momentum", "lbfgs", "bfgs"])
def test_a_noisy_model_resumes_to_the_same_bits(text: str, tmp_path: Path) -> None:
    recipe = tw.Recipe(
        optimizer=text, epochs=6, window=1, batch_size=100, accumulate=2, average=0.9
    )
    first = tw.fit(Noisy(), "blobs", recipe, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        observers = [SignalAt(8, signal.SIGTERM)]
        tw.fit(Noisy(), "blobs", recipe, out=tmp_path / "cut", observers=observers)
    resumed = tw.resume(tmp_path / "cut", model=Noisy())
    assert resumed.weights_sha256 == first.weights_sha256
    assert losses(first)[-1] < losses(first)[0]


@pytest.mark.parametrize(
    "text", ["momentum", "nesterov_lookahead", "adam(bias_correction=false)", *SEARCHING]
)
def test_accumulated_batches_equal_the_large_batch_to_rounding(text: str, tmp_path: Path) -> None:
    rate = 1.0 if text in SEARCHING else 0.05
    recipe = tw.Recipe(
        optimizer=text, learning_rate=rate, epochs=4, weight_decay=0.01, precision="float32"
    )
    ends = [
        tw.fit(small_model(), "iris", recipe.replace(**sizes), out=tmp_path / str(i)).model
        for i, sizes in enumerate(({"batch_size": 108}, {"batch_size": 27, "accumulate": 4}))
    ]
    pairs = list(zip(*(model.parameters() for model in ends), strict=True))
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in pairs)
    assert not all(
        torch.equal(p, q)
        for p, q in zip(ends[0].parameters(), small_model().parameters(), strict=True)
    )


class Witness(nn.Module):
    """Remembers what it drew, and what batches went through its normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.out = nn.BatchNorm1d(4), nn.Linear(4, 3)
        self.drawn: list[float] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return self.out(self.norm(x))
        noise = torch.rand(len(x), 1)
        self.drawn.append(float(noise.sum()))
        return self.out(self.norm(x) * (1 + 0.1 * noise))


@pytest.mark.parametrize("text", SEARCHING)
def test_within_a_step_a_search_sees_one_function(text: str, tmp_path: Path) -> None:
    model = Witness()
    tw.fit(model, "iris", tw.Recipe(optimizer=text, epochs=5), out=tmp_path / "run")
    assert len(set(model.drawn)) == 5
    assert len(model.drawn) > 5
    assert int(model.norm.num_batches_tracked) == 5


@pytest.mark.parametrize("text", SEARCHING)
def test_a_searching_step_counts_each_example_once_before_the_update(
    text: str, tmp_path: Path
) -> None:
    model = small_model()
    data = tw.load("iris")
    inputs = data.preprocess(data.train.inputs[:]).float()
    with torch.no_grad():
        expected = functional.cross_entropy(model(inputs), data.train.targets)
    recipe = tw.Recipe(optimizer=text, epochs=2, weight_decay=0.3)
    run = tw.fit(model, data, recipe, out=tmp_path / "run")
    assert losses(run)[0] == pytest.approx(float(expected), rel=1e-5)
    assert run.result["steps"] == 2


@pytest.mark.parametrize("text", SEARCHING)
def test_a_search_ends_where_loss_and_penalty_of_the_weights_balance(
    text: str, tmp_path: Path
) -> None:
    data = tw.load("iris")
    recipe = tw.Recipe(optimizer=text, epochs=30, weight_decay=0.1)
    model = tw.models.create("softmax", data, seed=0)
    tw.fit(model, data, recipe, out=tmp_path / "run")
    inputs = data.preprocess(data.train.inputs[:]).float()
    functional.cross_entropy(model(inputs), data.train.targets).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        penalty = 0.1 * parameter if parameter.ndim > 1 else 0.0
        assert torch.allclose(parameter.grad + penalty, torch.zeros(()), atol=2e-4)


@pytest.mark.parametrize("text", [*SEARCHING, "momentum", "muon", "rprop"])
def test_a_gradient_that_is_not_finite_stops_before_the_update(text: str, tmp_path: Path) -> None:
    model = BadBackward()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(NonFiniteError, match=r"gradient of first\.weight.*step 1"):
        tw.fit(model, table(), tw.Recipe(optimizer=text, epochs=1), out=tmp_path / "run")
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


class Cliff(nn.Module):
    """Its loss is not a number where a weight is above a limit, which lies on the way down."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight.T + 0.1 * torch.log(0.5 - self.weight.max())


@pytest.mark.parametrize("text", SEARCHING)
def test_a_search_never_ends_where_the_loss_is_not_a_number(text: str, tmp_path: Path) -> None:
    model = Cliff()
    recipe = tw.Recipe(optimizer=text, epochs=15, checkpoint_every=1)
    run = tw.fit(model, table(), recipe, out=tmp_path / "run")
    assert 0 < float(model.weight.detach().max()) < 0.5
    assert losses(run)[-1] < losses(run)[0]
    found = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert found is not None
    assert all(torch.isfinite(t).all() for t in found[0].tensors["weights"].values())


def test_a_model_too_large_for_a_whole_matrix_is_refused_by_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"newton|Newton.*Use lbfgs"):
        tw.fit("mlp", "digits", tw.Recipe(optimizer="newton", epochs=1), out=tmp_path / "run")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "lbgfs"}, "'lbfgs'"),
        ({"optimizer": "adam(beta3=0.9)"}, "Did you mean 'beta2'"),
        ({"optimizer": "adam(beta2=1.0)"}, "beta2 must be at least 0 and below 1"),
        ({"optimizer": "rmsprop(decay='a')"}, "impossible"),
        ({"optimizer": "lbfgs(history=0)"}, "history must be a whole number"),
        ({"optimizer": "sgd(momentum=0.9)"}, "no option 'momentum'"),
        ({"optimizer": "newton(damping=-1)"}, "damping must be at least 0"),
        ({"optimizer": "lbfgs", "clip_norm": 1.0}, "clipped gradient"),
        ({"optimizer": "bfgs", "precision": "float16"}, "float16"),
        ({"optimizer": "lbfgs", "schedule": "linear"}, "schedule"),
        ({"optimizer": "newton", "layer_decay": 0.5}, "layer_decay"),
        ({"optimizer": "newton", "compile": True}, "second derivatives"),
        ({"optimizer": "rprop", "weight_decay": 0.1}, "weight_decay"),
        ({"optimizer": "rprop", "unfreeze_every": 1}, "unfreeze_every"),
        ({"optimizer": "rprop", "warmup": 0.1}, "warmup"),
        ({"optimizer": "lbfgs", "l1": 0.1}, "kinks"),
        ({"optimizer": "lbfgs", "l2": 0.1}, "weight_decay is that penalty"),
        ({"optimizer": "bfgs", "max_norm": 1.0}, "undo"),
    ],
)
def test_what_an_optimiser_cannot_do_is_refused_with_the_reason(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe(**fields)


def test_options_of_an_optimiser_survive_toml_and_the_command_line() -> None:
    text = "adam(beta2=0.995, bias_correction=false)"
    recipe = Recipe().with_settings({"optimizer": text})
    assert recipe.optimizer == text
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_optimisers_that_need_one_function_get_the_whole_split_and_no_schedule() -> None:
    data = tw.load("digits")
    for text in (*SEARCHING, "rprop", "lbfgs(history=5)"):
        chosen = complete_recipe(Recipe(optimizer=text), data, None)
        assert (chosen.batch_size, chosen.schedule) == (len(data.train), "constant")
    split = complete_recipe(Recipe(optimizer="lbfgs", accumulate=4), data, None)
    assert split.batch_size == -(-len(data.train) // 4)
    assert complete_recipe(Recipe(optimizer="lbfgs", batch_size=32), data, None).batch_size == 32


def test_what_suits_a_model_with_one_optimiser_is_not_taken_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, suited = tw.load("digits"), ModelSpec("mlp", (1, 8, 8), 10)
    fields = {"learning_rate": 0.5, "weight_decay": 0.1, "clip_norm": 1.0, "epochs": 3}
    entry = dataclasses.replace(find_entry("mlp"), recipe=fields)
    monkeypatch.setattr(defaults, "find_entry", lambda name: entry)
    adam = complete_recipe(Recipe(optimizer="adam(beta2=0.995)"), data, suited)
    assert (adam.learning_rate, adam.weight_decay, adam.clip_norm) == (1e-3, 0.0, 1.0)
    momentum = complete_recipe(Recipe(optimizer="momentum"), data, suited)
    assert (momentum.learning_rate, momentum.weight_decay, momentum.epochs) == (0.5, 0.1, 3)
    lbfgs = complete_recipe(Recipe(optimizer="lbfgs"), data, suited)
    assert (lbfgs.learning_rate, lbfgs.clip_norm, lbfgs.epochs) == (1.0, None, 3)


def test_squared_errors_get_a_lower_rate_whatever_the_options() -> None:
    x = numpy.random.default_rng(0).normal(size=(100, 2))
    data = tw.load((x, x[:, 0] * 2.5))
    for text in ("sgd", "momentum", "nesterov_lookahead"):
        assert complete_recipe(Recipe(optimizer=text), data, None).learning_rate == pytest.approx(
            0.01
        )
    assert complete_recipe(Recipe(optimizer="adam(beta1=0.8)"), data, None).learning_rate == 1e-3


@pytest.mark.parametrize("text", ["momentum", "lbfgs", "bfgs"])
@pytest.mark.slow
def test_a_compiled_model_trains_to_the_same_loss(text: str, tmp_path: Path) -> None:
    found = [
        tw.fit(
            small_model(),
            "iris",
            tw.Recipe(optimizer=text, epochs=3, compile=compiled),
            out=tmp_path / str(compiled),
        ).metrics["train_loss"]
        for compiled in (False, True)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-3)
