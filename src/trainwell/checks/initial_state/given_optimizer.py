"""Whether the optimiser's settings can work: what it multiplies, adds and how long a step is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from trainwell.checks.initial_state.first_pass import FirstPass, first_pass
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.findings import Code, Finding, Severity

CHECK = "optimiser"
HIGH_MOMENTUM = 0.995
SHRINKS = 0.05
"""Of the weights in one step by weight decay alone."""
DECOUPLED = ("AdamW", "Adafactor", "Muon")
STRONG_DECAY = 1.0
DOMINATES = 2.0
"""Weight decay against the gradient at the start, norm by norm."""
TINY_UPDATE = 1e-6
"""Of the weights in one step; usual are 1e-3 to 1e-4."""
REFERENCE = "Karpathy, CS231n (2016); Loshchilov & Hutter (2019)"


def check_given_optimizer(subject: Subject) -> Sequence[Verdict]:
    """Reads the settings of each group of parameters, against the first gradient.

    Args:
        subject: Whose optimiser is read; nothing is stepped.
    """
    if subject.optimizer is None:
        return [skip(CHECK, "no optimiser is given")]
    first = subject.once(first_pass)
    name = type(subject.optimizer).__name__
    groups = subject.optimizer.param_groups
    findings: list[Finding] = []
    for group in groups:
        found = [
            *_find_ascent(group),
            *_find_rate(group),
            *_find_momentum(group),
            *_find_decay(subject, first, group, name),
        ]
        findings += [f for f in found if f.code not in {old.code for old in findings}]
    rates = ", ".join(f"{rate:g}" for rate in sorted({float(g["lr"]) for g in groups}))
    seen = f"{name}, learning rate {rates}"
    return [Verdict(CHECK, seen, "settings that lower the loss", tuple(findings))]


def _found(
    code: Code, severity: Severity, cause: str, remedy: str, **evidence: float
) -> list[Finding]:
    return [Finding(code, severity, "", None, evidence, cause, remedy, REFERENCE)]


def _find_ascent(group: Mapping[str, Any]) -> list[Finding]:
    if group.get("maximize"):
        return _found(
            "gradient_ascent",
            "error",
            "The optimiser has maximize=True: it makes the loss larger.",
            "Leave maximize at False.",
        )
    if float(group["lr"]) < 0:
        return _found(
            "gradient_ascent",
            "error",
            f"The learning rate {float(group['lr']):g} is negative: each step goes uphill.",
            "Use a positive learning rate.",
            learning_rate=float(group["lr"]),
        )
    return []


def _find_rate(group: Mapping[str, Any]) -> list[Finding]:
    if float(group["lr"]) != 0:
        return []
    return _found(
        "lr_too_low",
        "error",
        "The learning rate is 0: nothing is trained.",
        "Use a positive learning rate.",
        learning_rate=0.0,
    )


def _find_momentum(group: Mapping[str, Any]) -> list[Finding]:
    momentum = float(group.get("momentum") or (group.get("betas") or (0.0,))[0])
    if momentum < HIGH_MOMENTUM:
        return []
    return _found(
        "momentum_too_high",
        "error" if momentum >= 1 else "warning",
        f"The momentum {momentum:g} averages over {1 / max(1e-9, 1 - momentum):.3g} steps: the "
        "training overshoots and swings.",
        "Use 0.9, at most 0.99.",
        momentum=momentum,
    )


def _find_decay(
    subject: Subject, first: FirstPass, group: Mapping[str, Any], name: str
) -> list[Finding]:
    decay, rate = float(group.get("weight_decay") or 0.0), float(group["lr"])
    if decay <= 0:
        return []
    is_decoupled = name in DECOUPLED or bool(group.get("decoupled_weight_decay"))
    ratio = math.inf if is_decoupled else _against_gradient(subject, first, group, decay)
    if rate * decay >= SHRINKS:
        cause = f"Weight decay {decay:g} at the rate {rate:g} takes {100 * rate * decay:.0f} % of "
        cause += "the weights away in each step."
    elif is_decoupled and decay > STRONG_DECAY:
        cause = f"The decoupled weight decay {decay:g} keeps weights below about {1 / decay:.2g}."
    elif not is_decoupled and ratio > DOMINATES:
        cause = f"Weight decay {decay:g} pulls at the weights {ratio:.2g} times as much as the "
        cause += "first gradient of the loss: they follow the decay instead of the data."
    else:
        return []
    return _found(
        "over_regularised",
        "error" if rate * decay >= 1 else "warning",
        cause,
        "Use a weight decay of 1e-5 to 1e-3, or up to 0.1 with AdamW.",
        weight_decay=decay,
        learning_rate=rate,
    )


@torch.no_grad()
def _against_gradient(
    subject: Subject, first: FirstPass, group: Mapping[str, Any], decay: float
) -> float:
    """The pull of weight decay on a group's weights, as a multiple of their gradient."""
    held = {id(p) for p in group["params"]}
    pull = gradient = 0.0
    for name, parameter in subject.model.named_parameters():
        norm = first.gradients.get(name)
        if id(parameter) in held and norm is not None:
            pull += (decay * float(parameter.float().norm())) ** 2
            gradient += norm**2
    return math.sqrt(pull / gradient) if gradient else 0.0
