"""Saturated and dead units, and how signals grow or fade from layer to layer, at the start."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from trainwell.checks.initial_state.first_pass import FirstPass, first_pass
from trainwell.checks.initial_state.recorder import Activation, Layer
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.findings import Finding

CHECK = "activations at the start"
SATURATED, MOSTLY_SATURATED = 0.5, 0.9
"""Shares of the values of a layer of sigmoid or tanh units where the slope is below 2 % of its
largest. Standard normal sums saturate 0.0 % of sigmoid and 1 % of tanh units."""
HALF, WIDTHS = 0.5, 2.0
"""Behind many layers each ReLU unit sees nearly the same for all examples, so that half of them are
zero for all by chance; a layer of n units is odd from 0.5 + 2 / sqrt(n) on (four deviations)."""
FEWEST_EXAMPLES = 16
EXPLODED = 1e4
SHUT = 8.0
"""Bias of a gate, whose slope is then 0.0003; a forget gate that keeps 400 steps has 6."""
REFERENCE = "LeCun et al. (1998); Glorot & Bengio (2010); Maas et al. (2013)"


def check_activations(subject: Subject) -> Sequence[Verdict]:
    """Looks at what layers and non-linearities put out for a batch.

    Args:
        subject: Whose model makes one pass on a replica.
    """
    first = subject.once(first_pass)
    record = first.record
    if not record.layers and not record.activations:
        return [skip(CHECK, first.error or "no layer was seen")]
    enough = len(first.inputs) >= FEWEST_EXAMPLES
    findings = [
        *_find_saturated(record.activations),
        *(_find_dead(record.activations) if enough else []),
        *_find_shut_gates(first),
        *_find_exploded(first),
    ]
    expected = "deviations near 1 in every layer, few dead or saturated units"
    return [Verdict(CHECK, _describe(first), expected, tuple(findings))]


def _describe(first: FirstPass) -> str:
    spreads = [layer.spread for layer in first.record.layers]
    parts = []
    if spreads:
        parts.append(f"deviation {spreads[0]:.2g} first, {spreads[-1]:.2g} last")
    dead = max((a.dead for a in first.record.activations), default=0.0)
    saturated = max((a.saturated for a in first.record.activations), default=0.0)
    parts.append(f"dead up to {100 * dead:.0f} %, saturated up to {100 * saturated:.0f} %")
    return "; ".join(parts)


def _find_saturated(activations: Sequence[Activation]) -> list[Finding]:
    found = [a for a in activations if a.saturated > SATURATED]
    if not found:
        return []
    worst = max(found, key=lambda activation: activation.saturated)
    limit = 5.3 if worst.function == "sigmoid" else 2.6
    return [
        Finding(
            "saturated_units",
            "error" if worst.saturated > MOSTLY_SATURATED else "warning",
            ", ".join(dict.fromkeys(a.where for a in found)),
            evidence={"saturated": worst.saturated, "units": float(worst.units)},
            cause=f"{100 * worst.saturated:.0f} % of the values that go into the {worst.function} "
            f"at {worst.where or 'the end'} are beyond ±{limit}: hardly any gradient passes.",
            remedy="Make the inputs or the weights before it smaller: standardise the inputs, and "
            "draw weights with deviation 1 / sqrt(fan_in).",
            reference=REFERENCE,
        )
    ]


def _find_dead(activations: Sequence[Activation]) -> list[Finding]:
    found = [a for a in activations if a.dead >= min(1.0, HALF + WIDTHS / math.sqrt(a.units))]
    if not found:
        return []
    worst = max(found, key=lambda activation: activation.dead)
    return [
        Finding(
            "dying_relu",
            "error" if worst.dead == 1 else "warning",
            ", ".join(dict.fromkeys(a.where for a in found)),
            evidence={"dead": worst.dead, "units": float(worst.units)},
            cause=f"{100 * worst.dead:.0f} % of the {worst.units} ReLU units at "
            f"{worst.where or 'the end'} are zero for all examples: they get no gradient and "
            "cannot recover.",
            remedy="Start biases at 0 and weights with deviation sqrt(2 / fan_in), or use leaky "
            "ReLU.",
            reference=REFERENCE,
        )
    ]


def _find_shut_gates(first: FirstPass) -> list[Finding]:
    """Biases that hold gates of recurrent layers open or shut, whatever comes in."""
    for name, module in first.model.named_modules():
        if not isinstance(module, nn.LSTM | nn.GRU | nn.LSTMCell | nn.GRUCell):
            continue
        biases = {n: p.detach() for n, p in module.named_parameters() if n.startswith("bias_ih")}
        for bias_name, bias in biases.items():
            other = getattr(module, bias_name.replace("_ih", "_hh")).detach()
            gates = (bias + other).unflatten(0, (-1, module.hidden_size))
            share = float((gates.abs() > SHUT).float().mean(1).max())
            if share > SATURATED:
                return [
                    Finding(
                        "saturated_units",
                        "warning",
                        f"{name}.{bias_name}",
                        evidence={"saturated": share, "bias": float(gates.abs().max())},
                        cause=f"Biases up to {float(gates.abs().max()):.3g} hold "
                        f"{100 * share:.0f} % of a kind of gates of {name or 'the model'} open or "
                        "shut, whatever comes in.",
                        remedy="Start biases at 0, those of forget gates at 1 to 3.",
                        reference="Jozefowicz, Zaremba & Sutskever (2015)",
                    )
                ]
    return []


def _find_exploded(first: FirstPass) -> list[Finding]:
    """Signals that grow by orders of magnitude from the first layer on."""
    layers = [layer for layer in first.record.layers if not layer.is_normalised]
    worst = max(layers, key=_size, default=None)
    entered = first.record.layers[0].input_scale if first.record.layers else 1.0
    if worst is None or _size(worst) <= EXPLODED * max(1.0, entered):
        return []
    return [
        Finding(
            "bad_init",
            "error",
            worst.name,
            evidence={"scale": worst.scale, "input_scale": entered},
            cause=f"Inputs of size {entered:.3g} become values of size {worst.scale:.3g} at "
            f"{worst.name}: every layer makes them larger.",
            remedy="Draw weights with deviation sqrt(2 / fan_in), or normalise behind layers.",
            reference=REFERENCE,
        )
    ]


def _size(layer: Layer) -> float:
    return layer.scale if math.isfinite(layer.scale) else math.inf
