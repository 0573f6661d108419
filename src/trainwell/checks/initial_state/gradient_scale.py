"""How the gradient fades or grows from the last layer to the first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trainwell.checks.initial_state.first_pass import FirstPass, first_pass
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.findings import Finding

CHECK = "gradient in the layers"
VANISHED = 1e-6
"""Gradient by the first layer's outputs against the last one's. Ten layers of 48 GELU units with
torch's default weights have 1e-5, of ReLU units 1e-4: small, but they recover."""
VANISHED_IN_SIGMOIDS = 3e-4
"""Sigmoids pass on at most a quarter of it, which no training changes: three hidden layers with
torch's default weights have 1e-3, four 1.6e-4."""
EXPLODED = 1e4
REFERENCE = "Hochreiter (1991); Glorot & Bengio (2010)"


@dataclass(frozen=True)
class Reach:
    """The gradient by the outputs of one layer.

    Attributes:
        name: Of the layer.
        size: Root mean square; the largest where the layer is called more than once.
    """

    name: str
    size: float


def check_gradient_scale(subject: Subject) -> Sequence[Verdict]:
    """Compares the gradient that reaches each layer.

    Args:
        subject: Whose model makes one pass on a replica.
    """
    first = subject.once(first_pass)
    if not first.is_complete:
        return [skip(CHECK, first.error)]
    if first.has_own_objective:
        return [skip(CHECK, "the model is trained by a rule of its own")]
    reaches = _read(first)
    if len(reaches) < 2 or not reaches[-1].size:
        return [skip(CHECK, "there are not two layers that a gradient reaches")]
    ratio = reaches[0].size / reaches[-1].size
    limit = VANISHED_IN_SIGMOIDS if _is_sigmoid_net(first) else VANISHED
    seen = f"{ratio:.2g} of the last layer's reaches the first of {len(reaches)}"
    found = (*_find_vanished(first, reaches, ratio, limit), *_find_exploded(reaches))
    return [Verdict(CHECK, seen, f"more than {limit:.0e} of it", found)]


def _read(first: FirstPass) -> list[Reach]:
    """Of each layer in the order of first calls."""
    sizes: dict[str, float] = {}
    for layer in first.record.layers:
        if layer.gradient is not None:
            sizes[layer.name] = max(sizes.get(layer.name, 0.0), float(layer.gradient))
    return [Reach(name, size) for name, size in sizes.items()]


def _is_sigmoid_net(first: FirstPass) -> bool:
    """Whether the hidden non-linearities are mostly sigmoids, one behind the other.

    Gates are sigmoids too, but have another non-linearity or a second way beside them.
    """
    names = [activation.function for activation in first.record.activations]
    return len(names) > 2 and names.count("sigmoid") >= 0.9 * len(names)


def _find_vanished(
    first: FirstPass, reaches: Sequence[Reach], ratio: float, limit: float
) -> list[Finding]:
    # Exactly zero is no fading: a cut, dead units, or zero weights on purpose.
    if ratio == 0 or ratio >= limit:
        return []
    per_layer = ratio ** (1 / (len(reaches) - 1))
    kind = "sigmoid" if _is_sigmoid_net(first) else "hidden"
    return [
        Finding(
            "vanishing_gradient",
            "error" if ratio < 0.01 * limit else "warning",
            reaches[0].name,
            evidence={"ratio": ratio, "layers": float(len(reaches)), "per_layer": per_layer},
            cause=f"Of the gradient at {reaches[-1].name} only {ratio:.1e} reaches "
            f"{reaches[0].name}: each of {len(reaches)} {kind} layers passes on {per_layer:.2g} "
            "of it.",
            remedy="Use ReLU with weights of deviation sqrt(2 / fan_in), normalisation, or "
            "residual connections.",
            reference=REFERENCE,
        )
    ]


def _find_exploded(reaches: Sequence[Reach]) -> list[Finding]:
    worst = max(reaches, key=lambda reach: reach.size)
    growth = worst.size / reaches[-1].size
    if math.isfinite(growth) and growth <= EXPLODED:
        return []
    return [
        Finding(
            "exploding_or_nan",
            "error",
            worst.name,
            evidence={"growth": growth, "layers": float(len(reaches))},
            cause=f"The gradient grows {growth:.2g} times from {reaches[-1].name} back to "
            f"{worst.name}.",
            remedy="Draw smaller weights (deviation sqrt(2 / fan_in)), normalise, or clip the "
            "gradient's norm.",
            reference=REFERENCE,
        )
    ]
