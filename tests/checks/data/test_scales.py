"""Inputs of a scale that harms are named, by where the weights get them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.checks.data.healthy_programs import VECTORS, Program, codes, program
from trainwell.checks.data.scales import check_scales
from trainwell.checks.data.split_scale import check_split_scale, compare_scales


def changed(healthy: Program, change) -> Program:
    return healthy.with_(inputs=change(healthy.inputs), valid_inputs=change(healthy.valid_inputs))


def enlarge_a_column(inputs: Tensor) -> Tensor:
    factors = torch.ones(inputs.shape[1])
    factors[int(inputs.std(0).argmax())] = 1000
    return inputs * factors


FAULTS = {
    "one column in thousandths": enlarge_a_column,
    "a thousand times too large": lambda inputs: inputs * 1234.5,
    "far from zero": lambda inputs: inputs + 100,
    "a thousandth": lambda inputs: inputs * 1e-3,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", VECTORS)
def test_a_scale_that_harms_is_found(name: str, fault: str) -> None:
    found = codes(check_scales, changed(program(name), FAULTS[fault]).subject())
    assert [code for code, _ in found] == ["unnormalised_inputs"]


def test_small_columns_beside_ordinary_ones_are_found() -> None:
    factors = torch.ones(13)
    factors[4] = 1e-3
    found = codes(check_scales, changed(program("wine"), lambda x: x * factors).subject())
    assert found == [("unnormalised_inputs", "warning")]


@pytest.mark.parametrize("name", ["digits", "digit images"])
def test_raw_bytes_are_found(name: str) -> None:
    raw = changed(program(name), lambda inputs: (inputs * 255).round())
    assert codes(check_scales, raw.subject()) == [("dtype_scale", "error")]


def test_bytes_that_the_model_only_converts_are_found() -> None:
    class Converted(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, images: Tensor) -> Tensor:
            return self.inner(images.float())

    healthy = program("digit images")
    raw = changed(healthy, lambda inputs: (inputs * 255).byte())
    raw = raw.with_(model=Converted(healthy.model))
    assert codes(check_scales, raw.subject()) == [("dtype_scale", "error")]


def test_whole_numbers_where_standardised_values_are_expected_are_found() -> None:
    raw = changed(program("digits"), lambda inputs: inputs * 16)
    assert codes(check_scales, raw.subject()) == [("dtype_scale", "warning")]


@pytest.mark.parametrize("name", ["wine", "breast cancer", "teacher"])
def test_standardised_values_without_their_fractions_are_found(name: str) -> None:
    whole = changed(program(name), torch.trunc)
    assert codes(check_scales, whole.subject()) == [("dtype_scale", "warning")]


@pytest.mark.parametrize(
    "change",
    [lambda x: x * 255, lambda x: 5 * x + 3, lambda x: x - x.mean() - 4],
    ids=["bytes", "not standardised", "moved"],
)
@pytest.mark.parametrize("name", ["digits", "digit images", "wine", "diabetes", "waves"])
def test_validation_scaled_otherwise_than_training_is_found(name: str, change) -> None:
    healthy = program(name)
    other = healthy.with_(valid_inputs=change(healthy.valid_inputs))
    assert codes(check_split_scale, other.subject()) == [("dtype_scale", "error")]


def test_a_single_column_in_another_unit_is_found_by_name() -> None:
    healthy = program("wine")
    valid = healthy.valid_inputs.clone()
    valid[:, 3] *= 1000
    (finding,) = [
        finding
        for verdict in check_split_scale(healthy.with_(valid_inputs=valid).subject())
        for finding in verdict.findings
    ]
    assert (finding.code, finding.where) == ("dtype_scale", "column 3")
    assert finding.evidence["spread_ratio"] == pytest.approx(1000, rel=0.5)


def test_scales_are_compared_in_deviations_of_training() -> None:
    train = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    shift, spread = compare_scales(train, 4 * train + 1)
    deviation = 2**0.5
    assert shift.item() == pytest.approx((5 - 1) / deviation)
    assert spread.exp().item() == pytest.approx(4)
