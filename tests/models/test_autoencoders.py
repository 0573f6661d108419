"""Autoencoders: principal components, ties, noise, generation, and their place in a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

import trainwell as tw
from trainwell.errors import ModelError
from trainwell.models.autoencoder import (
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
    TiedAutoencoder,
)
from trainwell.nn.losses import squared_error


def test_a_linear_autoencoder_finds_the_plane_of_the_principal_components(tmp_path: Path) -> None:
    data = tw.load("digits", task="reconstruction")
    recipe = tw.Recipe(epochs=300, batch_size=128, learning_rate=3e-3)
    run = tw.fit("linear_autoencoder", data, recipe, out=tmp_path / "run")
    assert isinstance(data.train.inputs, torch.Tensor)
    inputs = data.preprocess(data.train.inputs).flatten(1)
    centred = inputs - inputs.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    kept = directions[:10]
    best = (centred - centred @ kept.T @ kept).square().mean().item()
    found = run.evaluate("train")["train_loss"]
    assert best * 0.9999 < found < best * 1.01
    # The same plane: the decoder's columns lie in it.
    decoder = run.model.decoder[0].weight.detach()
    assert (decoder - kept.T @ kept @ decoder).norm() < 0.15 * decoder.norm()


def test_the_two_blob_autoencoder_of_the_lectures(tmp_path: Path) -> None:
    data = tw.load("two-blobs")
    model = tw.models.create("autoencoder", data, seed=0)
    run = tw.fit(model, data, tw.Recipe(epochs=30), out=tmp_path / "run")
    assert run.about["parameters"] == 11_210
    test = run.data.test
    assert test is not None and len(test) == 400
    inputs = run.data.preprocess(test.inputs)
    assert model.encode(inputs).shape == (400, 10)
    assert run.predict(test.inputs).shape == (400, 100)
    assert run.metrics["test_loss"] < 0.3


def test_tied_weights_are_one_parameter_and_pretraining_lowers_the_first_loss() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(500, 20) @ torch.randn(20, 20)
    model = TiedAutoencoder((20,), 20, sizes=(12, 6), pretrain_epochs=20)
    assert sum(p.numel() for p in model.parameters()) == 20 * 12 + 12 + 12 * 6 + 6 + 12 + 20
    before = squared_error(model(inputs), inputs)
    model.prepare(inputs)
    assert squared_error(model(inputs), inputs) < before
    assert all(p.grad is None for p in model.parameters())


def test_a_sparse_autoencoder_has_seldom_active_units(tmp_path: Path) -> None:
    active = {}
    for weight in (0.0, 0.1):
        data = tw.load("digits", task="reconstruction")
        model = tw.models.create("sparse_autoencoder", data, seed=0, weight=weight)
        tw.fit(model, data, tw.Recipe(epochs=15), out=tmp_path / str(weight))
        assert isinstance(model, SparseAutoencoder)
        active[weight] = float(model.encode(data.preprocess(data.train.inputs)).mean())
    assert active[0.1] < 0.12 < active[0.0]


def test_a_denoising_autoencoder_spoils_only_in_training_and_mends_noise(tmp_path: Path) -> None:
    data = tw.load("digits", task="reconstruction")
    model = tw.models.create("denoising_autoencoder", data, seed=0)
    assert isinstance(model, DenoisingAutoencoder)
    tw.fit(model, data, tw.Recipe(epochs=30), out=tmp_path / "run")
    model.eval()
    inputs = data.preprocess(data.test.inputs)  # type: ignore[union-attr]
    assert torch.equal(model(inputs), model(inputs))
    spoilt = model.spoil(inputs)
    mended = model(spoilt).reshape(inputs.shape)
    assert (mended - inputs).square().mean() < 0.5 * (spoilt - inputs).square().mean()


@pytest.mark.parametrize("size", [(8, 8), (9, 11), (28, 28), (13, 8)])
def test_a_convolutional_autoencoder_gives_back_any_size(size: tuple[int, int]) -> None:
    model = ConvolutionalAutoencoder((2, *size), 2 * size[0] * size[1])
    assert model(torch.zeros(3, 2, *size)).shape == (3, 2 * size[0] * size[1])


def test_a_sequence_autoencoder_writes_sequences_and_pictures_in_their_order() -> None:
    for shape in ((20, 3), (2, 8, 6), (15,)):
        model = tw.models.create("sequence_autoencoder", input_shape=shape, classes=1, seed=0)
        size = torch.Size(shape).numel()
        assert model(torch.zeros(2, *shape)).shape == (2, size)
        optimizer = torch.optim.Adam(model.parameters(), 0.003)
        example = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
        for _ in range(800):
            optimizer.zero_grad()
            loss = squared_error(model(example), example.flatten(1))
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.1


def test_a_variational_autoencoder_generates_and_interpolates(tmp_path: Path) -> None:
    run = tw.fit("variational_autoencoder", "digits", tw.Recipe(epochs=15), out=tmp_path / "run")
    model = run.model
    torch.manual_seed(0)
    made = model.generate(64)
    assert made.shape == (64, 1, 8, 8) and made.min() >= 0 and made.max() <= 1
    real = run.data.preprocess(run.data.test.inputs)
    assert abs(float(made.mean() - real.mean())) < 0.1
    between = model.interpolate(real[:1], real[1:2], steps=5)
    assert between.shape == (5, 1, 8, 8)
    ends = model(real[:2]).reshape(2, 1, 8, 8)
    assert torch.allclose(between[[0, 4]], ends, atol=1e-5)
    assert run.metrics["valid_loss"] < 26
    shown = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert len(shown["samples"]) == 48 and len(shown["reconstructions"]) == 12
    page = run.report().read_text()
    assert "<h2>Samples</h2>" in page and "Reconstructions" in page


def test_a_reconstruction_opens_again_with_its_task_and_preprocessing(tmp_path: Path) -> None:
    tw.fit("variational_autoencoder", "digits", tw.Recipe(epochs=1), out=tmp_path / "run")
    run = tw.load_run(tmp_path / "run")
    assert run.data.task == "reconstruction"
    assert run.data.preprocess.steps == ("unit_range",)
    assert run.evaluate("test") == {"test_loss": pytest.approx(run.metrics["test_loss"])}


def test_the_users_own_preprocessing_is_left(tmp_path: Path) -> None:
    data = tw.load("digits", preprocess=["centre"])
    model = tw.models.create("deep_belief", data, seed=0, pretrain_epochs=0)
    run = tw.fit(model, data, tw.Recipe(epochs=1), out=tmp_path / "run")
    assert run.data.preprocess.steps == ("centre",)


@pytest.mark.parametrize("name", ["variational_autoencoder", "rbm", "deep_belief"])
def test_inputs_that_are_no_probabilities_are_refused(name: str, tmp_path: Path) -> None:
    data = tw.load("digits", preprocess=["centre"])
    with pytest.raises(ModelError, match=r"as probabilities.*unit_range"):
        tw.fit(name, data, tw.Recipe(epochs=1), out=tmp_path / "run")


@pytest.mark.parametrize("name", ["deep_belief", "stacked_autoencoder", "rbm"])
def test_a_trained_model_is_not_prepared_again(name: str, tmp_path: Path) -> None:
    options = {} if name == "rbm" else {"pretrain_epochs": 1}
    data = tw.load("digits")
    first = tw.fit(
        tw.models.create(name, data, seed=0, **options),
        data,
        tw.Recipe(epochs=1),
        out=tmp_path / "first",
    )
    before = {n: v.clone() for n, v in first.model.state_dict().items() if n != "chains"}
    assert before["prepared"]
    still = tw.Recipe(epochs=1, optimizer="sgd", learning_rate=1e-9)
    tw.fit(first.model, data, still, out=tmp_path / "second")
    fresh = tw.models.create(name, data, seed=1, **options)
    recipe = dataclasses.replace(still, start_from=str(first.folder))
    tw.fit(fresh, data, recipe, out=tmp_path / "third")
    for model in (first.model, fresh):
        after = model.state_dict()
        assert all(torch.allclose(before[n].float(), after[n].float(), atol=1e-5) for n in before)
