"""A loss that is not finite is traced to the first operation, parameter or row."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import trainwell as tw
from tests.watching.planted_nans import CASES, Planted
from trainwell.findings import Finding

FAULTS = {name: case for name, case in CASES.items() if not case.grows}
GROWTHS = {name: case for name, case in CASES.items() if case.grows}


def find_explosion(findings: list[Finding]) -> Finding:
    everything = [g for f in findings for g in (f, *f.effects)]
    (finding,) = [f for f in everything if f.code == "exploding_or_nan"]
    return finding


@pytest.mark.filterwarnings("ignore:var")
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_with_its_operation_place_and_rows(name: str) -> None:
    case = FAULTS[name]
    findings, good = case.run()
    assert good > 10, "the training is healthy at first"
    assert findings[0].code == "exploding_or_nan", "the fault, and not how the training went"
    finding = findings[0]
    assert case.operation in finding.where
    assert case.place in finding.where
    assert ("the backward pass of" in finding.cause) == case.backward
    assert case.remedy in finding.remedy.casefold()
    if case.rows:
        shown = ", ".join(map(str, case.rows))
        assert f"row{'s' * (len(case.rows) > 1)} {shown}" in finding.cause
        assert finding.evidence["rows"] == len(case.rows)
        assert finding.evidence["first_row"] == case.rows[0]
    else:
        assert "rows" not in finding.evidence


@pytest.mark.parametrize("name", GROWTHS)
def test_weights_that_grow_are_named_with_the_step_since_when(name: str) -> None:
    case = GROWTHS[name]
    findings, good = case.run()
    assert good > 5, "the training is healthy at first"
    finding = find_explosion(findings)
    weights = [n for n, p in case.make().named_parameters() if p.ndim > 1]
    assert finding.where in weights
    assert 0 < finding.evidence["since"] < finding.evidence["step"]
    assert finding.evidence["parameter_growth"] > 10
    assert "has grown from" in finding.cause
    assert case.remedy in finding.remedy.casefold()


def test_the_line_that_called_the_operation_is_named() -> None:
    finding = find_explosion(FAULTS["log of zero in a cross-entropy by hand"].run()[0])
    assert "planted_nans.py:" in finding.cause


def test_the_parameters_that_a_bad_gradient_spoilt_are_named() -> None:
    finding = find_explosion(FAULTS["slope of a norm by hand at zero"].run()[0])
    assert "at step 14; the update of that step spoilt 0.weight." in finding.cause


def test_the_numbers_that_an_operation_got_are_said() -> None:
    finding = find_explosion(FAULTS["fractional power of a negative number"].run()[0])
    assert "it gets -1 and 0.7 and gives nan" in finding.cause


def test_weights_gradients_and_random_numbers_are_left_as_they_are() -> None:
    def train(watched: bool) -> tuple[list[torch.Tensor], torch.Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        watcher = tw.watch(model, optimizer, nn.MSELoss(), on_finding=lambda f: None)
        for number in range(6):
            x = torch.randn(8, 4)
            optimizer.zero_grad()
            loss = (model(x).square() / (0.0 if number == 4 else 1.0)).mean()
            loss.backward()
            optimizer.step()
            if watched:
                watcher.step(loss, inputs=x, targets=torch.zeros(8, 1))
        watcher.detach()
        return [t for p in model.parameters() for t in (p.detach(), p.grad)], torch.rand(3)

    (plain, numbers), (seen, others) = train(False), train(True)
    for one, other in zip(plain, seen, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(numbers, others)


def test_a_batch_that_was_overwritten_since_is_not_blamed() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher = tw.watch(model, optimizer, nn.MSELoss(), on_finding=lambda f: None)
    buffer, y = torch.randn(8, 4), torch.randn(8, 1)
    for number in range(4):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(buffer), y)
        loss.backward()
        if number == 2:
            with torch.no_grad():
                model.weight.grad.fill_(torch.nan)  # what nobody can see by running it again
        optimizer.step()
        watcher.step(loss, targets=y)
        buffer.copy_(torch.full((8, 4), torch.nan) if number == 3 else torch.randn(8, 4))
    assert find_explosion(watcher.findings()).where == "weight"
    watcher.detach()


def test_a_mask_of_minus_infinity_is_not_taken_for_the_origin() -> None:
    case = CASES["attention of which every place is masked"]
    finding = find_explosion(case.run()[0])
    assert "softmax in layer 'attention'" in finding.where
    assert "masked" in finding.cause


def test_a_model_that_cannot_be_copied_still_has_its_batch_looked_at() -> None:
    class Uncopyable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 1)

        def __deepcopy__(self, memo: object) -> nn.Module:
            raise TypeError("no copy")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)

    model = Uncopyable()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher = tw.watch(model, optimizer, on_finding=lambda f: None)
    x = torch.randn(8, 4)
    x[6, 1] = torch.inf
    loss = model(x).square().mean()
    loss.backward()
    optimizer.step()
    watcher.step(loss)
    finding = find_explosion(watcher.findings())
    assert (finding.where, finding.evidence["first_row"]) == ("the inputs", 6)
    watcher.detach()


def test_there_are_enough_planted_cases_of_each_kind() -> None:
    cases: list[Planted] = list(CASES.values())
    assert len(cases) >= 24
    assert sum(case.backward for case in cases) >= 5


def test_losses_that_are_read_later_still_find_a_good_snapshot() -> None:
    """As on an accelerator, where no step waits for the value of its loss."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4, bias=False), Reciprocal(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    watcher = tw.watch(model, optimizer, nn.MSELoss(), on_finding=lambda f: None)
    for number in range(200):
        x, y = torch.rand(8, 4) + 0.5, torch.randn(8, 1)
        if number >= 150:
            x[5] = 0.0
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        watcher.step(torch.stack([loss, loss]).detach(), inputs=x, targets=y)
    finding = find_explosion(watcher.findings())
    assert finding.where == "div in layer '1'"
    assert finding.evidence["first_row"] == 5
    assert finding.step == 150
    watcher.detach()


def test_a_model_of_more_than_two_million_parameters_is_rolled_back_as_well() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1500, 1400, bias=False), Reciprocal(), nn.Linear(1400, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    watcher = tw.watch(model, optimizer, nn.MSELoss(), on_finding=lambda f: None)
    for number in range(7):
        x, y = torch.rand(8, 1500), torch.randn(8, 1)
        if number == 6:
            x[5] = 0.0
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=x, targets=y)
    assert find_explosion(watcher.findings()).where == "div in layer '1'"
    watcher.detach()


class Reciprocal(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1 / (x.abs() + 0.1 * (x != 0))


def test_a_compiled_model_is_run_as_it_was_written() -> None:
    torch.manual_seed(0)
    model = torch.compile(nn.Sequential(nn.Linear(4, 4), Reciprocal()), backend="eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    watcher = tw.watch(model, optimizer, nn.MSELoss(), on_finding=lambda f: None)
    x, y = torch.randn(8, 4), torch.zeros(8, 4)
    x[3, 1] = torch.nan
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    watcher.step(loss, inputs=x, targets=y)
    finding = find_explosion(watcher.findings())
    assert (finding.where, finding.evidence["first_row"]) == ("the inputs", 3)
    watcher.detach()
