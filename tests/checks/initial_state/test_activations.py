import torch
from torch import nn
from torch.nn import functional

from tests.checks.initial_state.looking import codes, report, seeded, weights
from tests.checks.initial_state.ordinary_programs import PROGRAMS, pictures
from trainwell.checks.initial_state.activations import check_activations


class Functional(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.first, self.last = nn.Linear(64, 32), nn.Linear(32, 10)

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def test_saturated_tanh_is_named():
    for activation in (nn.Tanh, nn.Sigmoid):
        model = seeded(64, 64, 10, activation=activation)
        assert codes(check_activations, model) == []
        model = weights(model, lambda w: w.mul_(60))
        assert codes(check_activations, model) == ["saturated_units"]


def test_biases_that_saturate_are_named():
    model = seeded(64, 64, 10, activation=nn.Tanh)
    nn.init.constant_(model[0].bias, 10)
    assert codes(check_activations, model) == ["saturated_units"]


def test_units_that_never_fire_are_named():
    model = seeded(64, 64, 10)
    nn.init.constant_(model[0].bias, -10)
    (finding,) = report(check_activations, model).findings
    assert (finding.code, finding.severity, finding.where) == ("dying_relu", "error", "1")
    assert finding.evidence["dead"] == 1


def test_functions_are_seen_without_modules():
    for function in (torch.relu, functional.relu, lambda x: x.clamp(min=0), torch.Tensor.relu_):
        model = Functional(function)
        assert codes(check_activations, model) == []
        nn.init.constant_(model.first.bias, -10)
        (finding,) = report(check_activations, model).findings
        assert (finding.code, finding.where) == ("dying_relu", "after first")


def test_dead_channels_of_feature_maps_are_named():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1152, 10))
    assert codes(check_activations, model, pictures()) == []
    with torch.no_grad():
        model[0].bias[:28] = -20
    (finding,) = report(check_activations, model, pictures()).findings
    assert finding.code == "dying_relu"
    assert finding.evidence["dead"] == 28 / 32


def test_half_of_the_units_dead_in_a_deep_layer_is_chance():
    model = seeded(64, *[48] * 9, 10)
    assert codes(check_activations, model) == []


def test_channels_padded_with_zeros_are_not_dead():
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(64, 8), nn.Linear(64, 10)

        def forward(self, x):
            return self.last(functional.pad(self.first(x), (0, 56)).relu())

    assert codes(check_activations, Padded()) == []


def test_signals_that_grow_from_layer_to_layer_are_named():
    model = weights(seeded(64, *[64] * 6, 10), lambda w: w.mul_(20))
    assert codes(check_activations, model) == ["bad_init"]


def test_gates_held_shut_are_named():
    program = PROGRAMS["lstm"]()
    assert codes(check_activations, program.model, program.data) == []
    with torch.no_grad():
        program.model.layer.bias_ih_l0[:32] = -15  # pyright: ignore
    assert codes(check_activations, program.model, program.data) == ["saturated_units"]
