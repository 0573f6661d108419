"""What the lectures say of models, on real data: digits, samples, pretraining and depth."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
import torch

import trainwell as tw
from trainwell.data.dataset import Dataset
from trainwell.models.deep_belief import DeepBelief

pytestmark = pytest.mark.slow

SURE = 0.5
"""One digit is more probable than all others together."""
LABELS = 1000


@pytest.fixture(scope="module")
def mnist(shared_data: Path) -> Dataset:
    return tw.load(shared_data / "mnist")


@pytest.fixture(scope="module")
def lenet(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    out = tmp_path_factory.mktemp("lenet") / "run"
    return tw.fit("lenet5", mnist, tw.Recipe(epochs=2, augment=()), out=out)


def test_lenet_5_reads_digits_after_two_epochs(lenet: tw.Run) -> None:
    assert lenet.metrics["test_accuracy"] >= 0.985


def share_of_digits(lenet: tw.Run, pictures: torch.Tensor) -> float:
    """The share of pictures, values in [0, 1], that the classifier is sure to be some digit."""
    pixels = (255 * pictures).round().to(torch.uint8)
    probabilities = torch.as_tensor(lenet.predict_probabilities(pixels))
    return float((probabilities.amax(1) >= SURE).float().mean())


@pytest.mark.parametrize("name", ["rbm", "variational_autoencoder"])
def test_samples_look_like_digits_to_a_classifier_and_scrambled_ones_do_not(
    name: str, mnist: Dataset, lenet: tw.Run, tmp_path: Path
) -> None:
    run = tw.fit(name, mnist, tw.Recipe(epochs=10), out=tmp_path / "run")
    torch.manual_seed(0)
    samples = run.model.generate(500)
    orders = torch.rand(500, 784).argsort(1)
    scrambled = samples.flatten(1).gather(1, orders).reshape(samples.shape)
    assert share_of_digits(lenet, samples) >= 0.7
    assert share_of_digits(lenet, scrambled) < 0.2
    kinds = torch.as_tensor(lenet.predict((255 * samples).round().to(torch.uint8))).unique()
    assert len(kinds) >= 5
    assert "<h2>Samples</h2>" in run.report().read_text()


def test_greedy_pretraining_is_worth_three_points_with_a_thousand_labels(
    mnist: Dataset, tmp_path: Path
) -> None:
    inputs, targets, test = mnist.train.inputs, mnist.train.targets, mnist.test
    assert isinstance(inputs, torch.Tensor) and test is not None
    gains = []
    for seed in range(2):
        few = slice(seed * LABELS, (seed + 1) * LABELS)
        scores = []
        for epochs in (0, 5):
            model = tw.models.create(
                "deep_belief", mnist, seed=seed, sizes=(300, 150), pretrain_epochs=0
            )
            assert isinstance(model, DeepBelief)
            if epochs:
                torch.manual_seed(seed)
                model.pretrain(inputs[:10_000].float() / 255, epochs)
            recipe = tw.Recipe(epochs=30, batch_size=32, seed=seed)
            out = tmp_path / f"{seed}-{epochs}"
            run = tw.fit(model, (inputs[few], targets[few]), recipe, out=out)
            predicted = torch.as_tensor(run.predict(test.inputs))
            scores.append(100 * float((predicted == test.targets).float().mean()))
        gains.append(scores[1] - scores[0])
    assert statistics.mean(gains) >= 3
    assert min(gains) > 0


def few_cifar_images(shared_data: Path, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    data = tw.load(shared_data / "cifar10")
    assert isinstance(data.train.inputs, torch.Tensor)
    return data.train.inputs[:count], data.train.targets[:count]


def test_without_shortcuts_56_layers_learn_worse(shared_data: Path, tmp_path: Path) -> None:
    data = few_cifar_images(shared_data, 2560)
    losses = {}
    for name in ("plain56", "resnet56"):
        recipe = tw.Recipe(epochs=2, batch_size=64, augment=(), learning_rate=0.02)
        run = tw.fit(name, data, recipe, out=tmp_path / name)
        losses[name] = run.metrics["train_loss"]
    assert losses["resnet56"] < losses["plain56"] - 0.2


def test_gates_and_shortcuts_train_at_the_depth_where_plain_layers_do_not(tmp_path: Path) -> None:
    # Both with He's weights and 50 units a layer.
    depth, recipe = 80, tw.Recipe(epochs=15, learning_rate=0.02, watch=False)
    data = tw.load("digits")
    plain = tw.models.create("mlp", data, seed=0, sizes=(50,) * depth)
    run = tw.fit(plain, data, recipe, out=tmp_path / "plain")
    assert run.metrics["test_accuracy"] < 0.4
    gated = tw.models.create("highway_mlp", data, seed=0, depth=depth, gate_bias=-5.0)
    run = tw.fit(gated, data, recipe, out=tmp_path / "highway")
    assert run.metrics["test_accuracy"] > 0.9
    dense = tw.fit("densenet40_4", data, tw.Recipe(epochs=4, watch=False), out=tmp_path / "dense")
    assert dense.metrics["test_accuracy"] > 0.9
