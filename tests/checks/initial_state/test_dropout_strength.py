import pytest
from torch import nn
from torch.nn import functional

from tests.checks.initial_state.looking import codes, report
from trainwell.checks.initial_state.dropout_strength import check_dropout_strength


def dropped(probability: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(probability), nn.Linear(32, 10))


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.7])
def test_usual_dropout_passes(probability):
    assert codes(check_dropout_strength, dropped(probability)) == []


@pytest.mark.parametrize(("probability", "severity"), [(0.9, "warning"), (1.0, "error")])
def test_dropout_that_lets_nothing_through_is_named(probability, severity):
    (finding,) = report(check_dropout_strength, dropped(probability)).findings
    assert (finding.code, finding.severity, finding.where) == ("over_regularised", severity, "2")


def test_dropout_without_a_module_is_seen():
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 10)

        def forward(self, x):
            return self.layer(functional.dropout(x, p=0.95, training=self.training))

    assert codes(check_dropout_strength, Functional()) == ["over_regularised"]
