"""Options of `load` are honoured or refused, never passed over; so are targets of odd kinds."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import torch
from torch.utils.data import StackDataset, TensorDataset

import trainwell as tw
from trainwell.errors import DataError

X = numpy.random.default_rng(0).random((40, 3))
TENSORS = TensorDataset(torch.randn(40, 3), torch.arange(40) % 2)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("iris", {"task": "regression"}, "its targets are for multiclass, not for regression"),
        ("iris", {"task": "multi"}, "Did you mean 'multiclass'"),
        ("iris", {"corrupt": "no"}, "there is no corrupt 'no'"),
        ("iris", {"target": "x"}, "only tables have columns"),
        ((X, numpy.arange(40) % 2), {"target": "x"}, "only tables have columns"),
        (TENSORS, {"target": "x"}, "only tables have columns"),
        (StackDataset(*TENSORS.tensors), {"preprocess": ["centre"]}, "cannot be preprocessed"),
    ],
)
def test_an_option_that_the_source_cannot_have_is_refused(
    source: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        tw.load(source, **options)


def test_the_task_may_be_called_multiclass_where_two_classes_make_it_binary() -> None:
    assert tw.load("moons", task="multiclass").task == "binary"


def test_a_data_set_that_is_loaded_takes_no_more_options() -> None:
    with pytest.raises(DataError, match="loaded already"):
        tw.load(tw.load("iris"), task="regression")


def test_tensor_data_sets_are_preprocessed_as_asked() -> None:
    data = tw.load(TENSORS, preprocess=["unit_range"])
    assert data.preprocess.steps == ("unit_range",)
    seen = data.preprocess(data.train.inputs)  # type: ignore[arg-type]
    assert (float(seen.min()), float(seen.max())) == pytest.approx((0.0, 1.0))


def test_a_streamed_data_set_can_be_reconstructed() -> None:
    data = tw.load(StackDataset(*TENSORS.tensors), task="reconstruction")
    assert data.task == "reconstruction"
    assert data.outputs == 3


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([[1], [1, 2]] * 20, "not one array"),
        ([{"a": 1}, {"b": 2}] * 20, "row 0 has the target"),
        (3, "a single int"),
        ("ab" * 20, "a single str"),
        ((i % 2 for i in range(40)), "a single generator"),
        (numpy.zeros(40, dtype="datetime64[s]"), "datetime64"),
        (numpy.zeros(40, dtype=complex), "complex128"),
        (torch.zeros(40, device="meta"), "on the meta device"),
        (torch.zeros(40).to_sparse(), "are sparse"),
    ],
)
def test_d8_targets_that_are_not_one_an_example_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tw.load((X, targets))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.zeros(40, 3).to_sparse(), "the inputs are sparse"),
        (torch.zeros(40, 3, device="meta"), "on the meta device"),
        (torch.zeros(40, 3, dtype=torch.complex64), "complex"),
        ([[1, 2], [3]] * 20, "not one array of numbers"),
    ],
)
def test_d6_inputs_that_are_no_plain_numbers_are_refused(inputs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tw.load((inputs, numpy.arange(40) % 2))


def test_targets_in_bfloat16_are_a_regression() -> None:
    data = tw.load((X, torch.rand(40).bfloat16()))
    assert data.task == "regression"


def test_d1_a_streamed_item_that_is_not_finite_is_named() -> None:
    inputs = torch.zeros(40, 3)
    inputs[7, 2] = torch.nan
    with pytest.raises(DataError, match=r"item 7 has 1 inputs that are not finite, .* 2"):
        tw.load(StackDataset(inputs, torch.arange(40) % 2))
