"""Mixup: the equations of Zhang et al. (2018), and the numbers that it draws."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainwell.data.batches import Batch, mix
from trainwell.data.mixup import draw_mixing


def plain(count: int = 9) -> Batch:
    return Batch(torch.randn(count, 3, 4, 4), torch.arange(count))


@settings(max_examples=50, deadline=None)
@given(st.floats(0.05, 5.0), st.integers(1, 20), st.integers(0, 2**62))
def test_each_input_is_the_weighted_sum_of_two_and_carries_both_targets(
    alpha: float, count: int, seed: int
) -> None:
    batch = plain(count)
    mixed = mix(batch, alpha, seed)
    assert 0.5 <= mixed.share <= 1
    assert torch.equal(mixed.targets, batch.targets)
    assert mixed.partner_targets is not None
    # Targets are places here, so they say who the partner is.
    partners = mixed.partner_targets
    assert sorted(partners.tolist()) == list(range(count))
    wanted = mixed.share * batch.inputs + (1 - mixed.share) * batch.inputs[partners]
    torch.testing.assert_close(mixed.inputs, wanted)


def test_a_batch_is_mixed_by_its_seed_alone() -> None:
    batch = plain()
    one, again, other = mix(batch, 0.4, 1), mix(batch, 0.4, 1), mix(batch, 0.4, 2)
    assert torch.equal(one.inputs, again.inputs) and one.share == again.share
    assert one.share != other.share


def test_shares_follow_the_beta_distribution_folded_at_one_half() -> None:
    shares = torch.tensor([draw_mixing(0.4, 1, seed).share for seed in range(4000)]).double()
    # Of Beta(a, a): E[(x - 1/2)^2] = 1 / (4 (2a + 1)), which folding leaves as it is.
    assert float((shares - 0.5).square().mean()) == pytest.approx(1 / (4 * 1.8), rel=0.03)


def test_parts_of_a_mixed_batch_keep_partners_and_share() -> None:
    mixed = mix(plain(10), 1.0, 0)
    parts = mixed.split(4)
    assert [len(part) for part in parts] == [4, 4, 2]
    assert {part.share for part in parts} == {mixed.share}
    partners = [part.partner_targets for part in parts if part.partner_targets is not None]
    assert mixed.partner_targets is not None
    assert torch.equal(torch.cat(partners), mixed.partner_targets)
    assert torch.equal(torch.cat([part.inputs for part in parts]), mixed.inputs)
