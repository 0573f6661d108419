"""Gradients against centred differences: what passes, what is found, and whom it blames."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import trainwell as tw
from tests.checks.gradients.wrong_backward import (
    OneWrongNumber,
    OwnActivation,
    ScaledLinear,
    ScaledLinearFunction,
    make_function,
)
from trainwell.checks.gradients.central_difference import Comparison
from trainwell.checks.gradients.gradient_check import look_at_gradients
from trainwell.checks.gradients.report import allowed_error, band_of
from trainwell.checks.subject import Part, Subject
from trainwell.errors import ModelError

INPUTS, TARGETS = (
    torch.randn(16, 12, generator=torch.Generator().manual_seed(0)),
    (torch.arange(16) % 5),
)
BATCH = (INPUTS, TARGETS)


def network(middle: nn.Module, *, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 20), middle, nn.Linear(20, 5))


def check(model: nn.Module, loss=functional.cross_entropy, batch=BATCH, **settings):
    return tw.check_gradients(model, loss, batch, **settings)


def relu_by_hand(backward) -> OwnActivation:
    return OwnActivation(lambda x: x.clamp(min=0), backward)


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(20, 20)

    def forward(self, values: Tensor) -> Tensor:
        return values + self.linear(values.detach())


def test_the_bands_are_those_of_the_lecture():
    errors = (5e-8, 1e-7, 5e-7, 1e-4, 2e-4, 1e-2, 2e-2)
    happy, fine, uncomfortable = ["happy"] * 2, ["fine"] * 2, ["uncomfortable"] * 2
    assert [band_of(error) for error in errors] == [*happy, *fine, *uncomfortable, "wrong"]


def test_the_relative_error_is_that_of_the_larger_and_two_zeros_have_none():
    assert Comparison(2.0, 1.0, 1e-5).error == 0.5
    assert Comparison(-1.0, 1.0, 1e-5).error == 2.0
    assert Comparison(0.0, 0.0, 1e-5).error == 0.0
    assert Comparison(0.0, 0.0, 1e-5).outcome == "agrees"


def test_depth_is_allowed_for_and_never_as_much_as_a_factor_of_101_hundredths():
    assert allowed_error(3) == allowed_error(10) == 1e-4
    assert allowed_error(20) == pytest.approx(2e-4)
    assert allowed_error(5000) < 1 - 1 / 1.01


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.Sigmoid])
@pytest.mark.parametrize("which", ["weight", "bias"])
def test_a_factor_of_101_hundredths_in_one_parameter_of_20_layers_is_found(activation, which):
    def build(**factors: float) -> nn.Sequential:
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for number in range(20):
            is_it = number == 9
            layers += [ScaledLinear(24, 24, **factors) if is_it else nn.Linear(24, 24)]
            layers += [activation()]
        return nn.Sequential(nn.Linear(12, 24), *layers, nn.Linear(24, 5))

    report = check(build(**{f"of_{which}": 1.01}))
    assert not report.passed
    (finding,) = report.findings
    assert (finding.code, finding.severity) == ("wrong_backward", "error")
    assert finding.where == f"19.{which}"
    assert "ScaledLinearFunction" in finding.cause and "19, a ScaledLinear" in finding.cause
    assert finding.evidence["relative_error"] == pytest.approx(1 - 1 / 1.01, rel=1e-3)
    assert {gradient.name for gradient in report.wrong} <= {f"19.{which}"}
    assert check(build()).passed


def test_a_parameter_whose_gradient_is_too_small_to_be_seen_is_told_by_its_module_alone():
    torch.manual_seed(0)
    deep = [part for _ in range(25) for part in (nn.Linear(20, 20), nn.Sigmoid())]
    first = ScaledLinear(12, 20, of_weight=1.01)
    report = check(nn.Sequential(first, nn.Sigmoid(), *deep, nn.Linear(20, 5)))
    assert not report.wrong and "too small to be seen" in report.summary()
    (finding,) = report.findings
    assert (finding.severity, finding.where) == ("error", "0.weight")
    assert finding.code == "wrong_backward" and "0, a ScaledLinear" in finding.cause


def test_one_wrong_number_of_a_weight_is_found_and_named():
    class Spoilt(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return functional.linear(input, OneWrongNumber.apply(self.weight), self.bias)

    torch.manual_seed(0)
    report = check(network(Spoilt(20, 20)))
    (wrong,) = report.wrong
    assert (wrong.name, wrong.place) == ("3.weight", (0, 0))
    assert wrong.error == pytest.approx(1 - 1 / 1.01, rel=1e-3)
    assert report.findings[0].where == "3.weight"


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        pytest.param(torch.tanh, lambda x, g: -g * (1 - x.tanh() ** 2), id="sign"),
        pytest.param(torch.tanh, lambda x, g: g * (1 - x.tanh()), id="missing square"),
        pytest.param(torch.sigmoid, lambda x, g: g * x.sigmoid(), id="missing factor"),
        pytest.param(lambda x: x.clamp(min=0), lambda x, g: g, id="ReLU that lets all through"),
        pytest.param(lambda x: x * x.sigmoid(), lambda x, g: g * x.sigmoid(), id="missing term"),
        pytest.param(torch.tanh, lambda x, g: 1.001 * g * (1 - x.tanh() ** 2), id="1 in 1000"),
    ],
)
def test_a_wrong_backward_is_found_though_it_spoils_only_what_stands_before_it(forward, backward):
    report = check(network(OwnActivation(forward, backward)))
    names = [gradient.name for gradient in report.wrong]
    assert names == ["0.weight", "0.bias", "2.weight", "2.bias"]
    (finding,) = report.findings
    assert (finding.code, finding.severity) == ("wrong_backward", "error")
    assert finding.where in ("2.weight", "2.bias")
    assert "Elementwise" in finding.cause and "3, a OwnActivation" in finding.cause


def test_a_wrong_backward_before_all_parameters_is_found_by_its_module():
    torch.manual_seed(0)
    spoilt = relu_by_hand(lambda x, g: 2 * g * (x > 0))
    report = check(nn.Sequential(spoilt, nn.Linear(12, 5)))
    assert not report.wrong and not report.passed
    (finding,) = report.findings
    assert (finding.code, finding.severity, finding.where) == ("wrong_backward", "warning", "0")


def test_a_wrong_gradient_of_the_input_alone_is_blamed_on_its_layer():
    report = check(network(ScaledLinear(20, 20, of_input=1.01)))
    (finding,) = report.findings
    assert "ScaledLinearFunction" in finding.cause and "with respect to input 0" in finding.cause
    assert finding.where in ("2.weight", "2.bias")


def test_one_finding_tells_of_all_modules_with_the_same_fault():
    torch.manual_seed(0)
    wrong = [relu_by_hand(lambda x, g: g) for _ in range(2)]
    layers = [nn.Linear(12, 20), wrong[0], nn.Linear(20, 20), wrong[1], nn.Linear(20, 5)]
    (finding,) = check(nn.Sequential(*layers)).findings
    assert "1, a OwnActivation" in finding.cause and "So it is in 3" in finding.cause


def test_a_backward_hook_that_changes_gradients_is_found():
    model = network(nn.Tanh())
    model[2].register_full_backward_hook(lambda module, into, out: (into[0] * 1.1,))
    (finding,) = check(model).findings
    assert finding.code == "wrong_backward" and "hook" in finding.cause
    assert "2, a Linear" in finding.cause


def test_a_wrong_loss_is_blamed_itself():
    class HalfSquared(torch.autograd.Function):
        @staticmethod
        def forward(ctx, outputs, targets):
            ctx.save_for_backward(outputs, targets)
            return (outputs - targets).square().mean()

        @staticmethod
        def backward(ctx, gradient):
            outputs, targets = ctx.saved_tensors
            return gradient * (outputs - targets) / outputs.numel(), None

    report = check(network(nn.Tanh()), HalfSquared.apply, (INPUTS, INPUTS[:, :5]))
    assert len(report.wrong) == 6
    (finding,) = report.findings
    assert "HalfSquared" in finding.cause and "the loss" in finding.cause


def test_a_cut_graph_is_told_from_a_wrong_backward():
    (finding,) = check(network(Detached())).findings
    assert finding.code == "detach_inplace" and finding.severity == "warning"
    assert "3, a Detached" in finding.cause and "detach()" in finding.cause

    class Cut(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            with torch.no_grad():
                return values * 2

    (finding,) = check(network(Cut())).findings
    assert (finding.code, finding.severity) == ("detach_inplace", "error")
    assert "no_grad()" in finding.cause


def test_a_surrogate_gradient_of_a_step_is_a_note():
    report = check(network(OwnActivation(torch.sign, lambda x, g: g)))
    assert report.passed
    assert [finding.severity for finding in report.findings] == ["note"]
    assert "straight-through" in report.findings[0].cause


KINKED = {
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "relu6": functional.relu6,
    "hardswish": functional.hardswish,
    "abs": torch.abs,
    "clamp": lambda x: x.clamp(-0.1, 0.1),
    "maximum": lambda x: torch.maximum(x, x.flip(1)),
    "where": lambda x: torch.where(x > 0, x, 0.5 * x),
    "mask": lambda x: x * (x > 0),
    "max": lambda x: x + x.max(1, keepdim=True).values,
    "amax": lambda x: x + x.amax(1, keepdim=True),
    "sort": lambda x: x.sort(1).values,
    "max_pool": lambda x: functional.max_pool1d(x.unsqueeze(1), 3, 1, 1).squeeze(1),
    "in place": lambda x: functional.relu(x * 1.0, inplace=True),
    "own function": make_function(lambda x: x.clamp(min=0), lambda x, g: g * (x > 0)).apply,
}


ONE_SIDED = {"relu": 0.0, "leaky_relu": 0.0, "relu6": 6.0, "hardswish": 3.0, "clamp": -0.1}
ONE_SIDED |= {"where": 0.0, "mask": 0.0, "in place": 0.0, "own function": 0.0}


@pytest.mark.parametrize("name", ONE_SIDED)
def test_a_crossed_kink_is_reported_apart_and_is_no_failure(name):
    at_kink = torch.full((4, 3), ONE_SIDED[name], dtype=torch.float64)
    report = tw.check_function_gradient(KINKED[name], at_kink)
    assert report.passed and not report.wrong
    assert [gradient.name for gradient in report.kinked] == ["input 0"]
    assert report.kinked[0].comparison.kinks > 0
    assert "1 at a kink" in report.summary()


@pytest.mark.parametrize("name", KINKED)
def test_kinks_near_by_are_avoided_by_smaller_steps(name):
    near = torch.randn(50, 40, generator=torch.Generator().manual_seed(1)) * 1e-4
    report = tw.check_function_gradient(lambda x: KINKED[name](x).square(), near)
    assert report.passed
    assert report.gradients[0].outcome == "agrees"


def test_a_wrong_backward_is_found_among_kinks():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 400), relu_by_hand(lambda x, g: g * (x > -0.01)))
    model.append(nn.Linear(400, 5))
    assert not check(model).passed
    assert check(nn.Sequential(model[0], nn.ReLU(), model[2])).passed


@pytest.mark.parametrize("is_training", [True, False])
def test_dropout_is_replayed_and_batch_normalisation_differentiated(is_training):
    middle = nn.Sequential(nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(0.5))
    model = network(middle).train(is_training)
    report = check(model)
    assert report.passed and report.largest_error < 1e-6
    assert not report.kinked


def test_a_statistic_without_gradient_in_a_normalisation_is_found():
    class HalfNorm(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return (values - values.mean(0)) / values.detach().std(0)

    (finding,) = check(network(HalfNorm())).findings
    assert finding.code == "detach_inplace" and "HalfNorm" in finding.cause


def test_generators_that_a_module_holds_are_replayed():
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.draws = torch.Generator().manual_seed(5)

        def forward(self, values: Tensor) -> Tensor:
            return values * torch.rand(values.shape, generator=self.draws)

    model = network(Noisy())
    before = model[3].draws.get_state()
    assert check(model).passed
    assert torch.equal(model[3].draws.get_state(), before)


def test_a_loss_that_is_never_twice_the_same_is_refused():
    source = torch.Generator()

    class Restless(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return values * torch.rand(values.shape, generator=source)

    with pytest.raises(ModelError, match="differs from one evaluation to the next"):
        check(network(Restless()))


def test_tiny_gradients_are_told_right_from_wrong():
    def tiny(outputs: Tensor, targets: Tensor) -> Tensor:
        return 1e-10 * functional.cross_entropy(outputs, targets)

    assert check(network(nn.ReLU()), tiny).passed
    report = check(network(ScaledLinear(20, 20, of_weight=1.01)), tiny)
    assert [gradient.name for gradient in report.wrong] == ["3.weight"]
    assert report.wrong[0].comparison.size < 1e-9


def test_burn_in_leaves_a_sum_of_very_many_inputs_a_loss_to_look_at():
    model = nn.Linear(30_000, 4)
    nn.init.zeros_(model.weight)
    inputs = torch.randn(8, 30_000, generator=torch.Generator().manual_seed(0))
    report = tw.check_gradients(model, nn.CrossEntropyLoss(), (inputs, torch.arange(8) % 4))
    assert report.findings == ()
    assert {gradient.outcome for gradient in report.gradients} == {"agrees"}


def test_burn_in_lets_a_fault_be_seen_that_initial_zeros_hide():
    model = network(nn.Sequential(relu_by_hand(lambda x, g: 1.5 * g), nn.Linear(20, 20)))
    nn.init.zeros_(model[3][1].weight)
    assert not check(model, burn_in=0).wrong
    assert {gradient.name for gradient in check(model).wrong} >= {"0.weight", "2.weight"}


def test_the_penalty_is_checked_apart_from_the_data_loss():
    def right(model: nn.Module) -> Tensor:
        return sum(p.abs().sum() + p.square().sum() for p in model.parameters())

    def wrong(model: nn.Module) -> Tensor:
        return 1e-3 * sum((p.data * p).sum() for p in model.parameters())

    report = check(network(nn.ReLU()), penalty=right)
    assert report.passed and len(report.penalties) == 6
    report = check(network(nn.ReLU()), penalty=wrong)
    assert not report.passed and all(g.outcome == "agrees" for g in report.gradients)
    assert all(gradient.error == pytest.approx(0.5) for gradient in report.penalties)
    assert "penalty" in report.findings[0].cause


def test_a_bare_function_is_checked_by_its_inputs():
    a, b = torch.randn(3, 4), torch.randn(3, 1)
    assert tw.check_function_gradient(lambda x, y: (x * y).sin(), a, b).passed
    cube = make_function(lambda x: x**3, lambda x, g: 3.01 * x**2 * g)
    report = tw.check_function_gradient(cube.apply, a)
    assert [gradient.name for gradient in report.wrong] == ["input 0"]
    assert "Elementwise" in report.findings[0].cause
    assert report.wrong[0].error == pytest.approx(1 - 3 / 3.01, rel=1e-3)
    factors = tw.check_function_gradient(
        ScaledLinearFunction.apply, a, torch.randn(2, 4), torch.zeros(2), 1.0, 1.01, 1.0
    )
    assert [gradient.name for gradient in factors.wrong] == ["input 1"]


def test_a_callable_that_is_no_module_is_checked_by_its_inputs():
    report = check(lambda x: x[:, :5].tanh())
    assert report.passed and [gradient.name for gradient in report.gradients] == ["input 0"]


def test_code_that_asks_for_single_precision_is_checked_in_double():
    class Asks(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            scale = torch.ones(20, dtype=torch.float32)
            return values.float() * scale.to(torch.float32)

    assert check(network(Asks())).largest_error < 1e-6


def test_a_model_that_computes_in_single_precision_only_is_refused_in_one_sentence():
    fixed = torch.eye(20)

    class Fixed(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return values @ fixed

    with pytest.raises(ModelError, match="double precision") as caught:
        check(network(Fixed()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (nn.CrossEntropyLoss(reduction="none"), "has the shape"),
        (lambda outputs, targets: outputs.sum() * torch.nan, "not finite"),
        (lambda outputs, targets: outputs.nonsense(), "fails"),
    ],
)
def test_a_loss_that_cannot_be_checked_is_refused(loss, words):
    with pytest.raises(ModelError, match=words):
        check(network(nn.Tanh()), loss)


def test_model_gradients_modes_and_random_numbers_are_left_as_they_were():
    model = network(nn.Sequential(nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout()))
    model[3][1].eval()
    functional.cross_entropy(model(INPUTS), TARGETS).backward()
    before = copy.deepcopy(model.state_dict())
    gradients = [(p, p.grad, p.grad.clone()) for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    check(model, penalty=lambda m: sum(p.square().sum() for p in m.parameters()))
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.get_default_dtype() == torch.float32
    assert [module.training for module in model.modules()] == modes
    assert all(p.grad is held and torch.equal(held, value) for p, held, value in gradients)
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype and torch.equal(value, before[name])
    assert INPUTS.dtype == torch.float32 and not INPUTS.requires_grad


def test_the_same_seed_gives_the_same_report():
    model = network(nn.Sequential(nn.ReLU(), nn.Dropout()))
    assert check(model, seed=3) == check(model, seed=3)
    assert check(model, seed=3) != check(model, seed=4)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(20, 20)),
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(20, 20)),
        lambda: nn.Sequential(nn.Unflatten(1, (5, 4)), nn.LSTM(4, 4, batch_first=True)),
        lambda: nn.LayerNorm(20),
        nn.PReLU,
        nn.RReLU,
        lambda: nn.Softmax(1),
    ],
)
def test_layers_of_pytorch_pass(layer):
    torch.manual_seed(0)
    part = layer()

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = part

        def forward(self, values: Tensor) -> Tensor:
            outputs = self.part(values)
            return outputs[0].flatten(1) if isinstance(outputs, tuple) else outputs

    report = check(network(Last()))
    assert report.passed and not report.findings


def test_transformers_pass_in_training_and_in_evaluation():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(64, 5))
    batch = (torch.randn(8, 4, 16), TARGETS[:8])
    assert check(model, batch=batch).passed
    assert check(model.eval(), batch=batch).passed


def test_sparse_gradients_of_embeddings_pass():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 6, sparse=True), nn.Flatten(), nn.Linear(18, 5))
    assert check(model, batch=(torch.randint(0, 9, (8, 3)), TARGETS[:8])).passed


def test_hinge_losses_pass():
    assert check(network(nn.ReLU()), nn.MultiMarginLoss()).passed
    assert check(network(nn.ReLU()), nn.L1Loss(), (INPUTS, INPUTS[:, :5])).passed


@st.composite
def smooth_networks(draw) -> nn.Sequential:
    torch.manual_seed(draw(st.integers(0, 10_000)))
    activations = [nn.Tanh, nn.Sigmoid, nn.GELU, nn.Softplus, nn.SiLU]
    layers: list[nn.Module] = []
    width = 12
    for _ in range(draw(st.integers(1, 5))):
        following = draw(st.integers(1, 24))
        layers += [nn.Linear(width, following), draw(st.sampled_from(activations))()]
        width = following
    return nn.Sequential(*layers, nn.Linear(width, 5))


@settings(max_examples=30, deadline=None)
@given(smooth_networks(), st.integers(0, 100))
def test_every_small_smooth_network_passes_with_room_to_spare(model, seed):
    report = check(model, seed=seed)
    assert report.passed and not report.findings
    assert all(gradient.outcome in ("agrees", "too small") for gradient in report.gradients)
    assert report.largest_error < 1e-3


@settings(max_examples=20, deadline=None)
@given(
    smooth_networks(),
    st.sampled_from([0.5, 0.99, 1.01, 1.1, -1.0]),
    st.sampled_from(["of_input", "of_weight", "of_bias"]),
)
def test_every_small_smooth_network_with_one_wrong_factor_fails(model, factor, which):
    wrong = ScaledLinear(12, 12, **{which: factor})
    spoilt = nn.Sequential(nn.Linear(12, 12), wrong, *model)
    (finding,) = check(spoilt).findings
    assert finding.code == "wrong_backward" and "1, a ScaledLinear" in finding.cause


def subject(model: nn.Module) -> Subject:
    return Subject(model, Part(INPUTS, TARGETS), None, "multiclass", functional.cross_entropy, 16)


def test_the_suite_says_what_was_seen_and_expected():
    (verdict,) = look_at_gradients(subject(network(nn.ReLU())))
    assert verdict.passed and "largest relative error" in verdict.seen
    assert verdict.expected == "at most 0.0001"
    (verdict,) = look_at_gradients(subject(network(ScaledLinear(20, 20, of_weight=1.01))))
    assert not verdict.passed and verdict.findings[0].where == "3.weight"


def test_check_finds_the_fault_of_a_hand_written_program():
    model = network(ScaledLinear(20, 20, of_weight=1.01))
    report = tw.check(model, BATCH, loss_fn=nn.CrossEntropyLoss())
    assert "wrong_backward" in [finding.code for finding in report.findings]


def test_a_report_prints_as_a_table_and_as_json():
    report = check(network(ScaledLinear(20, 20, of_weight=1.01)))
    assert "FAILED" in str(report) and "3.weight" in str(report)
    fields = report.to_dict()
    assert fields["passed"] is False and fields["gradients"][2]["name"] == "2.weight"
    assert fields["findings"][0]["code"] == "wrong_backward"
