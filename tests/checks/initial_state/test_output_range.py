import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.checks.initial_state.looking import codes, report, seeded
from tests.checks.initial_state.ordinary_programs import digits, patients, tumours
from trainwell.checks.initial_state.output_range import check_output_range, find_end


class Clamp(nn.Module):
    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, scores):
        return scores.clamp(self.low, self.high)


@pytest.mark.parametrize(
    "end",
    [nn.Softmax(1), nn.Sigmoid(), nn.ReLU(), nn.Tanh(), nn.Softplus(), Clamp(0, 1)],
)
def test_bounded_scores_of_classes_are_named(end):
    model = nn.Sequential(seeded(64, 32, 10), end)
    assert codes(check_output_range, model) == ["output_activation"]


@pytest.mark.parametrize("end", [nn.Identity(), nn.LogSoftmax(1), nn.LeakyReLU(), Clamp(-30, 30)])
def test_scores_of_any_size_pass(end):
    assert codes(check_output_range, nn.Sequential(seeded(64, 32, 10), end)) == []


def test_log_softmax_before_cross_entropy_is_a_note():
    model = nn.Sequential(seeded(64, 10), nn.LogSoftmax(1))
    assert [f.severity for f in report(check_output_range, model).findings] == ["note"]


def test_the_floor_of_two_softmaxes_is_told():
    model = nn.Sequential(seeded(64, 10), nn.Softmax(1))
    (finding,) = report(check_output_range, model).findings
    certain = functional.one_hot(torch.tensor([0]), 10).float()
    floor = float(functional.cross_entropy(certain, torch.tensor([0])))
    assert finding.evidence["lowest_loss"] == pytest.approx(floor, abs=1e-5)


def test_a_softmax_over_the_batch_is_named():
    model = nn.Sequential(seeded(64, 10), nn.Softmax(0))
    (finding,) = report(check_output_range, model).findings
    assert finding.code == "output_activation"
    assert "examples" in finding.cause


@pytest.mark.parametrize("end", [nn.Identity(), nn.Softmax(1), nn.Sigmoid()])
def test_what_is_no_logarithm_is_named_before_nll(end):
    model = nn.Sequential(seeded(64, 10), end)
    assert codes(check_output_range, model, loss=nn.NLLLoss()) == ["output_activation"]


def test_log_softmax_before_nll_passes():
    model = nn.Sequential(seeded(64, 10), nn.LogSoftmax(1))
    assert codes(check_output_range, model, loss=nn.NLLLoss()) == []


@pytest.mark.parametrize("end", [nn.Sigmoid(), nn.ReLU(), nn.Tanh()])
def test_bounded_scores_of_two_classes_are_named(end):
    model = nn.Sequential(seeded(30, 1), end)
    loss = nn.BCEWithLogitsLoss()
    assert codes(check_output_range, model, tumours(), loss) == ["output_activation"]
    assert codes(check_output_range, seeded(30, 1), tumours(), loss) == []


def test_probabilities_are_what_bce_takes():
    model = seeded(30, 1)
    assert codes(check_output_range, model, tumours(), nn.BCELoss()) == ["output_activation"]
    ended = nn.Sequential(model, nn.Sigmoid())
    assert codes(check_output_range, ended, tumours(), nn.BCELoss()) == []
    alone = nn.Sequential(model, nn.Softmax(1))
    assert codes(check_output_range, alone, tumours(), nn.BCELoss()) == ["output_activation"]


def test_a_sigmoid_for_each_of_exclusive_classes_is_named():
    inputs, targets = digits()
    one_hot = functional.one_hot(targets, 10).float()
    loss = nn.BCEWithLogitsLoss()
    assert codes(check_output_range, seeded(64, 10), (inputs, one_hot), loss) == [
        "output_activation"
    ]
    several = (one_hot + one_hot.roll(1, 0)).clamp(max=1)
    assert codes(check_output_range, seeded(64, 10), (inputs, several), loss) == []


@pytest.mark.parametrize("end", [nn.Tanh(), nn.Sigmoid(), nn.ReLU(), Clamp(0, 1)])
def test_targets_that_an_end_cannot_reach_are_named(end):
    inputs, targets = patients()
    model = nn.Sequential(seeded(10, 16, 1), end)
    assert codes(check_output_range, model, (inputs, targets), nn.MSELoss()) == [
        "output_activation"
    ]
    within = torch.sigmoid(targets)
    assert codes(check_output_range, model, (inputs, within), nn.MSELoss()) == []


def test_views_behind_the_end_are_looked_through():
    values = torch.rand(4, 3, requires_grad=True)
    assert find_end(values.softmax(1).reshape(2, 6)[:, 1].unsqueeze(1)).name == "softmax"
    assert find_end((2 * values.softmax(1)).flatten()).name == ""
