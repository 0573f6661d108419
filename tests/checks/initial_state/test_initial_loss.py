import math

import pytest
import torch
from torch import nn

from tests.checks.initial_state.looking import codes, report, seeded, weights
from tests.checks.initial_state.ordinary_programs import digits, patients, tumours
from trainwell.checks.given import subject_of
from trainwell.checks.initial_state.first_pass import first_pass
from trainwell.checks.initial_state.initial_loss import chance_of, check_initial_loss
from trainwell.checks.initial_state.known_loss import know_loss
from trainwell.nn.losses import multiclass_hinge, perceptron_criterion


def chance(model: nn.Module, data, loss):
    subject = subject_of(model, data, loss_fn=loss)
    first = subject.once(first_pass)
    assert first.outputs is not None
    known = know_loss(loss, first.outputs, first.targets)
    return chance_of(subject, known, first.outputs, first.targets), first.targets


def own_cross_entropy(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), own_cross_entropy])
def test_chance_of_ten_classes_is_ln_10(loss):
    found, _ = chance(seeded(64, 10), digits(), loss)
    assert found is not None
    assert found.value == pytest.approx(2.302585, abs=1e-5)
    assert found.text == "ln 10 = 2.303"


def test_chance_of_log_probabilities_is_ln_10_too():
    model = nn.Sequential(seeded(64, 10), nn.LogSoftmax(1))
    found, _ = chance(model, digits(), nn.NLLLoss())
    assert found is not None
    assert found.value == pytest.approx(math.log(10), abs=1e-5)


@pytest.mark.parametrize("end", [False, True])
def test_chance_of_two_classes_is_ln_2(end):
    model = nn.Sequential(seeded(30, 1), nn.Sigmoid()) if end else seeded(30, 1)
    loss = nn.BCELoss() if end else nn.BCEWithLogitsLoss()
    found, _ = chance(model, tumours(), loss)
    assert found is not None
    assert found.value == pytest.approx(math.log(2), abs=1e-5)


def test_chance_of_a_regression_is_the_variance_of_its_targets():
    found, targets = chance(seeded(10, 1), patients(), nn.MSELoss())
    assert found is not None
    assert found.value == pytest.approx(float(targets.var(unbiased=False)), rel=1e-5)


def test_chance_of_a_hinge_loss_is_one_less_than_the_classes():
    found, _ = chance(seeded(64, 10), digits(), multiclass_hinge)
    assert found is not None
    assert found.value == pytest.approx(9)


def test_nothing_is_expected_of_the_perceptron_or_of_an_own_loss():
    assert chance(seeded(64, 10), digits(), perceptron_criterion)[0] is None
    assert chance(seeded(64, 10), digits(), lambda o, t: (o.sum(1) - t).sin().mean())[0] is None


def test_a_loss_far_above_chance_is_named():
    model = weights(seeded(64, 128, 10), lambda w: w.mul_(10))
    assert codes(check_initial_loss, model) == ["bad_init"]
    assert codes(check_initial_loss, seeded(64, 128, 10)) == []


def test_large_inputs_are_told_from_large_weights():
    inputs, targets = digits()
    model = seeded(64, 128, 10)
    assert codes(check_initial_loss, model, (100 * inputs, targets)) == ["unnormalised_inputs"]


def test_targets_far_from_zero_are_no_fault_of_the_weights():
    inputs, targets = patients()
    assert codes(check_initial_loss, seeded(10, 32, 1), (inputs, 100 + targets), nn.MSELoss()) == []


def test_a_regression_with_outputs_of_hundreds_is_named():
    model = weights(seeded(10, 64, 64, 1), lambda w: w.mul_(10))
    assert codes(check_initial_loss, model, patients(), nn.MSELoss()) == ["bad_init"]


def test_the_negative_of_a_loss_is_named():
    def negative(outputs, targets):
        return -nn.functional.cross_entropy(outputs, targets)

    assert codes(check_initial_loss, seeded(64, 10), loss=negative) == ["gradient_ascent"]


def test_a_penalty_is_told_and_named_where_it_rules():
    from dataclasses import replace

    subject = subject_of(seeded(64, 10), digits(), loss_fn=nn.CrossEntropyLoss())

    def check_with(factor):
        def penalty(model):
            return factor * sum(p.square().sum() for p in model.parameters())

        return check_initial_loss(replace(subject, penalty=penalty))[0]

    assert "of penalties" in check_with(1e-3).seen
    assert check_with(1e-3).passed
    assert [f.code for f in check_with(100.0).findings] == ["over_regularised"]


def test_the_verdict_tells_the_number_seen_and_the_number_expected():
    model = seeded(64, 10)
    with torch.no_grad():
        model[-1].weight.zero_()
        model[-1].bias.zero_()
    (verdict,) = report(check_initial_loss, model).verdicts
    assert (verdict.seen, verdict.expected) == ("2.303", "about ln 10 = 2.303")
