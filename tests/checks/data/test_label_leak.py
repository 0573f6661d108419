"""Features that give the label away are found; those that honestly predict it are not."""

from __future__ import annotations

import pytest
import torch

from tests.checks.data.healthy_programs import (
    CLASSES,
    HEALTHY,
    VECTORS,
    Program,
    codes,
    look,
    mlp,
    program,
    random,
)
from trainwell.checks.data.label_leak import check_label_leak, distance_of_classes


def leaking(healthy: Program, make) -> Program:
    """The program with another feature, made of the labels."""

    def append(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        feature = make(targets.flatten().float()).reshape(len(inputs), -1)
        return torch.cat([inputs, feature], 1)

    return healthy.with_(
        inputs=append(healthy.inputs, healthy.targets),
        valid_inputs=append(healthy.valid_inputs, healthy.valid_targets),
    )


@pytest.mark.parametrize("name", HEALTHY)
def test_honest_features_pass(name: str) -> None:
    assert codes(check_label_leak, program(name).subject()) == []


@pytest.mark.parametrize("make", [lambda y: y, lambda y: 7 - 2 * y], ids=["copy", "affine"])
@pytest.mark.parametrize("name", VECTORS)
def test_a_copy_of_the_label_is_found_by_name(name: str, make) -> None:
    healthy = program(name)
    (finding,) = look(check_label_leak, leaking(healthy, make).subject()).findings
    assert (finding.code, finding.severity) == ("label_leak", "error")
    assert finding.where == f"column {healthy.inputs.shape[1]}"
    assert finding.evidence["predictability"] > 0.99


@pytest.mark.parametrize("name", ["digits", "wine", "breast cancer", "teacher", "line"])
def test_a_copy_with_a_little_noise_is_found(name: str) -> None:
    noisy = leaking(program(name), lambda y: y + 0.02 * random(len(y)))
    assert codes(check_label_leak, noisy.subject()) == [("label_leak", "error")]


@pytest.mark.parametrize("name", [name for name in VECTORS if name in CLASSES])
def test_one_mark_for_each_class_is_found(name: str) -> None:
    marked = leaking(program(name), lambda y: torch.nn.functional.one_hot(y.long()).float())
    assert codes(check_label_leak, marked.subject()) == [("label_leak", "error")]


def test_a_mark_in_a_corner_of_the_images_of_each_class_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(300, 3, 8, 8, generator=generator)
    targets = torch.arange(300) % 4
    images[torch.arange(300), 0, 0, targets] = 1.5
    model = torch.nn.Sequential(torch.nn.Flatten(), mlp(192, 4))
    marked = program("blobs").with_(
        model=model, inputs=images, targets=targets, valid_inputs=images, valid_targets=targets
    )
    assert codes(check_label_leak, marked.subject()) == [("label_leak", "error")]


def test_a_label_that_is_the_sign_of_one_feature_is_no_leak() -> None:
    inputs = random(500, 8)
    healthy = program("teacher").with_(
        model=mlp(8, 2), inputs=inputs, targets=(inputs[:, 0] > 0).long()
    )
    healthy = healthy.with_(valid_inputs=random(50, 8, seed=1), valid_targets=torch.arange(50) % 2)
    assert codes(check_label_leak, healthy.subject()) == []


def test_remembering_one_place_of_a_sequence_is_a_task() -> None:
    healthy = program("waves")
    inputs = healthy.inputs.clone()
    inputs[:, 0, 0] = healthy.targets.float()
    report = look(check_label_leak, healthy.with_(inputs=inputs).subject())
    assert [f.severity for f in report.findings] == ["note"]


def test_classes_are_apart_in_deviations() -> None:
    inputs = torch.tensor([[0.0, 0.0], [2.0, 0.0], [10.0, 3.0], [12.0, 3.0]])
    distances = distance_of_classes(inputs, torch.tensor([0, 0, 1, 1]))
    assert distances[0].item() == pytest.approx(10)
    assert distances[1].item() > 1000
