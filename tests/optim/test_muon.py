"""Muon against its equation, torch's own, and what an optimiser is asked to bear."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch import nn

from trainwell.optim.muon import Muon, orthogonalise
from trainwell.optim.optimizers import build_optimizer


class Mixed(nn.Module):
    """A matrix, a convolution and what is neither."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.filters = nn.Parameter(torch.randn(4, 3, 2, 2, generator=generator))
        self.matrix = nn.Parameter(torch.randn(6, 4, generator=generator))
        self.scale = nn.Parameter(torch.randn(6, generator=generator))

    def forward(self) -> torch.Tensor:
        flat = torch.tanh(self.matrix @ self.filters.flatten(1)) * self.scale[:, None]
        return (flat - 1).square().sum()


def orthogonal(matrix: numpy.ndarray) -> numpy.ndarray:
    """Five times Newton and Schulz's polynomial, with the coefficients of Jordan et al. (2024)."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    found = wide / numpy.linalg.norm(wide)
    for _ in range(5):
        square = found @ found.T
        found = 3.4445 * found + (2.0315 * square @ square - 4.7750 * square) @ found
    return found if matrix.shape[0] <= matrix.shape[1] else found.T


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_follows_its_equation_on_matrices_and_is_adamw_on_the_rest(
    layout: torch.memory_format,
) -> None:
    ours, others = Mixed().double().to(memory_format=layout), Mixed().double()
    optimizer = build_optimizer("muon", ours, learning_rate=1, weight_decay=0.1, momentum=0.9)
    adamw = torch.optim.AdamW([others.scale], weight_decay=0.0)
    averages = {"filters": 0.0, "matrix": 0.0}
    for step in range(50):
        rate = 0.02 / (1 + 0.1 * step)
        for group in (*optimizer.param_groups, *adamw.param_groups):
            group["lr"] = rate
        for model in (ours, others):
            model.zero_grad()
            model().backward()
        optimizer.step()
        adamw.step()
        for name, average in averages.items():
            parameter = others.get_parameter(name)
            assert parameter.grad is not None
            gradient = parameter.grad.flatten(1).numpy()
            averages[name] = 0.9 * average + 0.1 * gradient
            update = orthogonal(0.1 * gradient + 0.9 * averages[name])
            moved = rate * 0.2 * math.sqrt(max(update.shape)) * update
            kept = (1 - rate * 0.1) * parameter.detach().flatten(1).numpy()
            parameter.data = torch.from_numpy(kept - moved).view(parameter.shape)
    for name, parameter in ours.named_parameters():
        assert (parameter - others.get_parameter(name)).abs().max() < 1e-9, name
        assert not torch.equal(parameter, Mixed().double().get_parameter(name))


def test_muon_is_torchs_muon_but_for_its_rounding() -> None:
    ours, theirs = Mixed(), Mixed()
    optimizer = build_optimizer("muon", ours, learning_rate=0.1, weight_decay=0.1, momentum=0.9)
    muon = torch.optim.Muon(
        [theirs.matrix], lr=0.1, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
    )
    before = theirs.matrix.detach().clone()
    for model in (ours, theirs):
        model().backward()
    optimizer.step()
    muon.step()
    moved = (theirs.matrix - before).norm()
    assert (ours.matrix - theirs.matrix).norm() < 0.02 * moved  # theirs is in bfloat16


def step_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    model.zero_grad()
    model().backward()
    optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("take", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_of_muon_goes_on_as_the_original_does(take: Callable[[Any], Any]) -> None:
    model = Mixed()
    optimizer = Muon(model.parameters(), lr=0.1)
    step_of(model, optimizer)
    other = take((model, optimizer))
    for ours, theirs in zip(step_of(model, optimizer), step_of(*other), strict=True):
        assert torch.equal(ours, theirs)


def test_muon_takes_on_another_group_and_the_settings_that_it_is_given() -> None:
    model = Mixed()
    optimizer = Muon([model.matrix], lr=0.1)
    optimizer.add_param_group({"params": [model.filters, model.scale], "betas": (0.5, 0.5)})
    before = [parameter.detach().clone() for parameter in model.parameters()]
    after = step_of(model, optimizer)
    assert not any(map(torch.equal, before, after))
    again = Mixed()
    loaded = Muon([again.matrix], lr=0.1)
    loaded.add_param_group({"params": [again.filters, again.scale]})
    again.load_state_dict(model.state_dict())
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for ours, theirs in zip(step_of(model, optimizer), step_of(again, loaded), strict=True):
        assert torch.equal(ours, theirs)


def test_matrices_of_one_shape_and_two_types_are_moved_each_in_its_own() -> None:
    weights = [nn.Parameter(torch.zeros(6, 4, dtype=t)) for t in (torch.float32, torch.float64)]
    for parameter in weights:
        parameter.grad = torch.eye(6, 4, dtype=parameter.dtype)
    Muon(weights, lr=0.1).step()
    assert torch.allclose(weights[0].double(), weights[1], atol=1e-5)
    assert weights[0].abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_large_gradients_of_half_precision_move_the_weights(dtype: torch.dtype) -> None:
    weights = nn.Parameter(torch.zeros(64, 64, dtype=dtype))
    noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    weights.grad = (2000 * noise).to(dtype)
    Muon([weights], lr=0.1).step()
    moved = weights.detach().float()
    assert torch.isfinite(moved).all()
    assert 0.5 * 0.02 < moved.square().mean().sqrt() < 1.5 * 0.02


@pytest.mark.parametrize("shape", [(3, 8), (8, 3), (5, 5), (1, 7)])
def test_matrices_are_made_orthogonal_each_by_itself(shape: tuple[int, int]) -> None:
    matrices = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)).double()
    together = orthogonalise(matrices)
    alone = torch.cat([orthogonalise(matrix[None]) for matrix in matrices])
    assert torch.allclose(together, alone, atol=1e-12)
    sizes = torch.linalg.svdvals(together)
    assert float(sizes.min()) > 0.3
    assert float(sizes.max()) < 1.3


def test_an_update_of_muon_is_nearly_orthogonal_for_a_convolution_too() -> None:
    model = Mixed()
    before = model.filters.detach().clone()
    optimizer = build_optimizer("muon", model, learning_rate=1.0, weight_decay=0, momentum=0.9)
    model().backward()
    optimizer.step()
    change = (model.filters.detach() - before).flatten(1)
    sizes = torch.linalg.svdvals(change) / (0.2 * math.sqrt(12))
    assert float(sizes.min()) > 0.5
    assert float(sizes.max()) < 1.5
