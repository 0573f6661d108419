"""Labels that cannot be learnt, and classes that hardly come, are named."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tests.checks.data.healthy_programs import CLASSES, HEALTHY, codes, look, mlp, program, random
from trainwell.checks.data.balance import check_balance
from trainwell.checks.data.labels import check_labels

MULTICLASS = [name for name in CLASSES if name != "breast cancer"]
CORRUPTED, WRONG_TYPE = [("corrupted_labels", "error")], [("dtype_scale", "error")]


@pytest.mark.parametrize("name", HEALTHY)
def test_labels_of_healthy_programs_pass(name: str) -> None:
    subject = program(name).subject()
    assert codes(check_labels, subject) == codes(check_balance, subject) == []


@pytest.mark.parametrize("name", MULTICLASS)
def test_classes_numbered_from_one_are_found(name: str) -> None:
    healthy = program(name)
    found = codes(check_labels, healthy.with_(targets=healthy.targets + 1).subject())
    assert found == CORRUPTED


def test_a_single_negative_label_is_found_but_not_one_that_the_loss_ignores() -> None:
    healthy = program("iris")
    targets = healthy.targets.clone()
    targets[5] = -1
    assert codes(check_labels, healthy.with_(targets=targets).subject()) == CORRUPTED
    ignoring = nn.CrossEntropyLoss(ignore_index=-1)
    subject = healthy.with_(targets=targets).subject(loss_fn=ignoring)
    assert codes(check_labels, subject) == []


def test_labels_out_of_range_in_validation_are_found_there() -> None:
    healthy = program("iris")
    report = look(check_labels, healthy.with_(valid_targets=healthy.valid_targets + 1).subject())
    assert [(f.code, f.where) for f in report.findings] == [("corrupted_labels", "valid")]


@pytest.mark.parametrize("name", ["breast cancer", "diabetes", "line"])
def test_a_label_that_is_not_a_number_is_found(name: str) -> None:
    healthy = program(name)
    targets = healthy.targets.clone()
    targets[9] = math.nan
    (finding,) = look(check_labels, healthy.with_(targets=targets).subject()).findings
    assert (finding.code, finding.severity) == ("corrupted_labels", "error")


@pytest.mark.parametrize("change", [lambda y: y + 1, lambda y: 2 * y - 1, lambda y: 255 * y])
def test_two_classes_that_are_not_zero_and_one_are_found(change) -> None:
    healthy = program("breast cancer")
    changed = healthy.with_(
        targets=change(healthy.targets), valid_targets=change(healthy.valid_targets)
    )
    found = codes(check_labels, changed.subject())
    assert found == CORRUPTED * 2


def test_labels_of_minus_one_and_one_suit_a_loss_of_the_margin() -> None:
    healthy = program("breast cancer")
    signs = healthy.with_(
        targets=2 * healthy.targets - 1, valid_targets=2 * healthy.valid_targets - 1
    )
    assert codes(check_labels, signs.subject(loss_fn=nn.SoftMarginLoss())) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32])
def test_a_type_of_class_numbers_that_the_loss_refuses_is_found(dtype: torch.dtype) -> None:
    healthy = program("iris")
    found = codes(check_labels, healthy.with_(targets=healthy.targets.to(dtype)).subject())
    assert found == WRONG_TYPE


def test_whole_numbers_for_a_loss_of_probabilities_are_found() -> None:
    healthy = program("breast cancer")
    found = codes(check_labels, healthy.with_(targets=healthy.targets.long()).subject())
    assert found == WRONG_TYPE


def soft(labels: Tensor) -> Tensor:
    return 0.9 * nn.functional.one_hot(labels, 3).float() + 0.1 / 3


def test_a_distribution_over_the_classes_is_a_label() -> None:
    healthy = program("iris")
    smooth = healthy.with_(targets=soft(healthy.targets), valid_targets=soft(healthy.valid_targets))
    assert codes(check_labels, smooth.subject()) == []
    assert codes(check_labels, smooth.with_(targets=3 * smooth.targets).subject()) == CORRUPTED
    assert codes(check_labels, smooth.with_(model=mlp(4, 5)).subject()) == CORRUPTED * 2


def test_labels_of_every_pixel_are_looked_at() -> None:
    model = nn.Conv2d(1, 2, 3, padding=1)
    images = random(40, 1, 6, 6)
    labels = (images[:, 0] > 0).long()
    program_ = program("digits").with_(
        model=model, inputs=images, targets=labels, valid_inputs=images, valid_targets=labels
    )
    assert codes(check_labels, program_.subject()) == []
    assert codes(check_labels, program_.with_(targets=2 * labels).subject()) == CORRUPTED


def test_targets_that_are_all_the_same_are_found() -> None:
    healthy = program("line")
    same = healthy.with_(targets=torch.ones_like(healthy.targets))
    assert codes(check_labels, same.subject()) == CORRUPTED


@pytest.mark.parametrize("name", CLASSES)
def test_a_single_class_is_found(name: str) -> None:
    healthy = program(name)
    chosen = healthy.targets.flatten() == 0
    single = healthy.with_(inputs=healthy.inputs[chosen], targets=healthy.targets[chosen])
    assert ("class_imbalance", "error") in codes(check_balance, single.subject())


@pytest.mark.parametrize(
    ("counts", "severity"),
    [((60, 60), None), ((150, 12), None), ((150, 6), "warning"), ((70, 70, 70, 1), "warning")],
)
def test_a_rare_class_is_found(counts: tuple[int, ...], severity: str | None) -> None:
    targets = torch.cat([torch.full((count,), number) for number, count in enumerate(counts)])
    rare = program("blobs").with_(inputs=random(len(targets), 6), targets=targets)
    rare = rare.with_(valid_inputs=rare.inputs, valid_targets=targets)
    expected = [] if severity is None else [("class_imbalance", severity)]
    assert codes(check_balance, rare.subject()) == expected


def test_a_rare_class_that_the_loss_weights_is_only_noted() -> None:
    targets = (torch.arange(300) % 60 == 0).long()
    rare = program("blobs").with_(inputs=random(300, 6), targets=targets)
    rare = rare.with_(valid_inputs=rare.inputs, valid_targets=targets)
    weights = torch.tensor([1.0, 60.0, 1.0, 1.0])
    assert codes(check_balance, rare.subject()) != []
    assert codes(check_balance, rare.subject(loss_fn=nn.CrossEntropyLoss(weights))) == []


def test_classes_that_only_validation_has_are_found() -> None:
    healthy = program("iris")
    known = healthy.targets < 2
    split = healthy.with_(inputs=healthy.inputs[known], targets=healthy.targets[known])
    (finding,) = look(check_balance, split.subject()).findings
    assert (finding.code, finding.severity, finding.where) == ("class_imbalance", "warning", "2")
