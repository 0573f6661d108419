"""Labels that are shuffled, shifted or turned are found; those that are hard to learn are not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.checks.data.healthy_programs import (
    CLASSES,
    HEALTHY,
    Program,
    codes,
    look,
    mlp,
    program,
    random,
)
from trainwell.checks.data.label_noise import check_label_noise
from trainwell.checks.data.label_stretches import find_shift, find_stretch
from trainwell.checks.data.probe import best_probe, features_of, forest_probe, skill_of
from trainwell.checks.data.structure import has_structure


def relabelled(healthy: Program, change) -> Program:
    return healthy.with_(targets=change(healthy.targets))


def shuffled(targets: Tensor) -> Tensor:
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(5))
    return targets[order]


def shifted_block(targets: Tensor) -> Tensor:
    first, last = len(targets) // 4, 3 * len(targets) // 4
    return torch.cat([targets[:first], targets[first:last].roll(1, 0), targets[last:]])


def shuffled_block(targets: Tensor) -> Tensor:
    first, last = len(targets) // 4, 3 * len(targets) // 4
    return torch.cat([targets[:first], shuffled(targets[first:last]), targets[last:]])


def turned(targets: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    chosen = torch.rand(len(targets), generator=generator) < 0.2
    by = torch.randint(1, 10, targets.shape, generator=generator)
    return torch.where(chosen, (targets + by) % 10, targets)


@pytest.mark.parametrize("name", HEALTHY)
def test_labels_of_healthy_programs_are_learnt_by_a_probe(name: str) -> None:
    (verdict,) = check_label_noise(program(name).subject())
    assert verdict.passed and "correlation" in verdict.seen


@pytest.mark.parametrize("name", [name for name in HEALTHY if name != "words"])
def test_shuffled_labels_are_found(name: str) -> None:
    found = codes(check_label_noise, relabelled(program(name), shuffled).subject())
    assert [code for code, _ in found] == ["corrupted_labels"]


@pytest.mark.parametrize("by", [1, -1])
@pytest.mark.parametrize("name", ["digits", "digit images", "iris", "blobs", "line", "waves"])
def test_labels_shifted_by_one_are_found(name: str, by: int) -> None:
    shifted = relabelled(program(name), lambda targets: targets.roll(by, 0))
    (finding,) = look(check_label_noise, shifted.subject()).findings
    assert (finding.code, finding.severity) == ("corrupted_labels", "error")
    assert finding.evidence["lag"] == by


@pytest.mark.parametrize(
    "name", ["digits", "digit images", "wine", "breast cancer", "blobs", "line", "waves"]
)
def test_a_block_of_shifted_labels_is_found_where_it_is(name: str) -> None:
    healthy = program(name)
    (finding,) = look(check_label_noise, relabelled(healthy, shifted_block).subject()).findings
    assert finding.code == "corrupted_labels"
    assert finding.evidence["lag"] == 1
    count = len(healthy.targets)
    assert finding.evidence["first"] == pytest.approx(count / 4, abs=0.08 * count)
    assert finding.evidence["last"] == pytest.approx(3 * count / 4, abs=0.08 * count)


@pytest.mark.parametrize("name", ["digits", "blobs"])
def test_a_block_of_shuffled_labels_is_found(name: str) -> None:
    found = codes(check_label_noise, relabelled(program(name), shuffled_block).subject())
    assert found == [("corrupted_labels", "warning")]


def test_turned_labels_are_found_where_classes_are_well_apart() -> None:
    report = look(check_label_noise, relabelled(program("digits"), turned).subject())
    (finding,) = report.findings
    assert (finding.code, finding.severity) == ("corrupted_labels", "warning")
    assert finding.evidence["share"] == pytest.approx(0.2, abs=0.05)


def test_classes_that_overlap_are_no_turned_labels() -> None:
    labels = torch.arange(600) % 2
    inputs = random(600, 2) + 1.5 * labels.unsqueeze(1)
    hard = program("teacher").with_(
        model=mlp(2, 2), inputs=inputs, targets=labels, valid_inputs=inputs, valid_targets=labels
    )
    assert codes(check_label_noise, hard.subject()) == []


def test_few_examples_say_nothing() -> None:
    healthy = relabelled(program("digits"), shuffled)
    few = healthy.with_(inputs=healthy.inputs[:50], targets=healthy.targets[:50])
    assert check_label_noise(few.subject()) == []


def test_scores_in_random_order_are_few_standard_errors_from_chance() -> None:
    scores, wanted = random(300, 4), random(300, 4, seed=1)
    assert abs(skill_of(scores, wanted)[1]) < 3
    correlation, sureness = skill_of(scores, scores)
    assert correlation == pytest.approx(1)
    assert sureness > 15


@pytest.mark.parametrize("seed", range(4))
def test_a_probe_learns_what_is_there_and_nothing_of_noise(seed: int) -> None:
    inputs = features_of(random(400, 6, seed=seed), is_tokens=False)
    generator = torch.Generator().manual_seed(seed)
    noise = random(400, 1, seed=seed + 100)
    assert best_probe(inputs, noise, generator).sureness < 4
    assert forest_probe(inputs, noise, seed).sureness < 4
    learnable = inputs["values"][:, :1] + 0.5 * noise
    assert best_probe(inputs, learnable, generator).sureness > 8
    assert forest_probe(inputs, learnable, seed).sureness > 8


def test_the_spectrum_of_a_sequence_does_not_change_when_it_is_moved() -> None:
    waves = program("waves").inputs
    here, moved = (features_of(w, is_tokens=False)["spectrum"] for w in (waves, waves.roll(7, 1)))
    assert torch.allclose(torch.cdist(here, here), torch.cdist(moved, moved), atol=0.05)


def test_structure_is_dependence_or_clusters() -> None:
    generator = torch.Generator().manual_seed(0)
    independent = random(500, 8)
    assert not has_structure(independent, generator)
    assert has_structure(independent @ random(8, 8, seed=1), generator)
    assert has_structure(program("blobs").inputs, generator)


def test_a_stretch_is_found_where_it_is_and_none_in_good_labels() -> None:
    labels = torch.eye(5)[torch.randint(0, 5, (600,), generator=torch.Generator().manual_seed(0))]
    scores = labels + 0.1 * random(600, 5)
    rows = torch.arange(600)
    assert find_shift(scores, labels, rows, is_classes=True) is None
    assert find_stretch(scores, labels) is None
    moved = torch.cat([labels[:200], labels[200:300].roll(2, 0), labels[300:]])
    stretch = find_shift(scores, moved, rows, is_classes=True)
    assert stretch is not None
    assert stretch.lag == 2
    assert abs(stretch.first - 200) < 10 and abs(stretch.last - 300) < 10
    assert stretch.shifted_agreement > 0.9


def test_every_program_of_classes_has_a_probe() -> None:
    assert all(check_label_noise(program(name).subject()) for name in CLASSES)
