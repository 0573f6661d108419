"""Initial weights: the lectures' ten layers, published draws, and draws that look at data."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.errors import ModelError
from trainwell.nn.data_dependent import initialise_data_dependent, initialise_lsuv
from trainwell.nn.fixup import initialise_fixup
from trainwell.nn.initialisation import SCHEMES, fans, initialise
from trainwell.nn.pairing import pair_with_activations

SMALL = (0.213, 0.0476, 0.0106, 0.00238, 0.000532, 0.000119, 0.000026, 0.000006, 0.000001, 0.0)
XAVIER = (0.628, 0.486, 0.408, 0.357, 0.321, 0.292, 0.273, 0.255, 0.239, 0.228)


def chain(activation: type[nn.Module], width: int = 500, depth: int = 10) -> nn.Sequential:
    layers = [m for _ in range(depth) for m in (nn.Linear(width, width, bias=False), activation())]
    return nn.Sequential(*layers)


@torch.no_grad()
def outputs_of(model: nn.Sequential, inputs: torch.Tensor) -> list[torch.Tensor]:
    return list(itertools.accumulate(model, lambda x, layer: layer(x), initial=inputs))[2::2]


def deviations(activation: type[nn.Module], scheme: str) -> list[float]:
    torch.manual_seed(0)
    model = chain(activation)
    initialise(model, scheme)
    return [float(h.std()) for h in outputs_of(model, torch.randn(1000, 500))]


def test_small_weights_make_ten_tanh_layers_fade_as_printed() -> None:
    assert deviations(nn.Tanh, "small_normal") == pytest.approx(SMALL, rel=0.08, abs=1e-6)


def test_unit_weights_saturate_every_tanh_layer() -> None:
    assert deviations(nn.Tanh, "unit_normal") == pytest.approx([0.982] * 10, abs=0.003)


def test_xavier_keeps_ten_tanh_layers_alive_as_printed() -> None:
    assert deviations(nn.Tanh, "xavier") == pytest.approx(XAVIER, rel=0.06)


def test_xavier_lets_ten_relu_layers_fade_and_he_keeps_them() -> None:
    faded, kept = deviations(nn.ReLU, "xavier"), deviations(nn.ReLU, "he")
    assert faded[0] == pytest.approx(0.582, abs=0.01)
    assert faded[-1] == pytest.approx(0.026, abs=0.006)
    assert all(0.72 < deviation < 0.98 for deviation in kept)


@pytest.mark.parametrize(
    ("scheme", "deviation"),
    {
        "xavier": 1 / math.sqrt(300),
        "he": math.sqrt(2 / 300),
        "glorot_normal": math.sqrt(2 / 500),
        "glorot_uniform": math.sqrt(2 / 500),
        "glorot_sigmoid": 4 * math.sqrt(2 / 500),
        "glorot_relu": math.sqrt(2) * math.sqrt(2 / 500),
        "small_normal": 0.01,
        "unit_normal": 1.0,
        "zero": 0.0,
    }.items(),
)
def test_a_scheme_draws_with_its_deviation(scheme: str, deviation: float) -> None:
    layer = nn.Linear(300, 200)
    initialise(layer, scheme)
    assert float(layer.weight.std()) == pytest.approx(deviation, rel=0.03, abs=1e-12)
    assert not layer.bias.any()


def test_the_fan_in_of_a_convolution_is_its_kernel_times_its_channels() -> None:
    assert fans(nn.Conv2d(3, 8, 5)) == (75, 200)
    assert fans(nn.Conv2d(4, 8, 5, groups=2)) == (50, 100)
    assert fans(nn.ConvTranspose2d(3, 8, 5)) == (75, 200)
    assert fans(nn.ConvTranspose2d(4, 8, 5, groups=2)) == (50, 100)


@pytest.mark.parametrize("stride", [1, 2])
def test_transposed_convolutions_keep_the_mean_square(stride: int) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(64, 16, 4, stride=stride)
    initialise(layer, "he")
    outputs = layer(torch.randn(8, 64, 16, 16))[:, :, 4:-4, 4:-4]
    assert float(outputs.square().mean()) == pytest.approx(2, rel=0.1)


def test_units_that_start_equal_stay_equal() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    initialise(model, "constant")
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).square().mean().backward()
        optimizer.step()
    weight = model[0].weight
    assert torch.allclose(weight[0], weight[1]) and torch.allclose(weight[1], weight[2])


def test_orthogonal_weights_keep_every_length_up_to_the_gain_of_the_activation() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    initialise(model, "orthogonal")
    inputs = torch.randn(10, 64)
    for layer, gain in ((model[0], math.sqrt(2)), (model[2], 1.0)):
        assert torch.allclose(layer(inputs).norm(dim=1), gain * inputs.norm(dim=1), rtol=1e-4)


def test_a_random_walk_keeps_the_gradient_through_a_hundred_layers() -> None:
    torch.manual_seed(0)
    kept = {}
    for scheme in ("random_walk", "xavier"):
        logs = []
        for _ in range(5):
            model = chain(nn.ReLU, width=100, depth=100)
            initialise(model, scheme)
            inputs = torch.randn(20, 100, requires_grad=True)
            model(inputs).square().sum().backward()
            assert inputs.grad is not None
            logs.append(float(inputs.grad.norm().log()))
        kept[scheme] = sum(logs) / len(logs)
    assert abs(kept["random_walk"]) < 12 < abs(kept["xavier"])


def test_lsuv_gives_every_layer_unit_variance() -> None:
    torch.manual_seed(0)
    model = chain(nn.Tanh, width=100)
    inputs = 7 * torch.randn(500, 100)
    initialise_lsuv(model, inputs)
    hidden = inputs
    with torch.no_grad():
        for layer in model:
            hidden = layer(hidden)
            if isinstance(layer, nn.Linear):
                assert float(hidden.std()) == pytest.approx(1, abs=0.06)


def test_data_dependent_weights_centre_and_scale_every_unit() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    inputs = 3 + 2 * torch.randn(64, 3, 8, 8)
    initialise_data_dependent(model, inputs)
    with torch.no_grad():
        maps = model[0](inputs).transpose(0, 1).flatten(1)
        scores = model(inputs)
    for values, axis in ((maps, 1), (scores, 0)):
        assert torch.allclose(values.mean(axis), torch.zeros(1), atol=1e-4)
        assert torch.allclose(values.std(axis), torch.ones(1), atol=1e-3)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (4, 5, 5)),
        (nn.ConvTranspose1d(4, 6, 3, groups=2), (4, 9)),
        (nn.Linear(4, 6), (7, 4)),
        (nn.Conv2d(4, 6, 3, groups=2), (4, 5, 5)),
    ],
)
def test_data_dependent_weights_find_the_units_of_any_layer(
    layer: nn.Linear, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    inputs = 3 + 2 * torch.randn(32, *shape)
    initialise_data_dependent(layer, inputs)
    with torch.no_grad():
        outputs = layer(inputs)
    axes = (0, 1) if isinstance(layer, nn.Linear) else (0, *range(2, outputs.ndim))
    assert torch.allclose(outputs.mean(axes), torch.zeros(6), atol=1e-4)
    assert torch.allclose(outputs.std(axes), torch.ones(6), atol=1e-3)


def test_activations_are_found_behind_normalisation_sums_and_function_calls() -> None:
    with torch.device("meta"):
        model = tw.models.create("densenet121", input_shape=(3, 224, 224), classes=1000)
    followed = [isinstance(activation, nn.ReLU) for _, activation in pair_with_activations(model)]
    assert followed == [True] * 120 + [False]

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first, self.gate = (nn.Linear(4, 4) for _ in range(3))
            self.silu, self.norm = nn.SiLU(), nn.BatchNorm1d(4)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            hidden = self.silu(self.norm(self.first(inputs)))
            return self.last(hidden * torch.sigmoid(self.gate(inputs)))

    mixed = Mixed()
    kinds = {id(layer): type(activation) for layer, activation in pair_with_activations(mixed)}
    found = [kinds[id(layer)] for layer in (mixed.first, mixed.gate, mixed.last)]
    assert found == [nn.SiLU, nn.Sigmoid, type(None)]
    assert all(m.training for m in mixed.modules())


def test_a_model_that_cannot_be_traced_is_paired_as_it_was_registered() -> None:
    class Branching(nn.Sequential):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input if input.sum() > 0 else -input)

    model = Branching(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    assert [activation for _, activation in pair_with_activations(model)] == [model[1], None]


def test_weights_are_picked_by_the_activation_that_follows() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 400), nn.Tanh(), nn.Linear(400, 400)
    )
    initialise(model, "auto")
    found = [float(model[i].weight.std()) * 20 for i in (0, 2, 4)]
    assert found == pytest.approx([math.sqrt(2), 1.0, 1.0], rel=0.02)


def test_fixup_trains_a_residual_network_without_normalisation() -> None:
    model = tw.models.create("fixup_resnet20", input_shape=(3, 32, 32), classes=10, seed=0)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    images = torch.randn(8, 3, 32, 32)
    assert not model(images).any()
    model.classifier.weight.data.normal_()
    narrow = model(images).std()
    deeper = tw.models.create("fixup_resnet56", input_shape=(3, 32, 32), classes=10, seed=0)
    deeper.classifier.weight.data.copy_(model.classifier.weight)
    assert float(deeper(images).std()) == pytest.approx(float(narrow), rel=0.5)


class Residual(nn.Module):
    """x + w · relu(v · x), without normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + self.branch(inputs)


def train_residual(scheme: str) -> float:
    """The last of 60 losses of 100 layers of 32 units on a few digits."""
    torch.manual_seed(0)
    blocks = [Residual(32) for _ in range(50)]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), *blocks, nn.Linear(32, 10))
    if scheme == "fixup":
        initialise_fixup(model, blocks)
    else:
        initialise(model, scheme)
    data = tw.load("digits")
    inputs, targets = data.preprocess(data.train.inputs[:256]), data.train.targets[:256]
    optimizer, loss = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9), torch.tensor(0.0)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def test_fixup_trains_a_hundred_layers_without_normalisation_where_he_does_not() -> None:
    assert train_residual("fixup") < 0.5
    assert not train_residual("he") < 2


def test_fixup_scales_the_inner_layers_of_branches_and_zeroes_their_last() -> None:
    torch.manual_seed(0)
    blocks = [Residual(200) for _ in range(16)]
    model = nn.Sequential(nn.Linear(200, 200), *blocks, nn.Linear(200, 3))
    initialise_fixup(model, blocks)
    assert float(model[0].weight.detach().std()) == pytest.approx(0.1, rel=0.03)
    inner, _, last = blocks[5].branch
    assert float(inner.weight.detach().std()) == pytest.approx(0.1 / 4, rel=0.03)
    assert not last.weight.any() and not model[-1].weight.any()


def test_an_unknown_scheme_names_the_near_miss() -> None:
    with pytest.raises(ModelError, match="Did you mean 'xavier'"):
        initialise(nn.Linear(2, 2), "xaver")
    with pytest.raises(ModelError, match="no gain for Tanh"):
        initialise(nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)), "random_walk")
    assert "auto" in SCHEMES
