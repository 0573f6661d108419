"""Copies of examples are found within and between the splits, exact and near ones."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checks.data.healthy_programs import HEALTHY, codes, look, program, random
from trainwell.checks.data.duplicates import check_duplicates
from trainwell.checks.data.near_duplicates import check_near_duplicates, near_shares
from trainwell.data.copies import hash_rows


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_validation_examples_that_are_trained_on_are_found(name: str, share: float) -> None:
    healthy = program(name)
    count = max(4, int(share * len(healthy.valid_inputs)))
    valid = torch.cat([healthy.inputs[:count], healthy.valid_inputs[count:]])
    found = codes(check_duplicates, healthy.with_(valid_inputs=valid).subject())
    assert [code for code, _ in found] == ["train_val_leak"]
    assert found[0][1] == ("error" if share > 0.1 or len(valid) < 40 else "warning")


@pytest.mark.parametrize("name", HEALTHY)
def test_examples_that_are_all_different_pass(name: str) -> None:
    assert codes(check_duplicates, program(name).subject()) == []
    assert codes(check_near_duplicates, program(name).subject()) == []


def test_what_coincides_because_few_values_can_be_taken_is_only_noted() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 3, (500, 5), generator=generator).float()
    other = torch.randint(0, 3, (100, 5), generator=generator).float()
    healthy = program("teacher").with_(
        model=torch.nn.Linear(5, 4),
        inputs=coarse,
        targets=torch.arange(500) % 4,
        valid_inputs=other,
        valid_targets=torch.arange(100) % 4,
    )
    report = look(check_duplicates, healthy.subject())
    assert [(f.code, f.severity) for f in report.findings] == [("train_val_leak", "note")]


def test_copies_within_training_are_noted() -> None:
    healthy = program("wine")
    twice = healthy.with_(inputs=healthy.inputs.repeat(2, 1), targets=healthy.targets.repeat(2))
    (finding,) = look(check_duplicates, twice.subject()).findings
    assert (finding.severity, finding.evidence["within"]) == ("note", 0.5)


def test_copies_with_another_label_are_found() -> None:
    healthy = program("wine")
    twice = healthy.with_(
        inputs=healthy.inputs.repeat(2, 1),
        targets=torch.cat([healthy.targets, (healthy.targets + 1) % 3]),
    )
    assert codes(check_duplicates, twice.subject()) == [("corrupted_labels", "warning")]


@pytest.mark.parametrize("name", ["digits", "digit images", "wine", "breast cancer", "waves"])
def test_copies_with_a_little_noise_are_found(name: str) -> None:
    healthy = program(name)
    half = len(healthy.valid_inputs) // 2
    copies = healthy.inputs[:half] + 0.005 * random(*healthy.inputs[:half].shape)
    valid = torch.cat([copies, healthy.valid_inputs[half:]])
    noisy = healthy.with_(valid_inputs=valid).subject()
    assert codes(check_duplicates, noisy) == []
    assert codes(check_near_duplicates, noisy) == [("train_val_leak", "error")]


def test_the_share_of_near_copies_is_counted() -> None:
    points = random(400, 8).double()
    asked = torch.cat([points[:30] + 1e-3, random(70, 8, seed=1).double()])
    usual, among, between = near_shares(points, asked)
    assert usual > 0.5
    assert (among, between) == (0, 0.3)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=1, max_size=12),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.int64, torch.float16]),
)
def test_hashes_are_equal_exactly_where_examples_are(
    rows: list[list[int]], dtype: torch.dtype
) -> None:
    hashes = hash_rows(torch.tensor(rows).to(dtype)).tolist()
    for first, one in zip(hashes, rows, strict=True):
        for second, other in zip(hashes, rows, strict=True):
            assert (first == second) == (one == other)


def test_zero_has_no_sign_in_a_hash() -> None:
    assert torch.equal(hash_rows(torch.zeros(1, 2)), hash_rows(-torch.zeros(1, 2)))
