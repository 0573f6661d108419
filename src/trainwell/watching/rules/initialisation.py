"""Initial weights: all alike, too small or too large for their fan-in."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.readings import Reading
from trainwell.watching.rules.evidence import ENOUGH_STEPS, is_poor, middle, skill, weights


def judge_initialisation(history: History) -> Iterable[Finding]:
    """Symmetry and scale of the first weights."""
    found = [*_symmetry(history), *_nought(history), *_silent_norms(history)]
    found += _far_embeddings(history)
    yield from found[:1]
    if not found:
        yield from _scale(history)


def _symmetry(history: History) -> Iterable[Finding]:
    probe = history.probe
    if probe is None or history.trend.count < ENOUGH_STEPS:
        return
    if (
        min(probe.twins, history.facts.twins) > 0.6
        and history.facts.hidden_units > 1
        and skill(history) < 0.97
    ):
        yield _finding(
            history,
            {"twin_share": probe.twins},
            f"{100 * probe.twins:.0f} % of a hidden layer's units have exactly the weights of "
            "another unit: they began alike and can never become different.",
            "Draw the weights at random (He et al. 2015 for ReLU, Glorot & Bengio 2010 for tanh).",
        )


def _nought(history: History) -> Iterable[Finding]:
    """Weights of nought that stay so: each one's gradient is a multiple of another's value."""
    last = next((r for r in reversed(history.readings) if r.parameters), None)
    if last is None or history.trend.count < ENOUGH_STEPS:
        return
    zero = history.zero_at_start & set(history.facts.trainable)
    stuck = [
        p.name
        for p in weights(last)
        if p.name in zero and p.weight == 0 and p.has_gradient and p.gradient == 0
    ]
    if stuck:
        yield _finding(
            history,
            {"weights": len(stuck)},
            f"{', '.join(stuck[:3])} began at zero and stay there: their gradients are zero too.",
            "Draw the weights at random.",
        )


def _silent_norms(history: History) -> Iterable[Finding]:
    if history.facts.norms_at_zero and is_poor(history):
        yield _finding(
            history,
            {"normalisations": history.facts.norms},
            "The scales of all normalisations began at zero, so that nothing passes them.",
            "Begin scales at 1 and biases at 0: not every parameter of one dimension is a bias.",
        )


def _far_embeddings(history: History) -> Iterable[Finding]:
    sizes = history.facts.first_sizes
    drawn = set(history.facts.embeddings) & set(history.facts.trainable)
    far = [name for name in sizes if name in drawn and sizes[name] > 10]
    young = history.trend.count < ENOUGH_STEPS or history.facts.resumed
    if far and not young and skill(history) < 0.95:
        yield _finding(
            history,
            {"root_mean_square": sizes[far[0]]},
            f"The vectors of {far[0]} began with numbers of about {sizes[far[0]]:.3g}, where 1 is "
            "usual: what comes after them saturates or is drowned out.",
            "Draw embeddings with a standard deviation of 1 or less.",
        )


def _scale(history: History) -> Iterable[Finding]:
    first = next((r for r in history.readings if r.parameters), None)
    young = history.trend.count < ENOUGH_STEPS and not history.trend.broken
    if first is None or first.step > 2 or young:
        return
    sizes = history.facts.first_sizes
    # Rows of an embedding are not summed over.
    drawn = set(history.facts.trainable) - set(history.facts.embeddings)
    gains = {
        p.name: sizes[p.name] * math.sqrt(p.fan_in)
        for p in weights(first)
        if p.fan_in > 1 and sizes.get(p.name, 0.0) > 0 and p.name in drawn
    }
    hidden = list(gains.values())[:-1] or list(gains.values())
    if not hidden:
        return
    gain = middle(hidden)
    start = history.losses[0][1] / history.chance if history.chance > 0 else math.nan
    evidence = {"gain": gain, "first_loss_over_chance": start, **_spread(first)}
    large = [p.name for p in weights(first) if p.name in gains and p.size >= 64]
    lean = middle(history.facts.first_means.get(n, math.nan) / sizes[n] for n in large)
    if abs(lean) > 0.5 and skill(history) < 0.8:
        yield _finding(
            history,
            {**evidence, "mean_over_size": lean},
            f"Nearly all of the first weights are {'above' if lean > 0 else 'below'} zero (mean "
            f"{abs(lean):.2f} of their size): all units answer alike, and signals grow from layer "
            "to layer.",
            "Draw weights around 0: torch.randn or nn.init, not torch.rand.",
        )
        return
    if gain < 0.12 and history.facts.norms == 0 and len(hidden) >= 2 and skill(history) < 0.85:
        yield _finding(
            history,
            evidence,
            f"The first weights are too small for their fan-in (typical gain {gain:.2g}, about 1 "
            "expected): the signal shrinks from layer to layer, and so do the gradients.",
            "Draw them with standard deviation sqrt(2 / fan_in) for ReLU, sqrt(1 / fan_in) for "
            "tanh.",
        )
    elif max(gains.values()) > 20 and start > 20 and skill(history) < 0.97:
        name = max(gains, key=gains.__getitem__)
        yield _finding(
            history,
            {**evidence, "largest_gain": gains[name]},
            f"The first values of {name} are too large for their fan-in (gain {gains[name]:.3g}, "
            f"about 1 expected); the first loss is {start:.3g} times that of a constant "
            "prediction.",
            "Draw them with standard deviation sqrt(1 / fan_in); a smaller output layer starts "
            "nearer to a constant prediction.",
        )
    elif _grows(first) > 50 and start > 20 and skill(history) < 0.93:
        yield _finding(
            history,
            evidence,
            f"The signal grows {_grows(first):.3g} times on its way through the layers, and the "
            f"first loss is {start:.3g} times that of a constant prediction.",
            "Normalise before each block, or begin each residual branch near zero (Zhang et al. "
            "2019, Fixup).",
        )
    elif gain > 3.5 and (
        (history.facts.norms == 0 and (skill(history) < 0.8 or not start < 20))
        or (start > 50 and skill(history) < 0.97)
    ):
        yield _finding(
            history,
            evidence,
            f"The first weights are too large for their fan-in (typical gain {gain:.3g}, about 1 "
            f"expected); the first loss is {start:.3g} times that of a constant prediction.",
            "Draw them with standard deviation sqrt(2 / fan_in) for ReLU, sqrt(1 / fan_in) for "
            "tanh.",
        )


def _grows(reading: Reading) -> float:
    """Standard deviation behind the last layer over that behind the first."""
    stds = [layer.std for layer in reading.layers if layer.kind == "weights"]
    return stds[-1] / stds[0] if len(stds) > 1 and stds[0] > 0 else math.nan


def _spread(reading: Reading) -> dict[str, float]:
    stds = [layer.std for layer in reading.layers if layer.kind == "weights"]
    return {"first_layer_std": stds[0], "last_layer_std": stds[-1]} if stds else {}


def _finding(history: History, evidence: dict[str, float], cause: str, remedy: str) -> Finding:
    return Finding(
        code="bad_init",
        severity="error",
        step=0,
        evidence=evidence,
        cause=cause,
        remedy=remedy,
        reference="Glorot & Bengio 2010; He et al. 2015",
    )
