import pytest
import torch
from torch import nn

from tests.checks.initial_state.looking import codes, report
from tests.checks.initial_state.ordinary_programs import digits
from trainwell.checks.initial_state.batch_normalisation import check_batch_normalisation


def normalised(**options) -> nn.Sequential:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(32, **options)
    return nn.Sequential(nn.Linear(64, 32), norm, nn.ReLU(), nn.Linear(32, 10))


def test_usual_settings_pass():
    assert codes(check_batch_normalisation, normalised(), batch_size=32) == []
    assert codes(check_batch_normalisation, normalised(momentum=None), batch_size=32) == []
    assert codes(check_batch_normalisation, normalised(momentum=0.01), batch_size=32) == []


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.0},
        {"momentum": 1e-4},
        {"momentum": 0.9},
        {"momentum": 1.0},
        {"track_running_stats": False},
        {"eps": 1.0},
    ],
)
def test_settings_that_spoil_the_statistics_are_named(options):
    found = codes(check_batch_normalisation, normalised(**options), batch_size=32)
    assert found == ["batchnorm_misuse"]


@pytest.mark.parametrize("batch_size", [1, 2])
def test_batches_of_one_or_two_are_named(batch_size):
    found = codes(check_batch_normalisation, normalised(), batch_size=batch_size)
    assert found == ["batchnorm_misuse"]


def test_a_last_batch_of_one_is_named():
    inputs, targets = digits()
    data = inputs[:321], targets[:321]
    assert codes(check_batch_normalisation, normalised(), data, batch_size=32) == [
        "batchnorm_misuse"
    ]
    assert codes(check_batch_normalisation, normalised(), data, batch_size=40) == [
        "batchnorm_misuse"
    ]
    assert codes(check_batch_normalisation, normalised(), data, batch_size=48) == []


def test_a_normalisation_behind_the_last_layer_is_named():
    model = nn.Sequential(*normalised(), nn.BatchNorm1d(10))
    (finding,) = report(check_batch_normalisation, model).findings
    assert (finding.code, finding.where) == ("batchnorm_misuse", "4")


def test_statistics_that_are_no_numbers_are_named():
    model = normalised()
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm1d) and norm.running_var is not None
    norm.running_var[0] = float("nan")
    assert codes(check_batch_normalisation, model) == ["batchnorm_misuse"]
