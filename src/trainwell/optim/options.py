"""What each optimiser's options make of it: g is the gradient, w a weight, all element by element.

Torch's implementations, but for `momentum`, `nesterov_lookahead`, Adam without bias correction,
`newton` and `bfgs`, which torch lacks. The learning rate, the momentum and the weight decay are
fields of the recipe.
"""

from __future__ import annotations

import math

from torch import optim

from trainwell.optim.adam import UncorrectedAdam
from trainwell.optim.kind import Construction
from trainwell.optim.momentum import ClassicMomentum, LookaheadNesterov
from trainwell.optim.muon import Muon
from trainwell.optim.second_order import BFGS, Newton


def sgd() -> Construction:
    """Update: b ← mu · b + g;  w ← w − rate · b."""
    return Construction(optim.SGD, kernel="fused")


def nesterov() -> Construction:
    """Update: b ← mu · b + g;  w ← w − rate · (g + mu · b)."""
    return Construction(optim.SGD, {"nesterov": True, "momentum": 0.9}, kernel="fused")


def momentum() -> Construction:
    """Update: v ← mu · v − rate · g;  w ← w + v."""
    return Construction(ClassicMomentum)


def nesterov_lookahead() -> Construction:
    """Update: v ← mu · v − rate · g(w + mu · v);  w ← w + v."""
    return Construction(LookaheadNesterov)


def adagrad(epsilon: float = 1e-10) -> Construction:
    """Update: s ← s + g²;  w ← w − rate · g / (√s + epsilon)."""
    _require_at_least_zero(epsilon=epsilon)
    return Construction(optim.Adagrad, {"eps": epsilon}, kernel="fused")


def adadelta(decay: float = 0.9, epsilon: float = 1e-6) -> Construction:
    """Update: s ← decay · s + (1−decay) · g²;  d = g · √(u + epsilon) / √(s + epsilon);
    u ← decay · u + (1−decay) · d²;  w ← w − rate · d.
    """
    _require_shares(decay=decay)
    _require_at_least_zero(epsilon=epsilon)
    return Construction(optim.Adadelta, {"rho": decay, "eps": epsilon}, kernel="foreach")


def rmsprop(decay: float = 0.99, epsilon: float = 1e-8) -> Construction:
    """Update: s ← decay · s + (1−decay) · g²;  w ← w − rate · g / (√s + epsilon), or with momentum
    b ← mu · b + g / (√s + epsilon);  w ← w − rate · b.
    """
    _require_shares(decay=decay)
    _require_at_least_zero(epsilon=epsilon)
    return Construction(optim.RMSprop, {"alpha": decay, "eps": epsilon}, kernel="foreach")


def rprop(
    shrink: float = 0.5, grow: float = 1.2, smallest: float = 1e-6, largest: float = 50.0
) -> Construction:
    """Update: w ← w − step · sign(g), where a step grows while the sign stays and shrinks where it
    changes (g then counts as 0 once). The learning rate is the first step.
    """
    _require_shares(shrink=shrink)
    _require_at_least_zero(smallest=smallest, largest=largest)
    _require(grow > 1, f"grow must be above 1, not {grow}")
    settings = {"etas": (shrink, grow), "step_sizes": (smallest, largest)}
    return Construction(optim.Rprop, settings, kernel="foreach")


def adam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    bias_correction: bool = True,
) -> Construction:
    """Update: m ← b1 · m + (1−b1) · g;  v ← b2 · v + (1−b2) · g²;
    w ← w − rate · (m / (1−b1ᵗ)) / (√(v / (1−b2ᵗ)) + epsilon); without correction both divisors
    are 1.
    """
    _require_shares(beta1=beta1, beta2=beta2)
    _require_at_least_zero(epsilon=epsilon)
    settings = {"betas": (beta1, beta2), "eps": epsilon}
    if bias_correction:
        return Construction(optim.Adam, settings, kernel="fused")
    return Construction(UncorrectedAdam, settings)


def adamw(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Construction:
    """As Adam, but w ← (1 − rate · decay) · w first, instead of decay in the gradient."""
    _require_shares(beta1=beta1, beta2=beta2)
    _require_at_least_zero(epsilon=epsilon)
    return Construction(optim.AdamW, {"betas": (beta1, beta2), "eps": epsilon}, kernel="fused")


def amsgrad(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Construction:
    """As Adam, with the largest v so far in the divisor."""
    _require_shares(beta1=beta1, beta2=beta2)
    _require_at_least_zero(epsilon=epsilon)
    settings = {"betas": (beta1, beta2), "eps": epsilon, "amsgrad": True}
    return Construction(optim.Adam, settings, kernel="fused")


def adamax(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Construction:
    """Update: m ← b1 · m + (1−b1) · g;  u ← max(b2 · u, |g| + epsilon);
    w ← w − rate / (1−b1ᵗ) · m / u.
    """
    _require_shares(beta1=beta1, beta2=beta2)
    _require_at_least_zero(epsilon=epsilon)
    return Construction(optim.Adamax, {"betas": (beta1, beta2), "eps": epsilon}, kernel="foreach")


def nadam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    momentum_decay: float = 4e-3,
) -> Construction:
    """Adam with Nesterov's momentum, mu_t = b1 · (1 − 0.96^(t · momentum_decay) / 2):
    w ← w − rate · (mu_t₊₁ · m / (1 − mu_1⋯mu_t₊₁) + (1−mu_t) · g / (1 − mu_1⋯mu_t))
    / (√(v / (1−b2ᵗ)) + epsilon).
    """
    _require_shares(beta1=beta1, beta2=beta2)
    _require_at_least_zero(epsilon=epsilon, momentum_decay=momentum_decay)
    settings = {"betas": (beta1, beta2), "eps": epsilon, "momentum_decay": momentum_decay}
    return Construction(optim.NAdam, settings, kernel="foreach")


def radam(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Construction:
    """As Adam, times the rectification of v's variance; without v while that cannot be told, which
    is in the first 5 steps at 0.999.
    """
    _require_shares(beta1=beta1, beta2=beta2)
    _require_at_least_zero(epsilon=epsilon)
    return Construction(optim.RAdam, {"betas": (beta1, beta2), "eps": epsilon}, kernel="foreach")


def asgd(lambd: float = 1e-4, power: float = 0.75) -> Construction:
    """Update: w ← (1 − lambd · e) · w − e · g with e = rate / (1 + lambd · rate · t)^power.

    The average of w is the recipe's `average`, not this one's.
    """
    _require_at_least_zero(lambd=lambd, power=power)
    return Construction(optim.ASGD, {"lambd": lambd, "alpha": power}, kernel="foreach")


def adafactor(decay_power: float = -0.8, largest_update: float = 1.0) -> Construction:
    """Adam's v of a matrix as the product of a row and a column; steps relative to the weights'
    size.

    With G² averaged by rows into r and by columns into c, both with the decay 1 − t^decay_power:
    u = g / √(r · c / mean(r));  w ← w − max(1e-3, rms(w)) · min(rate, 1/√t) · u / max(1,
    rms(u) / largest_update).
    """
    _require(decay_power <= 0, f"decay_power must be at most 0, not {decay_power}")
    _require(largest_update > 0, f"largest_update must be above 0, not {largest_update}")
    settings = {"beta2_decay": decay_power, "d": largest_update}
    return Construction(optim.Adafactor, settings, kernel="foreach")


def muon(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Construction:
    """Update: B ← mu · B + (1−mu) · G;  W ← W − rate · 0.2 · √max(rows, columns) ·
    orthogonal((1−mu) · G + mu · B); what is no matrix goes to AdamW, whose options these are.
    """
    _require_shares(beta1=beta1, beta2=beta2)
    _require_at_least_zero(epsilon=epsilon)
    return Construction(Muon, {"betas": (beta1, beta2), "eps": epsilon})


def lbfgs(history: int = 10, iterations: int = 1) -> Construction:
    """As BFGS, with the inverse Hessian in the form of the last steps and changes of gradient, and
    a line search by the strong Wolfe conditions.

    Args:
        history: Steps that are kept.
        iterations: Directions that are followed in one step of the training.
    """
    _require_count("history", history)
    _require_count("iterations", iterations)
    settings = {
        "history_size": history,
        "max_iter": iterations,
        "max_eval": 25 * iterations,
        # Torch's own tolerances would end a training that the recipe lets go on.
        "tolerance_change": 1e-12,
        "tolerance_grad": 0.0,
        "line_search_fn": "strong_wolfe",
    }
    return Construction(optim.LBFGS, settings)


def newton(damping: float = 1e-4) -> Construction:
    """Update: w ← w − t · (H + damping · I)⁻¹ · g, with the Hessian H of the loss."""
    _require_at_least_zero(damping=damping)
    return Construction(Newton, {"damping": damping})


def bfgs() -> Construction:
    """Update: w ← w − t · B · g, with an inverse Hessian B learnt from gradients."""
    return Construction(BFGS)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _require_shares(**values: float) -> None:
    for name, value in values.items():
        _require(0 <= value < 1, f"{name} must be at least 0 and below 1, not {value}")


def _require_at_least_zero(**values: float) -> None:
    for name, value in values.items():
        _require(0 <= value < math.inf, f"{name} must be at least 0, not {value}")


def _require_count(name: str, value: int) -> None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    _require(is_count, f"{name} must be a whole number from 1, not {value}")
