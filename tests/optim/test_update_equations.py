"""Every first-order optimiser against its published formula, in NumPy float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from trainwell.optim.adam import UncorrectedAdam
from trainwell.optim.momentum import ClassicMomentum, LookaheadNesterov
from trainwell.optim.optimizers import OPTIMIZERS, build_optimizer, find_optimizer

Array = NDArray[numpy.float64]
State = dict[str, Any]
Update = Callable[[State, Array, Array, float, int], Array]
"""State, weights, gradient, rate and number of the step from 1 in; new weights out."""

STEPS = 50
DECAY = 0.01
MATRIX = (4, 3)
GENERATOR = numpy.random.default_rng(7)
MIXED = GENERATOR.normal(size=(20, 15))
SHIFT = GENERATOR.normal(size=20)
START = GENERATOR.normal(size=15)
DECAYED = numpy.repeat([1.0, 0.0], [12, 3])


def slope(w: Array) -> Array:
    """Gradient of Σ log cosh(A w − c) + |w|²/20."""
    return MIXED.T @ numpy.tanh(MIXED @ w - SHIFT) + 0.1 * w


class Valley(nn.Module):
    """The same function of a matrix and a vector."""

    def __init__(self) -> None:
        super().__init__()
        start = torch.from_numpy(START.copy())
        self.matrix = nn.Parameter(start[:12].view(MATRIX).clone())
        self.vector = nn.Parameter(start[12:].clone())

    def weights(self) -> torch.Tensor:
        return torch.cat([self.matrix.flatten(), self.vector])

    def forward(self) -> torch.Tensor:
        w = self.weights()
        bent = torch.from_numpy(MIXED) @ w - torch.from_numpy(SHIFT)
        return torch.log(torch.cosh(bent)).sum() + 0.05 * w.square().sum()


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Torch keeps some of its numbers, such as the rate of ASGD, in the default precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def falling(step: int) -> float:
    return 0.02 / (1 + 0.1 * step)


def constant(step: int) -> float:
    return 0.02


def sgd(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    s["b"] = 0.9 * s.get("b", 0) + g
    return w - rate * s["b"]


def nesterov(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    s["b"] = 0.9 * s.get("b", 0) + g
    return w - rate * (g + 0.9 * s["b"])


def momentum(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    s["v"] = 0.9 * s.get("v", 0) - rate * g
    return w + s["v"]


def adagrad(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    s["s"] = s.get("s", 0) + g**2
    return w - rate * g / (numpy.sqrt(s["s"]) + 1e-10)


def adadelta(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    s["s"] = 0.9 * s.get("s", 0) + 0.1 * g**2
    move = g * numpy.sqrt(s.get("u", 0) + 1e-6) / numpy.sqrt(s["s"] + 1e-6)
    s["u"] = 0.9 * s.get("u", 0) + 0.1 * move**2
    return w - rate * move


def rmsprop(decay: float, mu: float = 0.0) -> Update:
    def update(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
        s["s"] = decay * s.get("s", 0) + (1 - decay) * g**2
        s["b"] = mu * s.get("b", 0) + g / (numpy.sqrt(s["s"]) + 1e-8)
        return w - rate * s["b"]

    return update


def rprop(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    agrees = numpy.sign(g * s.get("g", 0))
    steps = s.get("steps", rate) * numpy.where(agrees > 0, 1.2, numpy.where(agrees < 0, 0.5, 1))
    s["steps"] = numpy.clip(steps, 1e-6, 50)
    s["g"] = numpy.where(agrees < 0, 0, g)
    return w - s["steps"] * numpy.sign(s["g"])


def moments(s: State, g: Array, beta1: float = 0.9, beta2: float = 0.999) -> tuple[Array, Array]:
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g**2
    return s["m"], s["v"]


def adam(beta2: float = 0.999, corrects: bool = True) -> Update:
    def update(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
        m, v = moments(s, g, beta2=beta2)
        if corrects:
            m, v = m / (1 - 0.9**t), v / (1 - beta2**t)
        return w - rate * m / (numpy.sqrt(v) + 1e-8)

    return update


def adamw(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    return adam()(s, w * (1 - rate * DECAY * DECAYED), g, rate, t)


def amsgrad(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    m, v = moments(s, g)
    s["most"] = numpy.maximum(s.get("most", 0), v)
    return w - rate * m / (1 - 0.9**t) / (numpy.sqrt(s["most"] / (1 - 0.999**t)) + 1e-8)


def adamax(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    m, _ = moments(s, g)
    s["u"] = numpy.maximum(0.999 * s.get("u", 0), abs(g) + 1e-8)
    return w - rate / (1 - 0.9**t) * m / s["u"]


def nadam(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    m, v = moments(s, g)
    mu, ahead = (0.9 * (1 - 0.5 * 0.96 ** (u * 4e-3)) for u in (t, t + 1))
    s["product"] = s.get("product", 1.0) * mu
    mean = ahead * m / (1 - s["product"] * ahead) + (1 - mu) * g / (1 - s["product"])
    return w - rate * mean / (numpy.sqrt(v / (1 - 0.999**t)) + 1e-8)


def radam(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    m, v = moments(s, g)
    longest = 2 / (1 - 0.999) - 1
    length = longest - 2 * t * 0.999**t / (1 - 0.999**t)
    mean = m / (1 - 0.9**t)
    if length <= 5:
        return w - rate * mean
    rectified = math.sqrt(
        (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    )
    return w - rate * mean * rectified * math.sqrt(1 - 0.999**t) / (numpy.sqrt(v) + 1e-8)


def asgd(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    length = rate / (1 + 1e-4 * rate * (t - 1)) ** 0.75
    return (1 - 1e-4 * length) * w - length * g


def adafactor(s: State, w: Array, g: Array, rate: float, t: int) -> Array:
    w = w * (1 - rate * DECAY * DECAYED)
    beta, least = 1 - t**-0.8, numpy.finfo(numpy.float64).eps
    squares, tail = (g**2)[:12].reshape(MATRIX), (g**2)[12:]
    s["row"] = beta * s.get("row", 0) + (1 - beta) * squares.mean(1, keepdims=True)
    s["column"] = beta * s.get("column", 0) + (1 - beta) * squares.mean(0, keepdims=True)
    s["tail"] = beta * s.get("tail", 0) + (1 - beta) * tail
    matrix = s["row"] * s["column"] / s["row"].mean()
    changed = []
    for part, v in ((slice(12), matrix.flatten()), (slice(12, None), s["tail"])):
        scaled = g[part] / numpy.sqrt(numpy.maximum(v, least**2))
        scaled /= max(1, math.sqrt((scaled**2).mean()))
        size = max(1e-3, math.sqrt((s["before"][part] ** 2).mean()))
        changed.append(w[part] - size * min(rate, 1 / math.sqrt(t)) * scaled)
    return numpy.concatenate(changed)


DECOUPLED = ("adamw", "adafactor")
WITHOUT_DECAY = ("rprop",)
NO_SCHEDULE = ("rprop", "asgd")

EQUATIONS: dict[str, Update] = {
    "sgd": sgd,
    "nesterov": nesterov,
    "momentum": momentum,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "rmsprop": rmsprop(0.99, mu=0.9),
    "rmsprop(decay=0.9)": rmsprop(0.9, mu=0.9),
    "rprop": rprop,
    "adam": adam(),
    "adam(beta2=0.995)": adam(0.995),
    "adam(bias_correction=false)": adam(corrects=False),
    "adam(beta2=0.995, bias_correction=false)": adam(0.995, corrects=False),
    "adamw": adamw,
    "amsgrad": amsgrad,
    "adamax": adamax,
    "nadam": nadam,
    "radam": radam,
    "asgd": asgd,
    "adafactor": adafactor,
}


def follow(text: str, rate_of: Callable[[int], float]) -> list[Array]:
    """The weights after each step of the optimiser."""
    valley = Valley()
    decay = 0.0 if text in WITHOUT_DECAY else DECAY
    optimizer = build_optimizer(text, valley, learning_rate=1.0, weight_decay=decay, momentum=0.9)
    path = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate_of(step)
        optimizer.zero_grad()
        valley().backward()
        optimizer.step()
        path.append(valley.weights().detach().numpy().copy())
    return path


@pytest.mark.parametrize("text", EQUATIONS)
def test_fifty_steps_are_those_of_the_formula(text: str) -> None:
    name = find_optimizer(text).name
    rate_of = constant if name in NO_SCHEDULE else falling
    is_coupled = name not in (*DECOUPLED, *WITHOUT_DECAY)
    w, state = START.copy(), {}
    for step, found in enumerate(follow(text, rate_of)):
        g = slope(w) + (DECAY * DECAYED * w if is_coupled else 0)
        state["before"] = w
        w = EQUATIONS[text](state, w, g, rate_of(step), step + 1)
        assert numpy.abs(found - w).max() < 1e-9, step
    assert numpy.abs(w - START).max() > 1e-3


def test_every_first_order_optimiser_has_its_formula_tested() -> None:
    tested = {find_optimizer(text).name for text in EQUATIONS} | {"nesterov_lookahead", "muon"}
    assert tested == {name for name, kind in OPTIMIZERS.items() if not kind.searches}


def test_every_optimiser_says_what_it_does_and_who_found_it() -> None:
    for kind in OPTIMIZERS.values():
        assert kind.summary
        assert kind.source[-4:].isdigit()
        assert "←" in str(kind.configure.__doc__) or "As " in str(kind.configure.__doc__)


def sutskever(rate_of: Callable[[int], float]) -> list[tuple[Array, Array]]:
    """Positions and velocities, with the gradient at the look-ahead point."""
    w, v, path = START.copy(), numpy.zeros(15), []
    for step in range(STEPS):
        ahead = w + 0.9 * v
        v = 0.9 * v - rate_of(step) * (slope(ahead) + DECAY * DECAYED * ahead)
        w = w + v
        path.append((w, v))
    return path


def test_looking_ahead_is_the_formula_of_sutskever_while_the_rate_falls() -> None:
    found = follow("nesterov_lookahead", falling)
    for weights, (w, v) in zip(found, sutskever(falling), strict=True):
        assert numpy.abs(weights - (w + 0.9 * v)).max() < 1e-9


def test_looking_ahead_gives_the_position_as_well() -> None:
    valley = Valley()
    optimizer = LookaheadNesterov(valley.parameters(), lr=0.02)
    assert torch.equal(torch.cat([p.flatten() for p in optimizer.positions()]), valley.weights())
    w, v = START.copy(), numpy.zeros(15)
    for _ in range(STEPS):
        optimizer.zero_grad()
        valley().backward()
        optimizer.step()
        v = 0.9 * v - 0.02 * slope(w + 0.9 * v)
        w = w + v
    found = torch.cat([p.flatten() for p in optimizer.positions()]).numpy()
    assert numpy.abs(found - w).max() < 1e-9


def test_both_forms_of_nesterov_are_equal_after_the_change_of_variables() -> None:
    torchs = follow("nesterov", constant)
    for point, (w, v) in zip(torchs, sutskever(constant), strict=True):
        assert numpy.abs(point - (w + 0.9 * v)).max() < 1e-9


def test_momentum_inside_and_outside_the_rate_differ_only_when_the_rate_changes() -> None:
    same = zip(follow("momentum", constant), follow("sgd", constant), strict=True)
    assert max(numpy.abs(a - b).max() for a, b in same) < 1e-9
    falls = follow("momentum", falling)[-1] - follow("sgd", falling)[-1]
    assert numpy.abs(falls).max() > 1e-4


def test_without_bias_correction_the_first_step_of_adam_is_three_times_as_long() -> None:
    first = [
        numpy.abs(follow(text, constant)[0] - START)
        for text in ("adam", "adam(bias_correction=false)")
    ]
    assert first[1] / first[0] == pytest.approx(0.1 / math.sqrt(0.001), rel=1e-3)


@pytest.mark.parametrize("text", [n for n, k in OPTIMIZERS.items() if k.weight_decay is not None])
def test_biases_and_scales_are_not_decayed_by_any_optimiser(text: str) -> None:
    if OPTIMIZERS[text].searches:
        pytest.skip("decays within the loss; see test_second_order")
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Linear(3, 2)).double()
    optimizer = build_optimizer(text, model, learning_rate=0.1, weight_decay=0.5, momentum=0.9)
    decays = {
        parameter: group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert len(decays) == 6
    assert all(decays[p] == (0.5 if p.ndim > 1 else 0.0) for p in model.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: ClassicMomentum(p, momentum=1.0), "momentum must be"),
        (lambda p: LookaheadNesterov(p, momentum=-0.1), "momentum must be"),
        (lambda p: UncorrectedAdam(p, betas=(1.0, 0.9)), "betas must be"),
        (lambda p: ClassicMomentum(p, lr=-1.0), "lr and weight_decay"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(Valley().parameters())


def test_a_parameter_without_a_gradient_stays_and_the_others_move() -> None:
    for kind in (ClassicMomentum, LookaheadNesterov, UncorrectedAdam):
        valley = Valley()
        optimizer = kind(valley.parameters(), lr=0.1)
        valley().backward()
        valley.vector.grad = None
        optimizer.step()
        assert torch.equal(valley.vector, Valley().vector)
        assert not torch.equal(valley.matrix, Valley().matrix)
