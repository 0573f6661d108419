"""Penalties and limits of weights: their gradients, what they do to a training, and resuming."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.nn.losses import l1_penalty, l2_penalty
from trainwell.optim.penalties import Penalty, limit_norms, multiplying

PLAIN = {"optimizer": "sgd", "momentum": 0.0, "warmup": 0.0, "schedule": "constant"}


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_penaltys_gradients_and_value_are_those_of_the_penalised_loss() -> None:
    model = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Tanh(), nn.Linear(7, 3))
    inputs = torch.randn(11, 5)
    penalty = Penalty(multiplying(model.parameters()), l1=0.03, l2=0.2)
    model(inputs).square().mean().backward()
    penalty.add_gradients()
    ours = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    added = 0.03 * l1_penalty(model.parameters()) + 0.2 * l2_penalty(model.parameters())
    (model(inputs).square().mean() + added).backward()
    for got, p in zip(ours, model.parameters(), strict=True):
        assert p.grad is not None
        assert torch.allclose(got, p.grad, atol=1e-6)
    assert penalty.value().item() == pytest.approx(added.item(), rel=1e-5)


def fit(tmp_path: Path, name: str, **fields: object) -> tw.Run:
    recipe = tw.Recipe(**{"epochs": 5, "learning_rate": 0.05, **PLAIN, **fields})  # type: ignore
    return tw.fit("mlp", "digits", recipe, out=tmp_path / name)


def test_with_plain_sgd_an_l2_penalty_is_weight_decay(tmp_path: Path) -> None:
    decayed = fit(tmp_path, "decay", weight_decay=0.01)
    penalised = fit(tmp_path, "l2", weight_decay=0.0, l2=0.01)
    assert torch.allclose(weights(decayed.model), weights(penalised.model), atol=1e-5)


def test_with_adamw_decay_is_decoupled_and_a_penalty_is_not(tmp_path: Path) -> None:
    settings = {"optimizer": "adamw", "momentum": None, "learning_rate": 1e-3, "epochs": 3}
    decayed = fit(tmp_path, "decay", weight_decay=0.01, **settings)
    penalised = fit(tmp_path, "l2", weight_decay=0.0, l2=0.01, **settings)
    assert not torch.allclose(weights(decayed.model), weights(penalised.model), atol=1e-3)


def test_an_l1_penalty_leaves_more_weights_near_zero_and_is_shown(tmp_path: Path) -> None:
    def near_zero(run: tw.Run) -> float:
        first = next(run.model.parameters())
        return float((first.abs() < 1e-2).float().mean())

    free = fit(tmp_path, "free", weight_decay=0.0, epochs=15)
    penalised = fit(tmp_path, "l1", weight_decay=0.0, epochs=15, l1=3e-3)
    assert near_zero(penalised) > 2 * near_zero(free)
    windows = [row for row in penalised.history if row["kind"] == "window"]
    assert windows[0]["penalty"] > windows[-1]["penalty"] > 0
    assert "penalty" not in free.history[0]


def test_limited_norms_are_scaled_and_small_ones_are_left() -> None:
    weight = nn.Parameter(torch.randn(6, 3, 2, 2) * torch.logspace(-2, 1, 6)[:, None, None, None])
    before = weight.detach().clone()
    limit_norms([weight], 1.5)
    norms, old = weight.flatten(1).norm(dim=1), before.flatten(1).norm(dim=1)
    assert torch.allclose(norms, old.clamp(max=1.5), rtol=1e-4)
    assert torch.equal(weight[old < 1.4], before[old < 1.4])


def test_no_unit_of_a_trained_model_exceeds_the_maximum_norm(tmp_path: Path) -> None:
    run = fit(tmp_path, "limited", max_norm=0.5, learning_rate=0.2)
    for p in run.model.parameters():
        if p.ndim >= 2:
            assert p.flatten(1).norm(dim=1).max() <= 0.5 + 1e-5
    assert run.metrics["test_accuracy"] > 0.8


@pytest.mark.parametrize("fields", [{"l1": -1.0}, {"l2": -0.1}, {"max_norm": 0.0}])
def test_impossible_penalties_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(tw.TrainwellError, match="must be"):
        tw.Recipe(**fields)


def test_penalties_are_exact_under_accumulation(tmp_path: Path) -> None:
    large = fit(tmp_path, "large", batch_size=64, l1=1e-3, l2=1e-2, max_norm=2.0)
    small = fit(tmp_path, "small", batch_size=16, accumulate=4, l1=1e-3, l2=1e-2, max_norm=2.0)
    assert torch.allclose(weights(large.model), weights(small.model), atol=1e-4)
