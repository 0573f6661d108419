import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.checks.initial_state.looking import codes, report, seeded
from tests.checks.initial_state.ordinary_programs import digits, patients
from trainwell.checks.initial_state.loss_reduction import check_loss_reduction


@pytest.mark.parametrize(
    ("mean", "total", "data", "outputs"),
    [
        (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum"), digits, 10),
        (nn.MSELoss(), nn.MSELoss(reduction="sum"), patients, 1),
        (
            lambda o, t: (o - t).square().mean(),
            lambda o, t: (o - t).square().sum(),
            patients,
            1,
        ),
    ],
)
def test_a_sum_over_the_batch_is_named(mean, total, data, outputs):
    model = seeded(data()[0].shape[1], 16, outputs)
    assert codes(check_loss_reduction, model, data(), total) == ["loss_reduction"]
    assert codes(check_loss_reduction, model, data(), mean) == []


def test_a_sum_is_worse_where_steps_follow_the_gradients_size():
    model, total = seeded(64, 16, 10), nn.CrossEntropyLoss(reduction="sum")
    for optimizer, severity in ((torch.optim.SGD, "error"), (torch.optim.Adam, "warning")):
        made = optimizer(model.parameters(), 0.01)
        found = report(check_loss_reduction, model, loss=total, optimizer=made).findings
        assert [f.severity for f in found] == [severity]


def test_a_loss_divided_by_the_batch_twice_is_named():
    def loss(outputs, targets):
        return functional.cross_entropy(outputs, targets) / len(outputs)

    assert codes(check_loss_reduction, seeded(64, 10), loss=loss) == ["loss_reduction"]


def test_a_sum_over_the_values_of_an_example_is_none_over_the_batch():
    def loss(outputs, targets):
        return (outputs - targets).square().sum(1).mean()

    rows = digits()[0]
    assert codes(check_loss_reduction, seeded(64, 16, 64), (rows, rows), loss) == []


def test_a_loss_that_is_not_reduced_is_named():
    loss = nn.CrossEntropyLoss(reduction="none")
    assert codes(check_loss_reduction, seeded(64, 10), loss=loss) == ["loss_reduction"]


def test_a_loss_that_is_no_number_is_named():
    def loss(outputs, targets):
        return functional.nll_loss(outputs.log(), targets)

    assert codes(check_loss_reduction, seeded(64, 10), loss=loss) == ["exploding_or_nan"]


def test_a_layer_with_weights_that_are_no_numbers_is_named():
    model = seeded(64, 16, 10)
    with torch.no_grad():
        model[2].weight[0, 0] = float("nan")
    (finding,) = report(check_loss_reduction, model).findings
    assert (finding.code, finding.where) == ("bad_init", "2")


def test_a_loss_that_is_the_same_for_other_targets_is_named():
    def loss(outputs, targets):
        return outputs.square().mean() + 0.0 * targets.float().mean()

    assert codes(check_loss_reduction, seeded(64, 10), loss=loss) == ["wrong_loss"]


def test_outputs_that_are_alike_are_no_blind_loss():
    model = seeded(64, 10)
    with torch.no_grad():
        model[0].weight.zero_()
    assert codes(check_loss_reduction, model) == []
