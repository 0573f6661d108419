"""Whether the first loss is what chance predicts, and what penalties add to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.checks.initial_state.first_pass import FirstPass, first_pass
from trainwell.checks.initial_state.known_loss import (
    DISTANCES,
    KnownLoss,
    LossName,
    know_loss,
    try_loss,
)
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.findings import Finding

CHECK = "initial loss"
FACTOR, OFFSET = 2.0, 0.5
"""Of chance: a classifier's first loss beyond both is no longer that of a model that knows nothing.
Networks with torch's default weights stay within 1.2 times chance; plain ones of thirty layers
with He's reach 1.9 times."""
USELESS = 5.0
ERROR_RATIO = 10.0
LARGE_OUTPUTS = 3.0
"""Mean squares of a regression: the first error against that of zeros, and the size of outputs."""
LARGE_INPUTS = 5.0
HEAVY_PENALTY = 10.0
REFERENCE = "Karpathy, CS231n (2016)"


@dataclass(frozen=True)
class Chance:
    """The loss of a model that knows nothing of its inputs."""

    value: float
    text: str


def check_initial_loss(subject: Subject) -> Sequence[Verdict]:
    """Compares the first loss with that of outputs that say nothing.

    Args:
        subject: Whose model makes one pass on a replica.
    """
    first = subject.once(first_pass)
    if first.loss is None or first.outputs is None or first.loss.numel() != 1:
        return [skip(CHECK, first.error or "there is no loss of one number")]
    if first.has_own_objective:
        return [skip(CHECK, "the model is trained by a rule of its own")]
    loss = float(first.loss.detach())
    penalty = _penalty(subject)
    seen = f"{loss:.4g}" if penalty is None else f"{loss:.4g}, and {penalty:.3g} of penalties"
    known = know_loss(subject.loss, first.outputs, first.targets)
    chance = chance_of(subject, known, first.outputs, first.targets)
    findings = [*_find_heavy_penalty(penalty, loss, chance), *_find_ascent(known, loss)]
    if chance is None:
        return [Verdict(CHECK, seen, "any: the loss is your own", tuple(findings))]
    if known.sign > 0 and math.isfinite(loss):
        findings += _find_excess(subject, first, known, loss, chance)
    return [Verdict(CHECK, seen, f"about {chance.text}", tuple(findings))]


def chance_of(
    subject: Subject, known: KnownLoss, outputs: Tensor, targets: Tensor
) -> Chance | None:
    """The loss of outputs that are alike for all examples and classes; None: not known.

    Args:
        subject: With the loss.
        known: Which loss it is.
        outputs: Of the model; only their shape counts.
        targets: As the loss sees them.
    """
    if known.name is None or known.name == "perceptron":
        return None
    guess = _guess(known.name, outputs.detach(), targets)
    value = None if guess is None else try_loss(subject.loss, guess, targets)
    if value is None or value <= 0:
        return None
    return Chance(value, _describe(known.name, value, outputs))


def _guess(name: LossName, outputs: Tensor, targets: Tensor) -> Tensor | None:
    """Outputs of a model that knows nothing but the targets' mean."""
    if name in ("negative_log_likelihood", "kullback_leibler"):
        return torch.full_like(outputs, -math.log(outputs.shape[1]))
    if name == "binary_cross_entropy":
        return torch.full_like(outputs, 0.5)
    if name in DISTANCES:
        wanted = targets.to(outputs.dtype)
        if wanted.numel() != outputs.numel():
            return None
        return (torch.zeros_like(wanted) + wanted.mean(0)).reshape(outputs.shape)
    return torch.zeros_like(outputs)


def _describe(name: LossName, value: float, outputs: Tensor) -> str:
    if name == "squared_error":
        return f"the targets' variance = {value:.4g}"
    if name in DISTANCES:
        return f"that of the targets' mean = {value:.4g}"
    if name in ("cross_entropy", "negative_log_likelihood"):
        classes = outputs.shape[1]
        if math.isclose(value, math.log(classes), rel_tol=1e-3):
            return f"ln {classes} = {value:.4g}"
    if name.startswith("binary") and math.isclose(value, math.log(2), rel_tol=1e-3):
        return f"ln 2 = {value:.4g}"
    return f"that of outputs which say nothing = {value:.4g}"


def _find_excess(
    subject: Subject, first: FirstPass, known: KnownLoss, loss: float, chance: Chance
) -> list[Finding]:
    assert first.outputs is not None
    scale = float(first.outputs.detach().float().square().mean().sqrt())
    if known.name in DISTANCES:
        # Targets far from zero are no fault of the weights: measured against outputs of zero.
        zero = try_loss(subject.loss, torch.zeros_like(first.outputs), first.targets)
        base = max(chance.value, zero or 0.0)
        is_excess = loss > ERROR_RATIO * base and scale > LARGE_OUTPUTS
        is_useless = loss > ERROR_RATIO**2 * base
    else:
        is_excess = loss > FACTOR * chance.value + OFFSET
        is_useless = loss > USELESS * (chance.value + 1)
    if not is_excess:
        return []
    evidence = {"loss": loss, "chance": chance.value, "output_scale": scale}
    wrong = f"the first loss is {loss:.4g} where chance gives {chance.value:.4g}"
    large = _input_scale(first.inputs)
    if large > LARGE_INPUTS and not _stays_high(subject, first, loss, chance):
        return [
            Finding(
                "unnormalised_inputs",
                "warning",
                evidence={**evidence, "input_scale": large},
                cause=f"Inputs of size {large:.3g} make outputs of size {scale:.3g}: {wrong}.",
                remedy="Standardise the inputs to mean 0 and deviation 1.",
                reference=REFERENCE,
            )
        ]
    return [
        Finding(
            "bad_init",
            "error" if is_useless else "warning",
            evidence=evidence,
            cause=f"The initial weights make outputs of size {scale:.3g}: {wrong}; the training "
            "begins by unlearning confident mistakes.",
            remedy="Draw weights with deviation sqrt(2 / fan_in), smaller in the last layer.",
            reference=REFERENCE,
        )
    ]


@torch.no_grad()
def _stays_high(subject: Subject, first: FirstPass, loss: float, chance: Chance) -> bool:
    """Whether the loss stays far above chance when the inputs are standardised."""
    inputs = first.inputs
    deviation, mean = torch.std_mean(inputs.float(), 0)
    standard = (inputs - mean) / deviation.clamp(min=1e-6 * max(1.0, float(deviation.max())))
    outputs = subject.replica()(standard.to(inputs.dtype))
    after = try_loss(subject.loss, outputs, first.targets)
    return after is None or after - chance.value > 0.5 * (loss - chance.value)


def _input_scale(inputs: Tensor) -> float:
    return float(inputs.float().square().mean().sqrt()) if inputs.is_floating_point() else 0.0


def _find_ascent(known: KnownLoss, loss: float) -> list[Finding]:
    if known.sign > 0:
        return []
    return [
        Finding(
            "gradient_ascent",
            "error",
            evidence={"loss": loss},
            cause=f"The loss is the negative of {str(known.name).replace('_', ' ')}: making it "
            "smaller makes the model worse.",
            remedy="Leave the minus sign out.",
        )
    ]


def _penalty(subject: Subject) -> float | None:
    return None if subject.penalty is None else float(subject.penalty(subject.model).detach())


def _find_heavy_penalty(penalty: float | None, loss: float, chance: Chance | None) -> list[Finding]:
    base = chance.value if chance is not None else abs(loss)
    if penalty is None or 0 <= penalty <= HEAVY_PENALTY * base:
        return []
    return [
        Finding(
            "over_regularised",
            "warning",
            evidence={"penalty": penalty, "loss": loss},
            cause=f"Penalties add {penalty:.3g} to a loss of {loss:.3g}: the weights follow the "
            "penalty instead of the data.",
            remedy="Lower l1 and l2 until the penalty is well below the loss.",
            reference=REFERENCE,
        )
    ]
