"""The step: equal to a loop written by hand, and exact in accumulation, clipping and averaging."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import trainwell as tw
from trainwell.data.batches import Batches, ResidentReader
from trainwell.training.checkpoint import newest_checkpoint

PLAIN = {
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup": 0.0,
    "precision": "float32",
}


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def digits_model(data: tw.Dataset) -> nn.Module:
    return tw.models.create("mlp", data, seed=1, sizes=(32,))


def epoch_batches(data: tw.Dataset, seed: int, size: int, epoch: int):
    batches = Batches(
        ResidentReader(data.train, torch.device("cpu")),
        count=len(data.train),
        size=size,
        preprocess=data.preprocess,
        device=torch.device("cpu"),
        shuffle_seed=seed,
    )
    return batches.read(epoch)


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam", "adamw"])
def test_fit_ends_in_the_weights_of_a_loop_written_by_hand(optimizer: str, tmp_path: Path) -> None:
    data = tw.load("digits")
    model = digits_model(data)
    by_hand = copy.deepcopy(model)
    recipe = tw.Recipe(**{**PLAIN, "optimizer": optimizer, "epochs": 2, "batch_size": 100})
    run = tw.fit(model, data, recipe, out=tmp_path / "run")
    made = {
        "sgd": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9),
        "nesterov": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
        "adam": lambda p: torch.optim.Adam(p, 0.05),
        "adamw": lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0.0),
    }[optimizer](by_hand.parameters())
    for epoch in range(2):
        for batch in epoch_batches(data, recipe.seed, 100, epoch):
            made.zero_grad()
            functional.cross_entropy(by_hand(batch.inputs), batch.targets).backward()
            made.step()
    assert torch.allclose(weights(run.model), weights(by_hand), atol=1e-5)


def test_accumulated_batches_equal_the_large_batch_to_rounding(tmp_path: Path) -> None:
    data = tw.load("digits")
    settings = {**PLAIN, "epochs": 2, "seed": 5}
    large = tw.Recipe(**settings, batch_size=120)
    small = tw.Recipe(**settings, batch_size=30, accumulate=4)
    ends = [
        weights(tw.fit(digits_model(data), data, recipe, out=tmp_path / str(i)).model)
        for i, recipe in enumerate((large, small))
    ]
    assert torch.allclose(*ends, atol=1e-5)
    assert not torch.equal(ends[0], weights(digits_model(data)))


def test_accumulation_draws_the_same_augmentation_as_the_large_batch(tmp_path: Path) -> None:
    data = tw.load("digits")
    settings = {**PLAIN, "epochs": 1, "augment": ("flip", "crop")}
    ends = [
        weights(tw.fit(digits_model(data), data, recipe, out=tmp_path / recipe_name).model)
        for recipe_name, recipe in {
            "large": tw.Recipe(**settings, batch_size=128),
            "small": tw.Recipe(**settings, batch_size=32, accumulate=4),
        }.items()
    ]
    assert torch.allclose(*ends, atol=1e-5)


def test_watching_layers_changes_no_bit(tmp_path: Path) -> None:
    data = tw.load("digits")
    digests = {
        tw.fit(
            "mlp", data, tw.Recipe(epochs=3, watch=watch, window=3), out=tmp_path / str(watch)
        ).weights_sha256
        for watch in (True, False)
    }
    assert len(digests) == 1


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    digests = [
        tw.fit(
            "mlp", "digits", tw.Recipe(epochs=1, seed=seed), out=tmp_path / str(i)
        ).weights_sha256
        for i, seed in enumerate((0, 0, 1))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_fit_leaves_the_users_random_numbers_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    tw.fit("mlp", "iris", tw.Recipe(epochs=1), out=tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_clipped_gradients_have_at_most_the_given_norm(tmp_path: Path) -> None:
    data = tw.load("digits")
    recipe = tw.Recipe(**{**PLAIN, "momentum": 0.0}, epochs=1, batch_size=2000, clip_norm=1e-3)
    model = digits_model(data)
    before = weights(model)
    run = tw.fit(model, data, recipe, out=tmp_path / "run")
    assert (weights(run.model) - before).norm().item() == pytest.approx(0.05 * 1e-3, rel=1e-2)


def test_the_averaged_weights_are_the_exponential_average(tmp_path: Path) -> None:
    data = tw.load("digits")
    model = digits_model(data)
    by_hand = copy.deepcopy(model)
    recipe = tw.Recipe(**PLAIN, epochs=1, batch_size=400, average=0.5)
    run = tw.fit(model, data, recipe, out=tmp_path / "run")
    optimizer = torch.optim.SGD(by_hand.parameters(), 0.05, momentum=0.9)
    average = None
    for batch in epoch_batches(data, recipe.seed, 400, 0):
        optimizer.zero_grad()
        functional.cross_entropy(by_hand(batch.inputs), batch.targets).backward()
        optimizer.step()
        now = weights(by_hand)
        average = now if average is None else 0.5 * average + 0.5 * now
    assert average is not None
    found = newest_checkpoint(run.run_folder.checkpoints)
    assert found is not None
    kept = found[0].tensors["average"]
    averaged = torch.cat([kept[name].flatten() for name, _ in by_hand.named_parameters()])
    assert torch.allclose(averaged, average, atol=1e-6)


def test_float16_and_bfloat16_train_as_float32_does(tmp_path: Path) -> None:
    data = tw.load("digits")
    for precision in ("float16", "bfloat16"):
        recipe = tw.Recipe(epochs=4, precision=precision)
        run = tw.fit("mlp", data, recipe, out=tmp_path / precision)
        assert run.metrics["valid_accuracy"] > 0.85, precision


@pytest.mark.slow
def test_a_compiled_model_trains_to_the_same_loss(tmp_path: Path) -> None:
    data = tw.load("iris")
    losses = [
        tw.fit(
            "mlp", data, tw.Recipe(epochs=3, compile=compiled), out=tmp_path / str(compiled)
        ).metrics["train_loss"]
        for compiled in (False, True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
