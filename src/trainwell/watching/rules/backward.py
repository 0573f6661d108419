"""Backward passes that compute other derivatives than those of the forward pass."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import middle, skill, weights

_STRAIGHT_THROUGH = ("round", "sign", "ste", "quant", "straight", "binar", "revers")


def judge_backward(history: History) -> Iterable[Finding]:
    """Derivatives against central differences, the standard loss's gradient, and their signs."""
    found = list(_wrong_derivative(history)) or list(_wrong_loss_gradient(history))
    yield from found or _one_sided(history)


def _one_sided(history: History) -> Iterable[Finding]:
    """A hidden weight whose derivatives all have one and the same sign, on every step."""
    readings = [r for r in history.readings if len(weights(r)) > 1]
    if len(readings) < 8 or skill(history) > 0.95:
        return
    for name in [p.name for p in weights(readings[0])][:-1]:
        rows = [p for r in readings for p in weights(r) if p.name == name]
        above = sum(p.above > 0.1 * min(p.size, 8192) and p.below == 0 for p in rows)
        below = sum(p.below > 0.1 * min(p.size, 8192) and p.above == 0 for p in rows)
        if max(above, below) < 0.8 * len(rows) or rows[0].size < 64:
            continue
        yield Finding(
            code="wrong_backward",
            severity="error",
            where=name,
            step=history.step,
            evidence={"steps_with_one_sign": max(above, below), "steps_looked_at": len(rows)},
            cause=f"On {max(above, below)} of {len(rows)} steps no derivative by {name} was "
            f"{'negative' if above > below else 'positive'}, so it can move one way only: a hook "
            "or a backward pass clamps derivatives, or takes their size.",
            remedy="Limit derivatives on both sides (torch.nn.utils.clip_grad_value_).",
            reference="Bishop 1995, section 4.8.4",
        )
        return


def _wrong_loss_gradient(history: History) -> Iterable[Finding]:
    """A loss with the value of the standard one, but with another gradient."""
    graph, losses = history.graph, dict(history.losses)
    if graph is None or not graph.custom:
        return
    rows = [
        r.outputs
        for r in history.readings
        if r.outputs is not None
        and math.isfinite(r.outputs.alignment)
        and abs(losses.get(r.step, math.nan) - r.outputs.standard_loss)
        < 1e-3 * r.outputs.standard_loss
    ]
    alignment = middle(o.alignment for o in rows)
    if len(rows) < 2 or not alignment < 0.97:
        return
    yield Finding(
        code="wrong_backward",
        severity="error",
        where=", ".join(graph.custom),
        step=history.step,
        evidence={"gradient_cosine": alignment},
        cause="The loss has the value of the mean cross-entropy or squared error, but its gradient "
        f"has a cosine of {alignment:.2f} with theirs: the backward pass of "
        f"{', '.join(graph.custom)} is wrong.",
        remedy="Derive the backward pass again and test it with torch.autograd.gradcheck.",
        reference="Bishop 1995, section 4.8.4 (central differences)",
    )


def _wrong_derivative(history: History) -> Iterable[Finding]:
    probe, graph = history.probe, history.graph
    if probe is None or not math.isfinite(probe.derivative_error):
        return
    names = graph.custom if graph is not None else ()
    # What is meant to have another derivative lets the training learn all the same.
    on_purpose = any(word in name.lower() for name in names for word in _STRAIGHT_THROUGH)
    if on_purpose and skill(history) > 0.5:
        return
    if abs(probe.numeric_derivative) < 1e-10 or probe.derivative_error < 0.03:
        return
    cut = not names
    if cut and history.straight_through:
        return
    if cut and (probe.derivative_error < 0.1 or skill(history) > 0.7):
        return
    what = f"the backward pass of {', '.join(names)}" if names else "a tensor cut from its graph"
    yield Finding(
        code="detach_inplace" if cut else "wrong_backward",
        severity="warning" if cut else "error",
        where=", ".join(names) if names else ", ".join(history.detached),
        step=history.step,
        evidence={
            "relative_error": probe.derivative_error,
            "numeric_derivative": probe.numeric_derivative,
        },
        cause="The derivative from the backward pass differs from a centred difference by "
        f"{100 * probe.derivative_error:.0f} %: {what} is the reason.",
        remedy="Derive the backward pass again and test it with torch.autograd.gradcheck.",
        reference="Bishop 1995, section 4.8.4 (central differences)",
    )
