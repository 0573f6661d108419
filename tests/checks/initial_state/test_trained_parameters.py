import copy

import torch
from torch import nn

from tests.checks.initial_state.looking import codes, report, seeded
from trainwell.checks.initial_state.trained_parameters import check_trained_parameters


class Listed(nn.Module):
    def __init__(self, holder) -> None:
        super().__init__()
        self.layers = holder([nn.Linear(64, 32), nn.Linear(32, 10)])

    def forward(self, x):
        first, last = self.layers
        return last(first(x).relu())


class Loose(nn.Module):
    """A weight that is a plain tensor or a parameter."""

    def __init__(self, make) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)
        self.scale = make(torch.ones(64))

    def forward(self, x):
        return self.head(x * self.scale)


class MadeInForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        return self.head(nn.Linear(64, 32)(x).relu())


def test_layers_in_a_plain_list_are_named():
    (finding,) = report(check_trained_parameters, Listed(list)).findings
    assert (finding.code, finding.severity) == ("frozen_params", "error")
    assert "layers[0].weight" in finding.where
    assert finding.evidence["parameters"] == 4
    assert codes(check_trained_parameters, Listed(nn.ModuleList)) == []


def test_layers_in_a_plain_dictionary_are_named():
    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.towers = {"a": nn.Linear(64, 10), "b": nn.Linear(64, 10)}
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.scale * (self.towers["a"](x) + self.towers["b"](x))

    assert codes(check_trained_parameters, Towers()) == ["frozen_params"]


def test_a_trainable_tensor_that_is_no_parameter_is_named():
    assert codes(check_trained_parameters, Loose(lambda t: t.requires_grad_())) == ["frozen_params"]
    assert codes(check_trained_parameters, Loose(nn.Parameter)) == []
    assert codes(check_trained_parameters, Loose(lambda t: t)) == []


def test_layers_made_within_forward_are_named():
    assert codes(check_trained_parameters, MadeInForward()) == ["frozen_params"]


def test_hidden_layers_that_the_optimiser_holds_are_a_note():
    model = Listed(list)
    model.scale = nn.Parameter(torch.ones(()))
    held = [p for layer in model.layers for p in layer.parameters()]
    optimizer = torch.optim.SGD([model.scale, *held], 0.1)
    found = report(check_trained_parameters, model, optimizer=optimizer).findings
    assert [f.severity for f in found] == ["note"]


def test_layers_that_the_optimiser_lacks_are_named():
    model = seeded(64, 32, 10)
    optimizer = torch.optim.SGD(model[2].parameters(), 0.1)
    (finding,) = report(check_trained_parameters, model, optimizer=optimizer).findings
    assert (finding.code, finding.where) == ("frozen_params", "0.weight, 0.bias")
    model[0].requires_grad_(False)
    assert codes(check_trained_parameters, model, optimizer=optimizer) == []


def test_an_optimiser_of_another_model_is_named():
    model = seeded(64, 32, 10)
    optimizer = torch.optim.Adam(copy.deepcopy(model).parameters())
    (finding,) = report(check_trained_parameters, model, optimizer=optimizer).findings
    assert "none of which" in finding.cause


def test_recurrent_layers_hold_their_weights_twice_and_are_healthy():
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.LSTM(8, 16, 2, batch_first=True), nn.Linear(16, 10)

        def forward(self, x):
            return self.head(self.layer(x.view(-1, 8, 8))[0][:, -1])

    model = Last()
    optimizer = torch.optim.Adam(model.parameters())
    assert codes(check_trained_parameters, model, optimizer=optimizer) == []
