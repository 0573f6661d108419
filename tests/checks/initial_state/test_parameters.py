import torch
from torch import nn

from tests.checks.initial_state.looking import codes, report, seeded
from tests.checks.initial_state.ordinary_programs import digits
from trainwell.checks.initial_state.parameters import check_parameters


class Two(nn.Module):
    """A body and a head with something between them."""

    def __init__(self, between) -> None:
        super().__init__()
        self.between = between
        self.body, self.head = nn.Linear(64, 32), nn.Linear(32, 10)

    def forward(self, x):
        return self.head(self.between(self.body(x).relu()))


def no_grad(x):
    with torch.no_grad():
        return 1 * x


def in_place(x):
    y = x.sigmoid()
    z = y * y
    y += 1
    return z


def numpy_and_back(x):
    return torch.as_tensor(x.detach().numpy())


def test_a_cut_graph_is_named_with_what_cuts_it():
    for between, told in ((torch.Tensor.detach, "detach"), (numpy_and_back, "detach")):
        (finding,) = report(check_parameters, Two(between)).findings
        assert (finding.code, finding.severity) == ("detach_inplace", "error")
        assert finding.where == "body.weight, body.bias"
        assert told in finding.cause
    assert codes(check_parameters, Two(lambda x: x)) == []


def test_features_without_gradient_are_named():
    class NoGrad(Two):
        def forward(self, x):
            with torch.no_grad():
                hidden = self.body(x).relu()
            return self.head(hidden)

    assert codes(check_parameters, NoGrad(None)) == ["detach_inplace"]


def test_weights_read_through_data_are_named():
    class Data(Two):
        def forward(self, x):
            return self.head((x @ self.body.weight.data.T).relu())

    found = report(check_parameters, Data(None)).findings
    assert "detach_inplace" in [f.code for f in found]


def test_a_change_in_place_is_named():
    assert codes(check_parameters, Two(in_place)) == ["detach_inplace"]


def test_rounding_is_named():
    (finding,) = report(check_parameters, Two(torch.round)).findings
    assert finding.code == "detach_inplace"
    assert "round" in finding.cause


def test_a_loss_without_a_graph_is_named():
    def loss(outputs, targets):
        return (outputs.argmax(1) != targets).float().mean()

    assert codes(check_parameters, seeded(64, 10), loss=loss) == ["detach_inplace"]


def test_a_backward_pass_that_fails_is_named():
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # pyright: ignore
            return 2 * x

        @staticmethod
        def backward(ctx, gradient):  # pyright: ignore
            return gradient[:, :-1]

    assert codes(check_parameters, Two(Bad.apply)) == ["wrong_backward"]


def test_a_layer_that_is_not_called_is_a_warning():
    model = Two(lambda x: x)
    model.unused = nn.Linear(3, 3)
    (finding,) = report(check_parameters, model).findings
    assert (finding.code, finding.severity) == ("frozen_params", "warning")


def test_all_frozen_is_an_error_and_some_frozen_is_none():
    model = seeded(64, 32, 10)
    model[0].requires_grad_(False)
    assert codes(check_parameters, model) == []
    model.requires_grad_(False)
    assert codes(check_parameters, model) == ["frozen_params"]


def test_a_body_that_only_the_optimiser_leaves_out_may_be_detached():
    model = Two(torch.Tensor.detach)
    optimizer = torch.optim.SGD(model.head.parameters(), 0.1)
    assert codes(check_parameters, model, digits(), optimizer=optimizer) == []


def test_a_normalisation_with_scale_zero_everywhere_lets_nothing_through():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU()),
        *(nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10)),
    )
    assert codes(check_parameters, model) == []
    nn.init.zeros_(model[1].weight)
    nn.init.zeros_(model[4].weight)
    assert codes(check_parameters, model) == ["vanishing_gradient"]
