import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.checks.initial_state.looking import codes, report, seeded
from tests.checks.initial_state.ordinary_programs import digits, patients, tumours
from trainwell.checks.initial_state.loss_fits import check_loss_fits
from trainwell.nn.losses import multiclass_hinge


@pytest.mark.parametrize(
    "loss",
    [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), lambda o, t: (o - t).square().mean()],
)
def test_a_column_against_a_row_is_named(loss):
    inputs, targets = patients()
    model = seeded(10, 16, 1)
    assert codes(check_loss_fits, model, (inputs, targets.squeeze(1)), loss) == ["wrong_loss"]
    assert codes(check_loss_fits, model, (inputs, targets), loss) == []


def test_a_row_against_a_column_is_named():
    model = nn.Sequential(seeded(10, 16, 1), nn.Flatten(0))
    assert codes(check_loss_fits, model, patients(), nn.MSELoss()) == ["wrong_loss"]


def test_an_own_loss_that_makes_shapes_fit_is_none():
    inputs, targets = patients()

    def loss(outputs, wanted):
        return functional.mse_loss(outputs.squeeze(1), wanted)

    assert codes(check_loss_fits, seeded(10, 1), (inputs, targets.squeeze(1)), loss) == []


def test_several_outputs_for_one_target_are_named():
    assert codes(check_loss_fits, seeded(10, 16, 5), patients(), nn.MSELoss()) == ["wrong_loss"]


@pytest.mark.parametrize("squeezed", [False, True])
def test_squared_errors_of_class_numbers_are_named(squeezed):
    inputs, targets = digits()

    def loss(outputs, wanted):
        return functional.mse_loss(outputs.squeeze(1), wanted.float())

    numbers = targets if squeezed else targets.float().unsqueeze(1)
    chosen = loss if squeezed else nn.MSELoss()
    found = codes(check_loss_fits, seeded(64, 16, 1), (inputs, numbers), chosen, task="multiclass")
    assert found == ["wrong_loss"]


def test_squared_errors_of_two_classes_are_named():
    assert codes(check_loss_fits, seeded(30, 1), tumours(), nn.MSELoss()) == ["wrong_loss"]
    assert codes(check_loss_fits, seeded(30, 1), tumours(), nn.BCEWithLogitsLoss()) == []


def test_a_hinge_of_one_score_for_two_classes_is_none():
    inputs, targets = tumours()
    data = inputs, targets.flatten().long()
    assert codes(check_loss_fits, seeded(30, 1), data, multiclass_hinge) == []


def test_cross_entropy_of_one_output_is_named():
    inputs, targets = digits()
    data = inputs, torch.zeros_like(targets)
    assert codes(check_loss_fits, seeded(64, 16, 1), data) == ["wrong_loss"]


def test_binary_targets_beyond_one_are_named():
    inputs, targets = patients()
    found = codes(check_loss_fits, seeded(10, 1), (inputs, targets), nn.BCEWithLogitsLoss())
    assert found == ["wrong_loss"]


def test_shares_that_do_not_sum_to_one_are_named():
    inputs, targets = digits()
    one_hot = functional.one_hot(targets, 10).float()
    both = (one_hot + one_hot.roll(1, 1)).clamp(max=1)
    assert codes(check_loss_fits, seeded(64, 10), (inputs, both)) == ["wrong_loss"]
    assert codes(check_loss_fits, seeded(64, 10), (inputs, both / 2)) == []


def test_a_class_that_an_own_loss_never_feels_is_named():
    def hinge(outputs, signs):
        return (1 - signs * outputs).clamp(min=0).mean()

    inputs, targets = tumours()
    model = seeded(30, 1)
    found = codes(check_loss_fits, model, (inputs, targets), hinge, task="binary")
    assert found == ["wrong_loss"]
    assert codes(check_loss_fits, model, (inputs, 2 * targets - 1), hinge, task="binary") == []


def test_a_loss_that_fails_is_named_with_what_it_says():
    inputs, targets = digits()
    (finding,) = report(check_loss_fits, seeded(64, 10), (inputs, targets.float())).findings
    assert finding.code == "wrong_loss"
    assert "(N,)" in finding.remedy
    found = codes(check_loss_fits, seeded(30, 1), tumours(), nn.BCELoss())
    assert found == ["output_activation"]


def test_a_model_that_fails_is_named():
    inputs, targets = digits()
    assert codes(check_loss_fits, seeded(64, 10), (inputs.double(), targets)) == ["dtype_scale"]
