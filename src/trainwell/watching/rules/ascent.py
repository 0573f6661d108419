"""Trainings that climb their loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import accuracy, base_rate, middle, skill

_NEGATED_KINDS = ("cross_entropy", "mse", "bce", "bce_logits", "smooth_l1", "l1")
"""Losses that are never below zero, so that a minus before them is a mistake."""


def judge_ascent(history: History) -> Iterable[Finding]:
    """Updates that make the loss, or what it stands for, worse."""
    if history.nan is not None and history.nan.is_fault:
        return  # what came after is no descent and no ascent
    how = next((words for words, holds in _SIGNS if holds(history)), None)
    if how is None:
        return
    trend = history.trend
    yield Finding(
        code="wrong_backward" if _is_custom(history) and _is_turned(history) else "gradient_ascent",
        severity="error",
        step=history.step,
        evidence={
            "update_gradient_cosine": middle(_cosines(history)),
            "output_gradient_scale": middle(_scales(history)),
            "loss_start": trend.start,
            "loss_last": trend.last,
        },
        cause=f"The training climbs the loss: {how}; the loss went from {trend.start:.3g} to "
        f"{trend.last:.3g}.",
        remedy="Minimise the loss: subtract the gradient, and take the minus sign or "
        "maximize=True away.",
        reference="Bottou 1998",
    )


def _is_custom(history: History) -> bool:
    return history.graph is not None and bool(history.graph.custom)


def _scales(history: History) -> list[float]:
    return [o.scale for o in history.outputs if math.isfinite(o.scale)]


def _cosines(history: History) -> list[float]:
    return [r.cosine for r in history.readings if math.isfinite(r.cosine)]


def _maximises(history: History) -> bool:
    trend, facts = history.trend, history.facts
    rises = trend.count >= 10 and trend.fall < -0.05 and trend.start > 0
    everything = facts.maximize and (rises or _is_turned(history))
    return everything or (facts.maximize_some and skill(history) < 0.95)


def _is_negated(history: History) -> bool:
    """Whether nothing but a minus stands between a standard loss and the backward pass.

    Another factor on the way may bring a minus of its own, as in a focal loss.
    """
    graph = history.graph
    if graph is None or not set(graph.around) <= {"neg", "mean", "sum"}:
        return False
    return "neg" in graph.around and graph.kind in _NEGATED_KINDS


def _points_the_wrong_way(history: History) -> bool:
    return _is_turned(history) or _points_away(history)


def _is_turned(history: History) -> bool:
    """Whether the gradient by the outputs is the standard loss's with the sign turned round."""
    graph, scales = history.graph, _scales(history)
    # Distances may well be turned round before they go to a loss for scores.
    bent = graph is not None and graph.named and not graph.direct and not graph.custom
    return len(scales) >= 3 and sum(s < 0 for s in scales) > 0.8 * len(scales) and not bent


def _points_away(history: History) -> bool:
    """Whether steps lead the outputs away from the targets, whatever the loss is.

    A loss of another kind has another gradient, but none that points away from the targets.
    """
    alignments = [
        o.alignment
        for o in history.outputs
        if math.isfinite(o.alignment) and math.isfinite(o.target_std)
    ]
    # Distances are 0 or more, and may be small where a target is 1.
    are_scores = any(o.minimum < 0 for o in history.outputs[:4])
    falls = history.trend.fall > 0 and not history.trend.broken
    return len(alignments) >= 3 and middle(alignments[:4]) < -0.5 and are_scores and falls


def _unlearns(history: History) -> bool:
    """Whether the loss falls while the standard loss of the same outputs grows."""
    graph, trend = history.graph, history.trend
    for_classes = (
        graph is None or not graph.kind or (graph.is_classification and graph.kind != "nll")
    )
    standard = [o.standard_loss for o in history.outputs if math.isfinite(o.standard_loss)]
    if len(standard) < 6 or not history.is_classification or not for_classes:
        return False
    worse = accuracy(history) < 0.5 * base_rate(history)
    grows = middle(standard[-max(1, len(standard) // 4) :]) > 2 * middle(standard[:3])
    return (_is_opposite(history) or worse) and grows and trend.last < trend.start


def _is_opposite(history: History) -> bool:
    """Whether the loss is the standard one with the sign turned round."""
    losses = dict(history.losses)
    opposite = [
        abs(losses[r.step] + r.outputs.standard_loss) < 1e-3 * r.outputs.standard_loss
        for r in history.readings[:6]
        if r.outputs is not None and r.step in losses and r.outputs.standard_loss > 0
    ]
    return len(opposite) >= 3 and all(opposite)


def _falls_without_end(history: History) -> bool:
    """Whether the loss goes on falling below zero, by powers of ten, and the outputs grow with it.

    What is to be minimised has a lower bound; a likelihood's is a matter of digits, not of powers.
    """
    trend, outputs = history.trend, history.outputs
    if history.is_classification:
        return False  # what is wrong is the loss: its rules say more
    if len(outputs) < 8 or not trend.last < -1e3 * max(1.0, abs(trend.start)):
        return False
    return outputs[-1].std > 100 * outputs[0].std > 0


def _climbs(history: History) -> bool:
    cosines = _cosines(history)
    return len(cosines) >= 4 and sum(c > 0.15 for c in cosines) > 0.8 * len(cosines)


_SIGNS: tuple[tuple[str, Callable[[History], bool]], ...] = (
    ("the optimiser maximises the loss (maximize=True)", _maximises),
    ("the loss is negated", _is_negated),
    ("the loss's gradient by the outputs points the wrong way", _points_the_wrong_way),
    ("the loss falls while the right classes become less and less likely", _unlearns),
    ("it falls far below zero, without end, while the outputs grow", _falls_without_end),
    ("updates point along the gradient instead of against it", _climbs),
)
