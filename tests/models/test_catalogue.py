"""Models by name: published sizes, shapes that fit, clear refusals."""

from __future__ import annotations

import pytest
import torch

import trainwell as tw
from trainwell.errors import ModelError
from trainwell.training.session import count_parameters

IMAGE = (3, 32, 32)


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("lenet5", (1, 32, 32), 61_706),
        ("lenet5", (1, 28, 28), 61_706),
        ("mlp", (784,), 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10),
        ("softmax", (1, 28, 28), 7_850),
    ],
)
def test_parameters_are_counted_exactly(name: str, shape: tuple[int, ...], parameters: int) -> None:
    model = tw.models.create(name, input_shape=shape, classes=10)
    assert count_parameters(model) == parameters
    assert model(torch.zeros(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet20", "0.27"),
        ("resnet32", "0.46"),
        ("resnet44", "0.66"),
        ("resnet56", "0.85"),
        ("resnet110", "1.7"),
    ],
)
def test_residual_networks_have_the_published_number_of_parameters(
    name: str, millions: str
) -> None:
    model = tw.models.create(name, input_shape=IMAGE, classes=10)
    digits = len(millions.partition(".")[2])
    assert f"{count_parameters(model) / 1e6:.{digits}f}" == millions


def test_a_seed_draws_the_same_weights_and_leaves_torchs_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    first, second = (tw.models.create("mlp", input_shape=(4,), classes=3, seed=9) for _ in "ab")
    assert torch.equal(torch.rand(2), expected)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_initial_loss_of_every_model_is_near_what_chance_predicts() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(64, *IMAGE, generator=generator)
    targets = torch.arange(64) % 10
    for name in tw.models.CATALOGUE:
        model = tw.models.create(name, input_shape=IMAGE, classes=10, seed=0)
        loss = torch.nn.functional.cross_entropy(model(images), targets).item()
        assert abs(loss - 2.302585) < 0.3, name


def test_every_gradient_of_every_model_is_right_in_double_precision() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 16, 16, generator=generator, dtype=torch.float64)
    for name in ("softmax", "mlp", "lenet5", "resnet20"):
        model = tw.models.create(name, input_shape=(3, 16, 16), classes=4, seed=0).double().eval()
        last = [p for p in model.parameters() if p.ndim > 1][-1]

        def loss_of(weight: torch.Tensor, model: torch.nn.Module = model) -> torch.Tensor:
            names = {id(p): n for n, p in model.named_parameters()}
            return torch.func.functional_call(model, {names[id(last)]: weight}, images).sum()  # noqa: B023

        assert torch.autograd.gradcheck(loss_of, last.detach().clone().requires_grad_())


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("lenet5", (1, 8, 8), "at least 12"),
        ("resnet20", (13,), "flat inputs"),
        ("resnt20", IMAGE, "Did you mean 'resnet20'"),
    ],
)
def test_a_model_that_cannot_be_is_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        tw.models.create(name, input_shape=shape, classes=10)
