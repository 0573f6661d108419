"""A handful of examples is fitted by what can learn, and the cause is named where it cannot."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.checking import subject_of_fit
from trainwell.checks.given import subject_of
from trainwell.checks.state_as_found import state_as_found
from trainwell.checks.subject import Subject
from trainwell.checks.trials.few_examples import Levels, choose_few, measure_levels
from trainwell.checks.trials.input_path import find_lost, spread_of
from trainwell.checks.trials.tiny_subset import check_tiny_subset
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding
from trainwell.nn.losses import Loss
from trainwell.training.recipe import Recipe

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(200, 12, generator=GENERATOR)
LABELS = torch.arange(200) % 3
CROSS_ENTROPY = nn.CrossEntropyLoss()


def make_net(
    activation: Callable[[], nn.Module] = nn.ReLU, width: int = 32, *last: nn.Module
) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(12, width), activation(), nn.Linear(width, width), activation(),
        nn.Linear(width, 3), *last,
    )  # fmt: skip


def verdicts_of(
    model: nn.Module, inputs: Tensor = INPUTS, targets: Tensor = LABELS, loss: Loss = CROSS_ENTROPY
) -> list[Verdict]:
    return list(check_tiny_subset(subject_of(model, (inputs, targets), loss_fn=loss)))


def finding_of(model: nn.Module, targets: Tensor = LABELS, loss: Loss = CROSS_ENTROPY) -> Finding:
    (finding,) = [
        f for verdict in verdicts_of(model, INPUTS, targets, loss) for f in verdict.findings
    ]
    return finding


# Networks that cannot learn, and their twins that can


def dead() -> nn.Module:
    net = make_net()
    nn.init.constant_(net[0].bias, -1e3)
    return net


def saturated() -> nn.Module:
    net = make_net(nn.Tanh)
    nn.init.constant_(net[0].bias, 1e4)
    return net


def zeroed() -> nn.Module:
    net = make_net()
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    return net


class Severed(nn.Module):
    """Cuts the graph before the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.net = make_net()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs).detach().requires_grad_()


class Blind(nn.Module):
    """Never looks at its input."""

    def __init__(self) -> None:
        super().__init__()
        self.net = make_net()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(torch.zeros_like(inputs))


class ByPlace(nn.Module):
    """Learns by heart which place in the batch has which label."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(64, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.scores[: len(inputs)] + 0 * inputs[:, :3]


@pytest.mark.parametrize(
    ("build", "code", "where"),
    [
        (dead, "dying_relu", "1"),
        (saturated, "saturated_units", "1"),
        (zeroed, "bad_init", "0"),
        (Severed, "detach_inplace", "net.0.weight"),
        (Blind, "not_learning", ""),
        (lambda: make_net(nn.ReLU, 32, nn.Softmax(1)), "output_activation", ""),
    ],
    ids=["dead", "saturated", "zeroed", "severed", "blind", "softmax twice"],
)
def test_the_cause_is_named_where_nothing_can_be_fitted(
    build: Callable[[], nn.Module], code: str, where: str
) -> None:
    finding = finding_of(build())
    assert finding.code == code
    assert finding.where.split(", ")[0] == where
    assert finding.severity in ("error", "warning")
    assert finding.evidence["loss"] > 0.5 * math.log(3)


def test_a_network_that_fits_without_its_inputs_is_found_by_blanking_them() -> None:
    fitted, blanked = verdicts_of(ByPlace())
    assert fitted.passed
    (finding,) = blanked.findings
    assert finding.code == "not_learning"
    assert finding.evidence["loss_with_blanked_inputs"] < 0.4 * math.log(3)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.ELU])
def test_healthy_networks_fit_and_look_at_their_inputs(activation: Callable[[], nn.Module]) -> None:
    fitted, blanked = verdicts_of(make_net(activation))
    assert fitted.findings == blanked.findings == ()
    assert "blanked" in blanked.check


def test_dropout_and_batch_normalisation_are_no_obstacle() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.9), nn.Linear(32, 3)
    )
    assert [v.findings for v in verdicts_of(net)] == [(), ()]


@pytest.mark.parametrize(
    ("net", "targets", "loss"),
    [
        (make_net(nn.ReLU, 32, nn.LogSoftmax(1)), LABELS, nn.NLLLoss()),
        (make_net(), LABELS, nn.CrossEntropyLoss(label_smoothing=0.2)),
        (make_net(), LABELS, nn.CrossEntropyLoss(reduction="sum")),
        (make_net(), LABELS, nn.MultiMarginLoss()),
        (make_net(), functional.one_hot(LABELS).float(), nn.MSELoss()),
        (make_net(nn.ReLU, 32, nn.Linear(3, 1), nn.Sigmoid(), nn.Flatten(0)),
         (LABELS == 1).float(), nn.BCELoss()),
        (make_net(nn.ReLU, 32, nn.Linear(3, 1)), (LABELS[:, None] == 1).float(),
         nn.BCEWithLogitsLoss()),
        (make_net(nn.ReLU, 32, nn.Linear(3, 1), nn.Flatten(0)), INPUTS[:, 0] * 300 + 1000,
         nn.MSELoss()),
        (make_net(nn.ReLU, 32, nn.Linear(3, 1), nn.Softplus(), nn.Flatten(0)),
         INPUTS[:, 0].abs() + 1, nn.L1Loss()),
    ],
    ids=["nll", "smoothed", "sum", "hinge", "one-hot", "probabilities", "logits", "far targets",
         "positive"],
)  # fmt: skip
def test_every_loss_has_its_own_levels(net: nn.Module, targets: Tensor, loss: Loss) -> None:
    verdicts = verdicts_of(net, INPUTS, targets, loss)
    assert [v.findings for v in verdicts] == [(), ()]


def test_a_linear_model_is_not_blamed_for_what_no_line_tells_apart() -> None:
    points = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    labels = torch.tensor([0, 1, 1, 0])
    torch.manual_seed(0)
    assert [v.findings for v in verdicts_of(nn.Linear(2, 2), points, labels)] == [()]
    torch.manual_seed(0)
    deep = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    assert [v.findings for v in verdicts_of(deep, points, labels)] == [(), ()]


def test_a_loss_that_is_not_finite_is_named() -> None:
    class Logarithm(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return (values - values.amax() - 1).log()

    finding = finding_of(make_net(nn.ReLU, 32, Logarithm()))
    assert finding.code == "exploding_or_nan"


def test_the_check_leaves_everything_as_it_was() -> None:
    net = make_net()
    net.eval()
    weights, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    subject = subject_of(net, (INPUTS, LABELS))
    with state_as_found(net, None, 0, torch.device("cpu")):
        first = check_tiny_subset(subject)
        assert all(torch.equal(net.state_dict()[name], value) for name, value in weights.items())
        assert all(p.grad is None for p in net.parameters())
        assert not net.training
    assert torch.equal(torch.get_rng_state(), random)
    assert check_tiny_subset(subject) == first


# What the few examples are


def few_of(inputs: Tensor, targets: Tensor, model: nn.Module | None = None) -> Subject:
    return subject_of(model or make_net(), (inputs, targets), loss_fn=CROSS_ENTROPY)


def test_each_class_has_as_many_examples_and_no_input_comes_twice() -> None:
    inputs = INPUTS[:20].repeat(10, 1)
    few = choose_few(few_of(inputs, (torch.arange(200) % 20) % 4, nn.Linear(12, 4)))
    assert few is not None
    assert few.targets.bincount().tolist() == [2, 2, 2, 2]
    assert len(few.inputs.unique(dim=0)) == 8
    assert few.contradictions == 0


def test_labels_that_contradict_each_other_are_counted() -> None:
    few = choose_few(few_of(INPUTS[:10].repeat(20, 1), LABELS))
    assert few is not None
    assert few.contradictions == 1


def test_there_is_nothing_to_fit_where_all_targets_are_equal() -> None:
    (verdict,) = verdicts_of(make_net(), INPUTS, torch.zeros(200, dtype=torch.int64))
    assert "different" in verdict.skipped


def test_levels_are_those_of_the_right_and_of_the_best_constant_output() -> None:
    subject = few_of(INPUTS, LABELS)
    few = choose_few(subject)
    assert few is not None
    levels = measure_levels(subject, few, subject.model(few.inputs))
    assert levels is not None
    assert levels.floor == pytest.approx(0, abs=1e-6)
    shares = few.targets.bincount() / len(few)
    assert levels.constant == pytest.approx(-float((shares * shares.log()).sum()), abs=1e-4)
    assert Levels(1.0, 3.0).share(2.0) == 0.5


# Where the inputs are lost


def test_spread_is_zero_where_examples_look_alike() -> None:
    assert spread_of(torch.ones(4, 3)) == 0
    assert spread_of(torch.tensor([[1.0], [3.0], [4.0]])) == 0.75


def test_a_healthy_network_loses_nothing() -> None:
    assert find_lost(make_net(), INPUTS[:8]) is None


# Models of the catalogue


@pytest.mark.parametrize(
    ("model", "data"),
    [("mlp", "digits"), ("linear_regression", "line"), ("autoencoder", "digits"),
     ("logistic_regression", "moons"), ("mlp", "diabetes")],
)  # fmt: skip
def test_models_of_the_catalogue_fit(model: str, data: str) -> None:
    subject = subject_of_fit(model, data, Recipe(), None)
    assert all(v.findings == () and not v.skipped for v in check_tiny_subset(subject))


def test_a_rule_that_minimises_no_loss_is_no_finding() -> None:
    subject = subject_of_fit("rbm", "digits", Recipe(), None)
    (verdict,) = check_tiny_subset(subject)
    assert verdict.findings == ()
    assert "its own measure" in verdict.seen or verdict.skipped
