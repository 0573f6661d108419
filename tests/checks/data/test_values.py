"""Inputs that are not finite, of the wrong type, or all the same, are named."""

from __future__ import annotations

import math

import pytest
import torch

from tests.checks.data.healthy_programs import HEALTHY, codes, look, program
from trainwell.checks.data.values import check_values
from trainwell.checks.suite import NamedCheck, run_checks
from trainwell.checks.verdict import Verdict

FLOATS = [name for name in HEALTHY if name != "words"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", FLOATS)
def test_a_single_value_that_is_not_finite_is_found(name: str, value: float) -> None:
    healthy = program(name)
    inputs = healthy.inputs.clone()
    inputs[17].view(-1)[0] = value
    report = look(check_values, healthy.with_(inputs=inputs).subject())
    (finding,) = [f for f in report.findings if f.code == "exploding_or_nan"]
    assert finding.severity == "error"
    assert finding.evidence["first_example"] == 17


def test_what_is_not_finite_in_validation_is_found_there() -> None:
    healthy = program("wine")
    inputs = healthy.valid_inputs.clone()
    inputs[3, 2] = math.inf
    report = look(check_values, healthy.with_(valid_inputs=inputs).subject())
    assert [(f.code, f.where) for f in report.findings] == [("exploding_or_nan", "valid")]


def test_checks_that_run_the_model_are_skipped_after_what_is_not_finite() -> None:
    healthy = program("wine")
    inputs = healthy.inputs.clone()
    inputs[0, 0] = math.nan
    checks = [
        NamedCheck("values", check_values, needs_healthy_data=False, judges_data=True),
        NamedCheck("later", lambda subject: [Verdict("later", "", "")]),
    ]
    assert run_checks(healthy.with_(inputs=inputs).subject(), checks).verdicts[-1].skipped


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float64, torch.float16])
def test_a_type_that_the_model_refuses_is_found(dtype: torch.dtype) -> None:
    healthy = program("digits")
    wrong = healthy.with_(
        inputs=(healthy.inputs * 16).to(dtype), valid_inputs=(healthy.valid_inputs * 16).to(dtype)
    )
    assert codes(check_values, wrong.subject()) == [("dtype_scale", "error")]


def test_whole_numbers_that_an_embedding_looks_up_are_healthy() -> None:
    assert codes(check_values, program("words").subject()) == []


def test_tokens_that_the_embedding_does_not_know_are_found() -> None:
    healthy = program("words")
    assert codes(check_values, healthy.with_(inputs=healthy.inputs + 1).subject()) == [
        ("dtype_scale", "error")
    ]


def test_another_type_in_validation_is_found() -> None:
    healthy = program("digits")
    other = healthy.with_(valid_inputs=healthy.valid_inputs.double())
    assert codes(check_values, other.subject()) == [("dtype_scale", "warning")]


def test_inputs_that_division_of_whole_numbers_made_zero_are_found() -> None:
    healthy = program("digits")
    blank = (healthy.inputs * 16).long() // 255
    assert ("dtype_scale", "error") in codes(
        check_values, healthy.with_(inputs=blank.float()).subject()
    )


def test_a_column_that_never_changes_is_noted_by_name() -> None:
    healthy = program("wine")
    inputs = healthy.inputs.clone()
    inputs[:, 4] = 1
    report = look(check_values, healthy.with_(inputs=inputs).subject())
    (finding,) = report.findings
    assert (finding.severity, finding.where) == ("note", "column 4")


def test_inputs_of_one_number_each_are_looked_at() -> None:
    model = torch.nn.Sequential(torch.nn.Unflatten(0, (-1, 1)), torch.nn.Linear(1, 1))
    x = torch.linspace(-1, 1, 50)
    healthy = program("line").with_(
        model=model, inputs=x, targets=2 * x, valid_inputs=x + 0.01, valid_targets=2 * x + 0.02
    )
    assert codes(check_values, healthy.subject()) == []
