import pytest
import torch
from torch import nn

from tests.checks.initial_state.looking import codes, report, seeded, weights
from tests.checks.initial_state.ordinary_programs import PROGRAMS, digits, pictures, words
from trainwell.checks.initial_state.initial_weights import check_initial_weights
from trainwell.models.catalogue import create


def test_weights_that_are_all_zero_are_named():
    model = seeded(64, 32, 10)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    assert codes(check_initial_weights, model) == ["bad_init"]
    assert codes(check_initial_weights, seeded(64, 32, 10)) == []


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_units_that_stay_alike_are_named(activation):
    model = weights(seeded(64, 32, 10, activation=activation), lambda w: w.fill_(0.05))
    with torch.no_grad():
        model[0].bias.fill_(0.1)
    (finding,) = report(check_initial_weights, model).findings
    assert (finding.code, finding.severity) == ("bad_init", "error")


def test_alike_units_that_the_next_layer_tells_apart_are_a_warning():
    model = seeded(64, 32, 10)
    with torch.no_grad():
        model[0].weight.fill_(0.05)
        model[0].bias.fill_(0.1)
    (finding,) = report(check_initial_weights, model).findings
    assert (finding.code, finding.severity) == ("bad_init", "warning")


def test_filters_that_are_zero_are_named():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(128, 10)),
    )
    assert codes(check_initial_weights, model, pictures()) == []
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    assert codes(check_initial_weights, model, pictures()) == ["bad_init"]


def test_zero_is_healthy_for_one_linear_layer_and_for_the_last_one():
    single = seeded(64, 10)
    nn.init.zeros_(single[0].weight)
    assert codes(check_initial_weights, single) == []
    model = seeded(64, 32, 10)
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    assert codes(check_initial_weights, model) == []


@pytest.mark.parametrize("name", ["fixup_resnet20", "resnet20"])
def test_residual_networks_that_start_at_zero_are_healthy(name):
    model = create(name, input_shape=(1, 8, 8), classes=10, seed=0)
    assert codes(check_initial_weights, model, pictures()) == []


@pytest.mark.parametrize(
    ("deviation", "depth"), [(1e-4, 2), (1e-3, 3), (0.01, 8), (1.0, 3), (2.0, 5)]
)
def test_weights_of_another_size_are_named(deviation, depth):
    model = seeded(64, *[64] * depth, 10, activation=nn.Tanh)
    assert codes(check_initial_weights, model) == []
    weights(model, lambda w: nn.init.normal_(w, std=deviation))
    assert codes(check_initial_weights, model) == ["bad_init"]


def test_size_is_no_matter_before_a_normalisation():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    with torch.no_grad():
        model[0].weight.mul_(30)
    assert codes(check_initial_weights, model) == []


def test_recurrent_weights_that_are_too_large_are_named():
    torch.manual_seed(0)
    program = PROGRAMS["gru"]()
    assert codes(check_initial_weights, program.model, program.data) == []
    nn.init.normal_(program.model.layer.weight_hh_l0)  # pyright: ignore
    assert codes(check_initial_weights, program.model, program.data) == ["bad_init"]


def test_weights_that_are_not_finite_are_named_with_their_name():
    model = seeded(64, 32, 10)
    with torch.no_grad():
        model[2].weight[0, 0] = float("inf")
    (finding,) = report(check_initial_weights, model).findings
    assert (finding.code, finding.where) == ("bad_init", "2.weight")


def test_embeddings_may_start_at_zero():
    torch.manual_seed(0)
    model = PROGRAMS["words-bag"]().model
    nn.init.zeros_(model.embedding.weight)  # pyright: ignore
    assert codes(check_initial_weights, model, words()) == []


def test_a_frozen_layer_is_not_judged():
    inputs, targets = digits()
    model = seeded(64, 32, 10)
    nn.init.constant_(model[0].weight, 0.05)
    model[0].requires_grad_(False)
    assert codes(check_initial_weights, model, (inputs, targets)) == []
