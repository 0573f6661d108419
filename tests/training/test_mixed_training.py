"""Mixup in a training: the loss, the refusals, resuming, accumulating, mixed precision, compile."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

import trainwell as tw
from trainwell.data.batches import Batch
from trainwell.errors import Interrupted, RecipeError
from trainwell.nn.losses import choose_loss
from trainwell.training.defaults import complete_recipe
from trainwell.training.fitting import prepare
from trainwell.training.precision import Resolved
from trainwell.training.session import Setting, build_step

RECIPE = tw.Recipe(epochs=2, batch_size=50, mixup=0.4, augment=("noise(0.1)",), window=4, seed=5)


def setting_of(recipe: tw.Recipe, model: torch.nn.Module) -> Setting:
    data = tw.load("blobs")
    return prepare(model, data, complete_recipe(recipe, data, None), None, Resolved("float32"))


class Stop:
    """Asks the training to stop at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def started(self, progress: object) -> None:
        pass

    def stepped(self, reading: Mapping[str, Any]) -> None:
        if reading["step"] == self.step and reading["kind"] == "window":
            signal.raise_signal(signal.SIGTERM)

    def epoch_ended(self, reading: Mapping[str, Any]) -> None:
        pass

    def ended(self, reason: str) -> None:
        pass


def test_the_loss_is_shared_between_the_targets_and_the_dominant_one_is_counted() -> None:
    model = torch.nn.Linear(2, 3)
    step = build_step(setting_of(RECIPE.replace(label_smoothing=0.1), model), 1, None)
    inputs, targets = torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
    batch = Batch(inputs, targets, torch.tensor([1, 2, 0, 0]), share=0.7)
    with torch.no_grad():
        outputs = model(inputs)
    step.plain(batch, 0)
    losses = [
        functional.cross_entropy(outputs, wanted, label_smoothing=0.1)
        for wanted in (targets, torch.tensor([1, 2, 0, 0]))
    ]
    read = step.totals.read("train")
    assert read["train_loss"] == pytest.approx(float(0.7 * losses[0] + 0.3 * losses[1]), rel=1e-6)
    assert read["train_accuracy"] == float((outputs.argmax(1) == targets).float().mean())


def test_cross_entropy_of_both_targets_is_that_of_the_mixed_targets() -> None:
    outputs, share = torch.randn(5, 4), 0.8
    first, second = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 1, 0, 2, 3])
    loss = choose_loss("multiclass", 4)
    apart = share * loss(outputs, first) + (1 - share) * loss(outputs, second)
    soft = share * functional.one_hot(first, 4) + (1 - share) * functional.one_hot(second, 4)
    torch.testing.assert_close(apart, functional.cross_entropy(outputs, soft))


@pytest.mark.parametrize(
    ("model", "data", "reason"),
    [
        ("mlp", "diabetes", "a regression"),
        ("autoencoder", "digits", "a reconstruction"),
        ("variational_autoencoder", "digits", "a reconstruction"),
        ("perceptron", "two-blobs", "rule of its own"),
    ],
)
def test_what_has_no_two_targets_to_share_is_refused_before_training(
    model: str, data: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=f"mixup does not apply .*{reason}"):
        tw.fit(model, data, tw.Recipe(epochs=1, mixup=0.2), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_mixup_must_be_above_zero() -> None:
    with pytest.raises(RecipeError, match="mixup must be above 0"):
        tw.Recipe(mixup=0.0)


@pytest.mark.parametrize("step", [4, 26])
def test_a_resumed_run_mixes_and_augments_the_same_to_the_bit(step: int, tmp_path: Path) -> None:
    whole = tw.fit("mlp", "blobs", RECIPE, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        tw.fit("mlp", "blobs", RECIPE, out=tmp_path / "part", observers=[Stop(step)])
    assert tw.resume(tmp_path / "part").weights_sha256 == whole.weights_sha256


def test_accumulating_gives_the_gradient_of_the_whole_mixed_batch() -> None:
    changes = []
    for recipe in (RECIPE.replace(batch_size=60), RECIPE.replace(batch_size=20, accumulate=3)):
        torch.manual_seed(0)
        setting = setting_of(recipe.replace(optimizer="sgd"), torch.nn.Linear(2, 3))
        setting.model.double()
        batches = setting.batches(setting.data.train, train=True)
        batch = next(iter(batches.read()))
        batch = Batch(batch.inputs.double(), batch.targets, batch.partner_targets, batch.share)
        assert batch.share < 1 and len(batch) == 60
        build_step(setting, len(batches), None).plain(batch, 0)
        changes.append(torch.cat([p.detach().flatten() for p in setting.model.parameters()]))
    torch.testing.assert_close(changes[0], changes[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_mixed_examples_are_learned_in_mixed_precision(precision: str, tmp_path: Path) -> None:
    recipe = RECIPE.replace(precision=precision, label_smoothing=0.1, epochs=4)
    run = tw.fit("mlp", "blobs", recipe, out=tmp_path / "run")
    assert run.metrics["test_accuracy"] > 0.8


def test_a_binary_classification_of_one_output_is_mixed_too(tmp_path: Path) -> None:
    recipe = RECIPE.replace(epochs=8, augment=())
    run = tw.fit("mlp", "two-blobs", recipe, out=tmp_path / "run")
    assert run.metrics["test_accuracy"] > 0.8


@pytest.mark.slow
def test_mixup_works_with_a_compiled_model(tmp_path: Path) -> None:
    run = tw.fit("mlp", "blobs", RECIPE.replace(compile=True, epochs=1), out=tmp_path / "run")
    assert run.metrics["train_loss"] > 0
