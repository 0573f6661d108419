"""Normalisation by name, and folding it away."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.errors import ModelError
from trainwell.nn.normalisation import (
    NORMALISATIONS,
    count_modules,
    fold_batch_norm,
    make_normalisation,
)


def trained_statistics(model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
    model.train()
    with torch.no_grad():
        for _ in range(5):
            model(2 * torch.randn(16, *shape, generator=generator) + 1)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet20", (3, 16, 16)),
        ("stochastic_depth_resnet20", (3, 16, 16)),
        ("preact_resnet11", (3, 16, 16)),
        ("densenet_bc22_12", (3, 16, 16)),
        ("time_series_resnet", (64, 1)),
        pytest.param("bn_inception", (3, 64, 64), marks=pytest.mark.slow),
        pytest.param("inception_v3", (3, 96, 96), marks=pytest.mark.slow),
        pytest.param("resnet18", (3, 64, 64), marks=pytest.mark.slow),
    ],
)
def test_folding_leaves_the_outputs_and_removes_modules(name: str, shape: tuple[int, ...]) -> None:
    model = tw.models.create(name, input_shape=shape, classes=5, seed=0)
    trained_statistics(model, shape)
    folded = fold_batch_norm(model)
    inputs = torch.randn(4, *shape)
    with torch.no_grad():
        expected, found = model(inputs), folded(inputs)
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max().clamp_min(1)))
    assert count_modules(folded) < count_modules(model)


def test_folding_takes_all_normalisation_out_of_a_network_where_it_follows_a_layer() -> None:
    model = tw.models.create(
        "mlp", input_shape=(6,), classes=3, sizes=(8, 8), normalisation="batch"
    )
    folded = fold_batch_norm(trained_statistics(model, (6,)))
    assert not any(isinstance(m, nn.BatchNorm1d) for m in folded.modules())


def test_a_layer_that_others_read_too_is_not_folded() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            hidden = self.conv(images)
            return hidden + self.norm(hidden)

    model = trained_statistics(Shared(), (2, 4, 4))
    images = torch.randn(3, 2, 4, 4)
    assert torch.allclose(fold_batch_norm(model)(images), model(images), atol=1e-6)


def test_a_layer_that_is_called_twice_is_not_folded() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.conv(self.norm(self.conv(images)))

    model = trained_statistics(Twice(), (2, 4, 4))
    images = torch.randn(3, 2, 4, 4)
    assert torch.allclose(fold_batch_norm(model)(images), model(images), atol=1e-6)


def test_dropout_between_a_layer_and_its_normalisation_is_no_obstacle() -> None:
    model = tw.models.create("fractalnet21", input_shape=(3, 8, 8), classes=2, widths=(8, 8))
    trained_statistics(model, (3, 8, 8))
    folded = fold_batch_norm(model)
    kinds = (nn.BatchNorm2d, nn.Dropout)
    assert not any(isinstance(module, kinds) for module in folded.modules())
    images = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        assert torch.allclose(folded(images), model(images), atol=1e-5)


def test_a_model_that_cannot_be_traced_is_refused() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError, match="cannot be traced"):
        fold_batch_norm(Branching())


@pytest.mark.parametrize(
    ("name", "axes"), {"layer": (1, 2, 3), "instance": (2, 3), "batch": (0, 2, 3)}.items()
)
def test_what_a_normalisation_averages_over(name: str, axes: tuple[int, ...]) -> None:
    images = 3 + 2 * torch.randn(8, 4, 5, 5)
    normalised = make_normalisation(name, 4, 2).train()(images)
    assert torch.allclose(normalised.mean(axes), torch.zeros(1), atol=1e-5)
    assert torch.allclose(normalised.var(axes, correction=0), torch.ones(1), atol=1e-3)


def test_group_normalisation_has_several_channels_in_a_group() -> None:
    norm = make_normalisation("group", 64, 2)
    assert isinstance(norm, nn.GroupNorm) and norm.num_groups == 32


def test_what_does_not_suit_is_refused() -> None:
    with pytest.raises(ModelError, match="more than one value"):
        make_normalisation("instance", 4, 0)
    with pytest.raises(ModelError, match="Known: batch"):
        make_normalisation("bach", 4, 0)
    assert "none" in NORMALISATIONS
