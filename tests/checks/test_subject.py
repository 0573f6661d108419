"""What is checked is found from what a program has, and left as it was."""

from __future__ import annotations

import copy
import random

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

import trainwell as tw
from trainwell.checks.given import infer_task, read_part, subject_of
from trainwell.checks.state_as_found import state_as_found
from trainwell.checks.subject import Part
from trainwell.checks.suite import NamedCheck, run_checks
from trainwell.checks.verdict import CheckReport, Verdict
from trainwell.errors import DataError, ModelError
from trainwell.findings import Finding

INPUTS = torch.arange(60.0).reshape(20, 3) / 60
LABELS = torch.arange(20) % 2
NET = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


class Items(TorchDataset[tuple[Tensor, int]]):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return INPUTS[index], int(LABELS[index])


@pytest.mark.parametrize(
    "given",
    [
        (INPUTS, LABELS),
        [INPUTS.numpy(), LABELS.numpy()],
        (INPUTS.tolist(), LABELS.tolist()),
        TensorDataset(INPUTS, LABELS),
        Items(),
        DataLoader(Items(), batch_size=5, shuffle=True),
    ],
    ids=["tensors", "arrays", "lists", "tensor data set", "data set", "loader"],
)
def test_examples_are_read_from_whatever_a_program_has(given: object) -> None:
    part = read_part(given, "train")
    assert torch.equal(part.inputs.float(), INPUTS)
    assert torch.equal(part.targets, LABELS)


@pytest.mark.parametrize(
    "given", [INPUTS, (INPUTS,), (INPUTS, LABELS[:5]), (INPUTS[:0], LABELS[:0]), 3]
)
def test_what_is_no_examples_is_one_clear_error(given: object) -> None:
    with pytest.raises(DataError):
        read_part(given, "train")


@pytest.mark.parametrize(
    ("targets", "loss_fn", "outputs", "task"),
    [
        (LABELS, None, 2, "multiclass"),
        (LABELS, None, 1, "binary"),
        (LABELS.float(), nn.BCEWithLogitsLoss(), 1, "binary"),
        (LABELS.float(), nn.functional.binary_cross_entropy_with_logits, 1, "binary"),
        (LABELS.float(), nn.MSELoss(), 1, "regression"),
        (LABELS, nn.functional.cross_entropy, 2, "multiclass"),
        (INPUTS, nn.MSELoss(), 3, "reconstruction"),
        (INPUTS[:, :2], None, 2, "regression"),
    ],
)
def test_the_task_is_told_by_loss_and_targets(
    targets: Tensor, loss_fn: nn.Module | None, outputs: int, task: str
) -> None:
    assert infer_task(Part(INPUTS, targets), loss_fn, nn.Linear(3, outputs)) == task


def test_a_loader_tells_the_size_and_the_order_of_batches() -> None:
    shuffled = subject_of(NET, DataLoader(Items(), batch_size=5, shuffle=True))
    ordered = subject_of(NET, DataLoader(Items(), batch_size=4))
    assert (shuffled.batch_size, shuffled.shuffles) == (5, True)
    assert (ordered.batch_size, ordered.shuffles) == (4, False)


def test_a_model_that_cannot_take_the_inputs_is_one_clear_error() -> None:
    with pytest.raises(ModelError, match="fails on inputs"):
        tw.check(nn.Linear(7, 2), (INPUTS, LABELS))


def test_everything_is_left_as_found_whatever_is_done_within() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    model[1].eval()
    model[3].bias.requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters())
    model(INPUTS).square().mean().backward()
    optimizer.step()
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    held = [p.grad for p in model.parameters()]
    draws = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].copy()
    with state_as_found(model, optimizer, 0, torch.device("cpu")):
        model.train().requires_grad_(True)
        for _ in range(3):
            optimizer.zero_grad()
            model(INPUTS + torch.randn(1)).square().mean().backward()
            optimizer.step()
        numpy.random.rand(), random.random()
    assert [module.training for module in model] == [True, False, True, True]
    assert not model[3].bias.requires_grad
    assert all(torch.equal(weights[k], v) for k, v in model.state_dict().items())
    assert str(optimizer.state_dict()) == str(state)
    for parameter, gradient, holder in zip(model.parameters(), gradients, held, strict=True):
        assert parameter.grad is holder
        assert gradient is None or torch.equal(parameter.grad, gradient)
    assert torch.equal(torch.get_rng_state(), draws[0])
    assert random.getstate() == draws[1]
    assert (numpy.random.get_state()[1] == draws[2]).all()


def test_a_check_that_fails_by_itself_is_skipped_and_says_why() -> None:
    def broken(subject: object) -> list[Verdict]:
        raise ZeroDivisionError("division by zero")

    report = run_checks(subject_of(NET, (INPUTS, LABELS)), [NamedCheck("broken", broken)])
    assert report.passed
    assert "division by zero" in report.verdicts[0].skipped


def test_data_that_cannot_be_run_through_a_model_is_not_run_through_it() -> None:
    holed = INPUTS.clone()
    holed[3, 1] = float("nan")
    report = tw.check(NET, (holed, LABELS))
    skipped = {v.check: v.skipped for v in report.verdicts if v.skipped}
    assert skipped["initial loss"] == "the data must be mended first"
    assert {f.code for f in report.findings} == {"exploding_or_nan"}


def report_of(*severities: str) -> CheckReport:
    findings = [
        Finding("bad_init", severity, where=str(n)) for n, severity in enumerate(severities)
    ]
    return CheckReport(tuple(Verdict("weights", "0", "about 0.1", (f,)) for f in findings), "net")


def test_findings_of_a_report_come_the_gravest_first() -> None:
    report = report_of("note", "warning", "error", "warning")
    assert [f.severity for f in report.findings] == ["error", "warning", "warning", "note"]
    assert not report.passed
    assert report_of("note").passed


def test_a_report_prints_as_a_table_and_says_what_failed() -> None:
    text = str(report_of("note", "error"))
    assert "FAILED" in text and "about 0.1" in text and "1 of 2 checks failed: bad_init." in text


def test_a_report_becomes_a_page(tmp_path) -> None:
    page = report_of("error").write_page(tmp_path / "check.html").read_text()
    assert "bad_init" in page and "about 0.1" in page and "<script" not in page
