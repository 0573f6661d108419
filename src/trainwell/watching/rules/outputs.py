"""Outputs that do not suit their loss or their targets."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.loss_graph import LossGraph
from trainwell.watching.rules.evidence import LOSSES_OF_NUMBERS, middle

_BOUNDS = {"sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0),
           "relu": (0.0, math.inf)}  # fmt: skip


def judge_outputs(history: History) -> Iterable[Finding]:
    """The activation before the loss, and shapes that are broadcast."""
    yield from _activation(history)
    yield from _broadcast(history)


def _activation(history: History) -> Iterable[Finding]:
    graph = history.graph
    last = history.outputs[-1] if history.outputs else None
    if graph is None:
        graph_kind, activation = "", ""
    else:
        graph_kind, activation = graph.kind, graph.activation
    if graph_kind in ("cross_entropy", "bce_logits", "custom_cross_entropy") and activation in (
        "softmax", "sigmoid", "relu", "tanh",
    ):  # fmt: skip
        if graph_kind == "custom_cross_entropy" and activation not in ("softmax", "sigmoid"):
            return
        yield _activation_finding(
            history,
            f"A {activation} comes before a loss that applies its own "
            f"{'sigmoid' if graph_kind == 'bce_logits' else 'log-softmax'}, so the loss cannot "
            "get near zero and its gradients are small.",
            f"Give the loss the scores before the {activation}.",
        )
    elif graph_kind == "bce_logits" and activation in ("log_sigmoid", "log_softmax"):
        yield _activation_finding(
            history,
            f"A {activation} comes before a loss that takes scores: it is never above 0, so no "
            "probability can be above a half.",
            f"Give the loss the scores before the {activation}.",
        )
    elif graph_kind == "nll" and activation == "softmax":
        yield _activation_finding(
            history,
            "NLLLoss gets probabilities where it takes their logarithms.",
            "Use log_softmax before NLLLoss, or CrossEntropyLoss on the scores.",
        )
    elif graph_kind == "bce" and activation == "softmax" and last is not None and last.columns == 1:
        yield _activation_finding(
            history,
            "A softmax over a single output is always 1, so nothing can be learned.",
            "Use a sigmoid for a single output.",
        )
    elif graph_kind == "bce" and activation == "softmax" and _has_several_labels(history):
        yield _activation_finding(
            history,
            "Several labels of an example may be true at once, but a softmax gives all of them "
            "together a probability of 1.",
            "Use a sigmoid for each label, or BCEWithLogitsLoss on the scores.",
        )
    elif graph is not None and _runs_over_positions(graph):
        yield _activation_finding(
            history,
            f"The softmax runs over axis {graph.softmax_axis} of outputs with {graph.axes} axes, "
            "the positions; the loss takes axis 1 for the classes.",
            "Use log_softmax over axis 1, or CrossEntropyLoss on the scores.",
        )
    elif graph is not None and _is_no_logarithm(history, graph):
        yield _activation_finding(
            history,
            "KLDivLoss gets outputs that are no logarithms of probabilities: its value means "
            "nothing, and may fall for ever.",
            "Give it log_softmax of the scores.",
        )
    elif graph is not None and graph.softmax_axis == 0 and last is not None and last.columns > 1:
        yield _activation_finding(
            history,
            "The softmax runs over the examples of the batch (axis 0), not over the classes.",
            "Use softmax over the last axis (dim=1).",
        )
    elif _looks_like_probabilities(history):
        yield _activation_finding(
            history,
            "The outputs are probabilities already (each row sums to 1), but the loss applies its "
            "own softmax to them, so it cannot get near zero.",
            "Give the loss the scores before the softmax.",
        )
    elif history.facts.ends_constant:
        yield _activation_finding(
            history,
            "The outputs come out of a normalisation of single numbers, each of which becomes the "
            "same constant.",
            "Put the normalisation before the last layer.",
        )
    else:
        yield from _bounded(history, activation)


def _activation_finding(history: History, cause: str, remedy: str, poor: bool = True) -> Finding:
    last = history.outputs[-1] if history.outputs else None
    evidence = {"lowest": last.minimum, "highest": last.maximum} if last is not None else {}
    return Finding(
        code="output_activation",
        severity="error" if poor else "warning",
        step=history.step,
        evidence=evidence,
        cause=cause,
        remedy=remedy,
        reference="Bishop 1995, chapter 6; Schoop et al. 2021 (UMLAUT)",
    )


def _has_several_labels(history: History) -> bool:
    """Whether the targets of an example do not sum to 1."""
    known = [o for o in history.outputs if o.columns > 1 and math.isfinite(o.target_mean)]
    sums = [o.target_mean * o.columns for o in known]
    return len(sums) >= 3 and abs(middle(sums) - 1) > 0.1


def _is_no_logarithm(history: History, graph: LossGraph) -> bool:
    """Whether a divergence gets what cannot be logarithms of probabilities."""
    if graph.kind != "kl":
        return False
    above = any(o.maximum > 1e-3 for o in history.outputs)
    return graph.activation in ("softmax", "sigmoid", "relu", "tanh") or (graph.direct and above)


def _runs_over_positions(graph: LossGraph) -> bool:
    """Whether a loss of classes along axis 1 gets a softmax over another axis."""
    axis = graph.softmax_axis
    takes_axis_1 = graph.has_positions and graph.axes > 2
    return takes_axis_1 and axis is not None and axis % graph.axes not in (0, 1)


def _looks_like_probabilities(history: History) -> bool:
    """Rows that sum to 1, and a loss that is the cross-entropy of them as scores."""
    rows = [o for o in history.outputs if o.columns > 1 and math.isfinite(o.row_sum_error)]
    if len(rows) < 3 or any(o.row_sum_error > 1e-3 or o.minimum < 0 for o in rows):
        return False
    if "crossentropy" in history.facts.loss_name.lower().replace("_", ""):
        return True
    losses = dict(history.losses)
    pairs = [
        (losses[r.step], r.outputs.standard_loss)
        for r in history.readings
        if r.outputs is not None and r.step in losses and math.isfinite(r.outputs.standard_loss)
    ]
    return len(pairs) >= 3 and all(abs(a - b) < 1e-3 * abs(b) for a, b in pairs[:8])


def _bounded(history: History, activation: str) -> Iterable[Finding]:
    """A regression whose targets lie outside of what its last activation can give."""
    graph = history.graph
    known = [o for o in history.outputs if math.isfinite(o.target_low)]
    if graph is None or graph.kind not in LOSSES_OF_NUMBERS or not known:
        return
    low, high = min(o.target_low for o in known), max(o.target_high for o in known)
    span = max(high - low, 1e-12)
    bottom, top = _BOUNDS.get(activation, (-math.inf, math.inf))
    outside = max(bottom - low, high - top, 0.0)
    if outside > 0.1 * span:
        yield Finding(
            code="output_activation",
            severity="error" if outside > 0.3 * span else "warning",
            step=history.step,
            evidence={"target_low": low, "target_high": high},
            cause=f"The outputs end in a {activation}, but the targets reach from {low:.3g} to "
            f"{high:.3g}, where it cannot get.",
            remedy="Leave the last layer of a regression linear, or scale the targets.",
            reference="Bishop 1995, chapter 6",
        )


def _broadcast(history: History) -> Iterable[Finding]:
    graph = history.graph
    outputs = [o for o in history.outputs if o.columns == 1 and o.rows > 1]
    expanded = (
        graph is not None and graph.kind in LOSSES_OF_NUMBERS and _spreads(graph.expanded, outputs)
    )
    slopes = [o.slope for o in outputs if math.isfinite(o.slope)]
    # The gradient of a squared error against all targets at once is a line in the outputs.
    straight = len(slopes) >= 4 and sum(s > 0.99999 for s in slopes) >= 0.9 * len(slopes)
    straight = straight and graph is not None and graph.kind in ("mse", "")
    if straight:
        known = [o for o in outputs if math.isfinite(o.target_std)]
        # Of outputs far larger than all targets, any gradient is a line.
        straight = not known or all(o.std < 20 * o.target_std for o in known)
    if expanded or straight:
        yield Finding(
            code="wrong_loss",
            severity="error",
            step=history.step,
            evidence={"batch": outputs[-1].rows if outputs else math.nan},
            cause="Outputs (N, 1) meet targets (N,): they are broadcast to (N, N), so each output "
            "is compared with every target and learns their mean.",
            remedy="Give both the same shape: outputs.squeeze(1) or targets.unsqueeze(1).",
            reference="Schoop et al. 2021 (UMLAUT)",
        )


def _spreads(shape: tuple[int, ...], outputs: Iterable[object]) -> bool:
    return bool(shape) and (shape[-1] == 1 or len(shape) == 1) and math.prod(shape) > 1
