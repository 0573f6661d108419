"""Whether the initial weights are finite, differ between units, and suit their fan-in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainwell.checks.initial_state.first_pass import FirstPass, first_pass
from trainwell.checks.initial_state.recorder import Layer
from trainwell.checks.initial_state.trial_steps import Trial, trial_steps
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding, Severity
from trainwell.nn.initialisation import fans
from trainwell.nn.pairing import WEIGHTED

CHECK = "initial weights"
USUAL = 1 / math.sqrt(3)
"""Deviation times sqrt(fan_in) of torch's default weights; He's have 1.41, Glorot's about 1."""
TOO_SMALL, TOO_LARGE = 0.03, 6.0
SUSPICIOUSLY_LARGE = 2.9
"""Beyond it the weights are too large where saturated units or the first loss say so too."""
FADED = 1e-3
"""The share of a signal that hidden layers let through, against torch's default weights."""
SATURATED, GROWN = 0.2, 10.0
FEWEST = 8
"""Inputs of a unit from which on the deviation of its weights says something."""
HE = "sqrt(2 / fan_in) before a ReLU, sqrt(1 / fan_in) before a tanh"
REFERENCE = "Glorot & Bengio (2010); He et al. (2015)"


@dataclass(frozen=True)
class Scale:
    """The weights of one layer.

    Attributes:
        name: Of the layer.
        deviation: Root mean square of its weights.
        fan_in: Inputs of one unit.
        matters: Whether no normalisation behind it takes the scale out again.
    """

    name: str
    deviation: float
    fan_in: float
    matters: bool

    @property
    def gain(self) -> float:
        """How much larger or smaller a signal gets, without a non-linearity."""
        return self.deviation * math.sqrt(self.fan_in)


def check_initial_weights(subject: Subject) -> Sequence[Verdict]:
    """Looks at all weights, and at where a few steps lead those that are zero or alike.

    Args:
        subject: Whose weights are read; a replica makes the steps.
    """
    first = subject.once(first_pass)
    expected = "deviation · sqrt(fan_in) near 0.6 to 1.4"
    broken = [n for n, p in first.model.named_parameters() if not bool(torch.isfinite(p).all())]
    scales = _read_scales(first)
    seen = _describe(scales)
    if broken:
        cause = f"{len(broken)} parameters hold values that are not finite."
        found = _bad("error", broken, cause, "Draw them anew.", parameters=float(len(broken)))
        return [Verdict(CHECK, f"{len(broken)} not finite", expected, tuple(found))]
    findings: list[Finding] = []
    if first.is_complete and not first.has_own_objective:
        trial = subject.once(trial_steps)
        findings += _find_stuck(first, trial)
        seen += "" if trial.is_made else "; no steps tried, which would take too long"
    findings += _find_small(scales, _arrives(first.record.layers))
    findings += _find_large(first, scales, _read_recurrent(first))
    return [Verdict(CHECK, seen, expected, tuple(findings))]


def _describe(scales: Sequence[Scale]) -> str:
    gains = [scale.gain for scale in scales]
    if not gains:
        return "no linear or convolution layers"
    return f"{min(gains):.2g} to {max(gains):.2g} in {len(gains)} layers"


def names_of(names: Sequence[str]) -> str:
    """A few names for people, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _bad(
    severity: Severity, names: Sequence[str], cause: str, remedy: str, **evidence: float
) -> list[Finding]:
    return [
        Finding("bad_init", severity, names_of(names), None, evidence, cause, remedy, REFERENCE)
    ]


@torch.no_grad()
def _read_scales(first: FirstPass) -> list[Scale]:
    """Of linear and convolution layers that are trained, in the order of their calls."""
    found: dict[str, Scale] = {}
    for layer in first.record.layers:
        weight = getattr(layer.module, "weight", None)
        if not isinstance(layer.module, WEIGHTED) or not isinstance(weight, Tensor):
            continue
        if weight.requires_grad and layer.name not in found:
            fan_in = fans(layer.module)[0]
            found[layer.name] = Scale(layer.name, _rms(weight), fan_in, not layer.is_normalised)
    return list(found.values())


@torch.no_grad()
def _read_recurrent(first: FirstPass) -> list[Scale]:
    """Of the matrices of recurrent layers, from the inputs and from step to step."""
    kinds = (nn.RNNBase, nn.RNNCellBase)
    return [
        Scale(f"{layer}.{name}", _rms(p), float(p.shape[1]), True)
        for layer, module in first.model.named_modules()
        if isinstance(module, kinds)
        for name, p in module.named_parameters(recurse=False)
        if p.requires_grad and p.ndim == 2
    ]


def _rms(weight: Tensor) -> float:
    return float(weight.float().square().mean().sqrt())


def _find_stuck(first: FirstPass, trial: Trial) -> list[Finding]:
    """Weights that stay alike or zero for ever."""
    parameters = dict(first.model.named_parameters())
    zero = [name for name in trial.stuck if not bool(parameters[name].any())]
    if zero:
        return _bad(
            "error",
            zero,
            f"{len(zero)} weights are all zero and get no gradient: what they are multiplied by is "
            "zero as well, so that they stay where they are.",
            "Draw weights at random, with deviation sqrt(2 / fan_in) before a ReLU.",
            parameters=float(len(zero)),
        )
    if trial.symmetric:
        count = len(trial.symmetric)
        return _bad(
            "error",
            trial.symmetric,
            f"All units of {count} layers have the same weights and get the same gradient: they "
            "stay alike, and each layer works like a single unit.",
            "Draw weights at random, with deviation sqrt(2 / fan_in) before a ReLU.",
            layers=float(count),
        )
    ungrouped = [name for name in trial.constant if not _is_grouped(first.model, name)]
    if ungrouped:
        return _bad(
            "warning",
            ungrouped,
            f"All units of {len(ungrouped)} layers start with the same weights and tell the same.",
            "Draw weights at random, with deviation sqrt(2 / fan_in) before a ReLU.",
            layers=float(len(ungrouped)),
        )
    return []


def _is_grouped(model: nn.Module, name: str) -> bool:
    """Whether a layer's units see different inputs, so that the same weights do not matter."""
    return getattr(model.get_submodule(name.rpartition(".")[0]), "groups", 1) != 1


def _find_small(scales: Sequence[Scale], arrives: float) -> list[Finding]:
    """Hidden weights so small that signals fade; the last layer may be small on purpose.

    Args:
        scales: Of the layers.
        arrives: What arrives at the last layer of the differences between examples: residual
            connections bring them there past weights that are small on purpose.
    """
    hidden = [s for s in scales[:-1] if s.matters and s.deviation > 0 and s.fan_in >= FEWEST]
    small = [s for s in hidden if s.gain < TOO_SMALL]
    passed = math.prod(min(1.0, scale.gain / USUAL) for scale in hidden)
    has_faded = passed < FADED and arrives < 10 * FADED
    if not (small and arrives < 2 * TOO_SMALL) and not has_faded:
        return []
    worst = min(small or hidden, key=lambda scale: scale.gain)
    return _bad(
        "error" if has_faded else "warning",
        [scale.name for scale in small or hidden],
        f"{_describe_worst(worst)}: of the differences between examples {arrives:.2g} arrives at "
        "the last layer.",
        f"Draw weights with deviation {HE}.",
        deviation=worst.deviation,
        fan_in=worst.fan_in,
        passed=passed,
        arrives=arrives,
    )


def _describe_worst(worst: Scale) -> str:
    return (
        f"The weights of {worst.name} have the deviation {worst.deviation:.2g} at "
        f"{worst.fan_in:.0f} inputs, {worst.gain / math.sqrt(2):.2g} times that of He et al."
    )


def _find_large(
    first: FirstPass, scales: Sequence[Scale], recurrent: Sequence[Scale]
) -> list[Finding]:
    saturated = max((a.saturated for a in first.record.activations), default=0.0)
    growth = _growth(first.record.layers)
    shows = saturated > SATURATED or growth > GROWN
    limit = SUSPICIOUSLY_LARGE if shows else TOO_LARGE
    large = [s for s in scales if s.matters and s.fan_in >= FEWEST and s.gain > limit]
    # What is multiplied again at every step has to be smaller still.
    large += [s for s in recurrent if s.fan_in >= FEWEST and s.gain > SUSPICIOUSLY_LARGE]
    if not large:
        return []
    worst = max(large, key=lambda scale: scale.gain)
    return _bad(
        "error" if shows and worst.gain > TOO_LARGE else "warning",
        [scale.name for scale in large],
        f"{_describe_worst(worst)}: signals grow {worst.gain:.2g} times in the layer.",
        f"Draw weights with deviation {HE}.",
        deviation=worst.deviation,
        fan_in=worst.fan_in,
        gain=worst.gain,
    )


def _growth(layers: Sequence[Layer]) -> float:
    """How much larger the last layer's outputs are than the first layer's inputs."""
    if not layers or not layers[0].input_scale:
        return 1.0
    return layers[-1].scale / max(1.0, layers[0].input_scale)


def _arrives(layers: Sequence[Layer]) -> float:
    """Deviation between examples at the last layer's inputs, as a share of the first one's."""
    seen = [layer for layer in layers if isinstance(layer.module, WEIGHTED)]
    if len(seen) < 2 or not seen[0].input_spread:
        return 1.0
    return seen[-1].input_spread / seen[0].input_spread
