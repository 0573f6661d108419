"""Newton, BFGS and L-BFGS: the steps that theory promises, and few of them."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable

import numpy
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn
from torch.nn import functional

from trainwell.errors import ModelError
from trainwell.optim.line_search import backtrack, search_wolfe
from trainwell.optim.optimizers import build_optimizer
from trainwell.optim.second_order import BFGS, Newton, newton_direction, update_inverse

FEATURES = 30


class Quadratic(nn.Module):
    """½ wᵀ A w − b·w with eigenvalues from 1 to 1000."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        turn, _ = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64))
        self.curvature = turn @ torch.diag(torch.logspace(0, 3, 8, dtype=torch.float64)) @ turn.T
        self.slope = torch.randn(8, generator=generator, dtype=torch.float64)
        self.first = nn.Parameter(torch.ones(2, 3, dtype=torch.float64))
        self.second = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self) -> Tensor:
        w = torch.cat([self.first.flatten(), self.second])
        return w @ self.curvature @ w / 2 - self.slope @ w

    def least(self) -> float:
        return -float(self.slope @ torch.linalg.solve(self.curvature, self.slope)) / 2


class LogisticRegression(nn.Module):
    """Of tumours in 569 patients, with a penalty of 0.01/2 · |w|²: convex, one minimum."""

    def __init__(self) -> None:
        super().__init__()
        x, y = load_breast_cancer(return_X_y=True)
        x = (x - x.mean(0)) / x.std(0)
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y).double()
        self.weight = nn.Parameter(torch.zeros(1, FEATURES, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self) -> Tensor:
        logits = functional.linear(self.x, self.weight, self.bias)[:, 0]
        loss = functional.binary_cross_entropy_with_logits(logits, self.y)
        return loss + 0.005 * (self.weight.square().sum() + self.bias.square().sum())


def with_gradients(model: nn.Module) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        model.zero_grad()
        loss = model()
        loss.backward()
        return loss

    return closure


def steps_to(excess: float, least: float, text: str, rate: float, most: int = 500) -> int:
    """Steps until the loss is within the excess of the least."""
    model = LogisticRegression()
    optimizer = build_optimizer(text, model, learning_rate=rate, weight_decay=0.0, momentum=0.9)
    closure = model if text == "newton" else with_gradients(model)
    for step in range(most):
        if float(model().detach()) - least <= excess:
            return step
        optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    return most


@pytest.fixture(scope="module")
def least() -> float:
    """The least loss of the logistic regression, by SciPy."""
    return float(minimise_by_scipy().fun)


def minimise_by_scipy() -> scipy.optimize.OptimizeResult:
    model = LogisticRegression()

    def evaluate(w: numpy.ndarray) -> tuple[float, numpy.ndarray]:
        with torch.no_grad():
            model.weight.copy_(torch.from_numpy(w[None, :FEATURES]))
            model.bias.copy_(torch.from_numpy(w[FEATURES:]))
        loss = with_gradients(model)()
        assert model.weight.grad is not None
        assert model.bias.grad is not None
        gradient = torch.cat([model.weight.grad.flatten(), model.bias.grad])
        return float(loss.detach()), gradient.numpy().copy()

    start = numpy.zeros(FEATURES + 1)
    options = {"gtol": 1e-9, "maxiter": 500}
    return scipy.optimize.minimize(evaluate, start, jac=True, method="BFGS", options=options)


def test_newton_solves_a_quadratic_in_one_step() -> None:
    model = Quadratic()
    optimizer = Newton(model.parameters(), damping=0.0)
    before = float(optimizer.step(model))
    assert before - model.least() > 100
    assert float(model().detach()) - model.least() < 1e-9


def test_newton_goes_downhill_where_the_curvature_is_negative() -> None:
    w = nn.Parameter(torch.tensor([0.1, 0.2], dtype=torch.float64))
    optimizer = Newton([w])

    def loss() -> Tensor:
        return (w[0] ** 2 - 1) ** 2 + (w[1] ** 2 - 1) ** 2

    values = [float(optimizer.step(loss)) for _ in range(12)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(values))
    assert torch.allclose(w.abs(), torch.ones(2, dtype=torch.float64), atol=1e-6)


def test_newton_follows_the_slope_of_a_loss_without_curvature() -> None:
    w = nn.Parameter(torch.tensor([3.0, -1.0]))
    unused = nn.Parameter(torch.ones(2))
    Newton([w, unused], lr=0.5, damping=1.0).step(lambda: w[0] - 2 * w[1])
    assert torch.allclose(w, torch.tensor([2.5, 0.0]))
    assert torch.equal(unused, torch.ones(2))


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_damped_newton_direction_always_points_downhill(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(5, 5, generator=generator)
    gradient = torch.randn(5, generator=generator)
    assert newton_direction(matrix + matrix.T, gradient, 0.0) @ gradient < 0


@pytest.mark.parametrize("make", [Newton, BFGS])
def test_a_model_that_is_too_large_for_a_matrix_of_pairs_is_refused(
    make: Callable[..., object],
) -> None:
    with pytest.raises(ModelError, match=r"has 10,100 parameters.*Use lbfgs"):
        make(nn.Linear(100, 100).parameters())


def test_bfgs_updates_as_the_product_form_in_numpy_and_keeps_the_secant() -> None:
    generator = numpy.random.default_rng(0)
    inverse = generator.normal(size=(6, 6))
    inverse = inverse @ inverse.T + numpy.eye(6)
    step = generator.normal(size=6)
    change = step + 0.1 * generator.normal(size=6)
    r, identity = 1 / (step @ change), numpy.eye(6)
    left = identity - r * numpy.outer(step, change)
    expected = left @ inverse @ left.T + r * numpy.outer(step, step)
    found = update_inverse(*(torch.from_numpy(a) for a in (inverse, step, change))).numpy()
    assert numpy.abs(found - expected).max() < 1e-12
    assert numpy.abs(found @ change - step).max() < 1e-12


def test_bfgs_ends_where_that_of_scipy_ends_in_about_as_many_steps(least: float) -> None:
    scipys = minimise_by_scipy()
    model = LogisticRegression()
    optimizer = BFGS(model.parameters())
    steps = 0
    while steps < 200 and (model.weight.grad is None or float(model.weight.grad.norm()) > 1e-8):
        optimizer.step(with_gradients(model))
        steps += 1
    weights = torch.cat([p.detach().flatten() for p in model.parameters()]).numpy()
    assert numpy.abs(weights - scipys.x).max() < 1e-6
    assert steps <= scipys.nit


def test_second_order_reaches_the_minimum_in_far_fewer_steps_than_adam(least: float) -> None:
    rates = (0.03, 0.1, 0.3, 1.0)
    adam = min(steps_to(1e-6, least, "adam", rate) for rate in rates)
    found = {name: steps_to(1e-6, least, name, 1.0) for name in ("newton", "bfgs", "lbfgs")}
    assert adam < 500
    assert found["newton"] <= 10
    assert found["bfgs"] <= adam / 4
    assert found["lbfgs"] <= adam / 5


def test_a_search_that_finds_nothing_leaves_the_weights_and_forgets_the_curvature() -> None:
    model = Quadratic()
    optimizer = BFGS(model.parameters())
    optimizer.step(with_gradients(model))
    state = optimizer.state[model.first]
    assert "inverse_hessian" in state
    weights = copy.deepcopy(model.state_dict())
    honest = with_gradients(model)
    losses = iter([0.0])

    def closure() -> Tensor:
        loss = honest()
        return torch.full_like(loss, next(losses, math.inf))

    optimizer.step(closure)
    assert all(torch.equal(weights[name], p) for name, p in model.named_parameters())
    assert "inverse_hessian" not in state


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_searches_end_where_wolfes_conditions_hold(curvature: float, start: float) -> None:
    """On c/2 · (t − 1)²: the slope at 0 is −c."""

    def at(length: float) -> tuple[float, float]:
        return curvature / 2 * (length - 1) ** 2, curvature * (length - 1)

    loss, slope = at(0.0)
    found = search_wolfe(at, loss, slope, start)
    assert at(found)[0] <= loss + 1e-4 * found * slope
    assert at(found)[1] >= 0.1 * slope
    halved = backtrack(lambda t: at(t)[0], loss, slope, start)
    assert at(halved)[0] <= loss + 1e-4 * halved * slope


def test_a_loss_that_is_not_finite_is_too_far() -> None:
    def at(length: float) -> tuple[float, float]:
        return (math.nan, math.nan) if length > 0.5 else (-length, -1.0 + 2 * length)

    assert search_wolfe(at, 0.0, -1.0, 1.0) == 0.5
    assert backtrack(lambda t: at(t)[0], 0.0, -1.0, 4.0) == 0.5
    assert search_wolfe(lambda t: (math.inf, math.nan), 0.0, -1.0, 1.0) == 0.0
