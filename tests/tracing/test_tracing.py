"""A pass is repeated, and the first place where a value was not finite is named."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.tracing.origin import Origin
from trainwell.tracing.tracing import Pass, Trace, trace

ROWS = 6


class Own(nn.Module):
    """Linear, then a function as the layer `inner`."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.inner = Inner(function)

    def forward(self, x: Tensor) -> Any:
        return self.inner(self.first(x))


class Inner(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def inputs(zero_row: int | None = 2) -> Tensor:
    x = torch.rand(ROWS, 4, generator=torch.Generator().manual_seed(0)) + 0.5
    if zero_row is not None:
        x[zero_row] = 0.0
    return x


def run(function: Callable[[Tensor], Any], x: Tensor | None = None, **options: Any) -> Origin:
    torch.manual_seed(0)
    made = Pass((inputs() if x is None else x,), **options)
    found = trace(Own(function), made)
    assert found is not None
    return found


def write_in_place(h: Tensor) -> Tensor:
    copy = h.abs().clone()
    copy.log_()
    return copy + 1


def write_to_a_row(h: Tensor) -> Tensor:
    copy = h.clone()
    copy[2].div_(copy[2])
    return copy * 2


def set_items(h: Tensor) -> Tensor:
    copy = torch.zeros_like(h)
    copy[:] = h.abs().log()
    return copy


def keep_finite(h: Tensor) -> Tensor:
    return torch.nan_to_num(h.abs().log(), neginf=0.0) + (h / 0 * 0).nan_to_num()


@pytest.mark.parametrize(
    ("function", "where"),
    [
        (write_in_place, "log in layer 'inner'"),
        (write_to_a_row, "div in layer 'inner'"),
        (set_items, "log in layer 'inner'"),
        (lambda h: {"loss": 0.0, "logits": h.abs().log()}, "log in layer 'inner'"),
        (lambda h: (h, [1 / h]), "div in layer 'inner'"),
        (lambda h: torch.exp(h.abs().log() * -1e3), "log in layer 'inner'"),
    ],
)
def test_the_first_operation_is_named_however_it_is_written(
    function: Callable[[Tensor], Any], where: str
) -> None:
    found = run(function)
    assert (found.kind, found.where, found.rows) == ("operation", where, (2,))


def test_what_is_made_finite_again_is_not_blamed() -> None:
    torch.manual_seed(0)
    found = Trace(Own(keep_finite), Pass((inputs(),)))
    assert found.forward is None
    origin = found.trace_backward()
    assert origin is not None
    assert origin.kind == "gradient"


def test_a_pass_that_is_finite_has_no_origin() -> None:
    torch.manual_seed(0)
    made = Pass((inputs(None),), targets=torch.zeros(ROWS, 4), loss_fn=functional.mse_loss)
    assert trace(Own(torch.tanh), made) is None


def test_a_nan_of_the_inputs_that_the_model_drops_is_not_blamed() -> None:
    x = inputs(None)
    x[3, 1] = math.nan

    class Mends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.nan_to_num()) / 0

    found = trace(Mends(), Pass((x,)))
    assert found is not None
    assert found.where == "div in the model"


def test_of_two_faults_the_first_that_ran_is_named() -> None:
    found = run(lambda h: h.abs().log() + 1 / h)
    assert found.operation == "log"


def test_a_fault_that_the_loss_does_not_see_is_not_named() -> None:
    def part(outputs: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
        return outputs[1].sqrt().mean() - targets.mean() + 1 / outputs[1].min()

    found = run(lambda h: (h.abs().log(), h.abs()), targets=torch.zeros(ROWS, 4), loss_fn=part)
    assert found.where == "div in the loss"


def test_rows_of_a_loss_that_gives_one_number_are_those_that_are_bad_alone() -> None:
    y = torch.zeros(ROWS, 4)
    y[4] = 1e30
    found = run(torch.tanh, inputs(None), targets=y, loss_fn=functional.mse_loss)
    assert (found.where, found.rows) == ("mse_loss in the loss", (4,))
    assert found.overflows


def test_all_rows_are_no_rows() -> None:
    assert run(lambda h: h / 0, inputs(None)).rows == ()


def test_minus_infinity_of_a_mask_is_no_fault_but_a_row_of_nothing_else_is() -> None:
    def attend(h: Tensor) -> Tensor:
        later = torch.full((ROWS, ROWS), -math.inf).triu(1)
        return torch.softmax(h @ h.T + later, 1) @ h

    torch.manual_seed(0)
    assert trace(Own(attend), Pass((inputs(),))) is None
    found = run(lambda h: torch.softmax(h.masked_fill(h == 0, -math.inf), 1))
    assert (found.operation, found.meant, found.rows) == ("softmax", True, (2,))


def test_a_recurrence_is_named_with_the_repetition_that_overflows() -> None:
    def repeat(h: Tensor) -> Tensor:
        for _ in range(200):
            h = h * 3.0
        return h

    found = run(repeat, inputs(None))
    assert found.operation == "mul"
    assert found.overflows
    assert 70 < found.repeats < 100


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda h: h.square().sum(1, keepdim=True).sqrt(), "sqrt"),
        (lambda h: h.abs().pow(0.5), "pow"),
        (lambda h: torch.where(h == 0, 0.0, 1 / h), "div"),
        (lambda h: torch.where(h == 0, 0.0, h.abs().log()), "log"),
    ],
)
def test_the_backward_pass_is_looked_at_where_the_forward_pass_is_finite(
    function: Callable[[Tensor], Tensor], operation: str
) -> None:
    found = run(function)
    assert found.kind == "gradient"
    assert (found.where, found.rows) == (f"{operation} in layer 'inner'", (2,))


def test_a_parameter_that_is_nan_is_named_with_the_rows_that_use_it() -> None:
    model = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight[5] = math.nan
    found = trace(model, Pass((torch.tensor([0, 1, 5, 2]),)))
    assert found is not None
    assert (found.kind, found.place, found.rows) == ("parameter", "0.weight", (2,))


def test_the_hooks_are_taken_away_again() -> None:
    model = Own(torch.log)
    trace(model, Pass((inputs(),)))
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    assert sum(hooks) == 0
