"""How losses are averaged over a batch."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import first_rate, is_poor, middle, skill, update_ratio


def judge_reduction(history: History) -> Iterable[Finding]:
    """A sum where a mean is meant, or a mean that is divided again."""
    graph = history.graph
    known = [o for o in history.outputs if math.isfinite(o.scale) and o.scale > 0 and o.rows >= 8]
    per_row = middle(o.scale / o.rows for o in known)
    inverse = middle(o.scale * o.rows for o in known)
    # Torch's own mean is no sum: what multiplies its gradient is the scale of mixed precision.
    mean = graph is not None and graph.named and graph.reduction == "mean" and not graph.around
    # Without the factor 2 of the squared error, a sum's gradient is half as large beside it.
    declared = graph is not None and graph.reduction == "sum" and "div" not in graph.around
    summed = per_row > (0.4 if declared else 0.9) and not mean
    if not known:
        yield from _other_factor(history)
        return
    accumulates = history.modes.passes_per_update > 1.5
    divided = inverse < 1.2 and not accumulates
    if not (summed or divided):
        return
    adaptive = history.facts.adaptive
    ratio = update_ratio(history, history.readings)
    poor = is_poor(history) or history.diverged
    rate = first_rate(history)
    # A sum with a rate that allows for it is a matter of taste, and Adam divides the factor out.
    harm = (
        poor
        or (summed and not adaptive and (ratio > 0.05 or rate >= 0.005))
        or (divided and not adaptive and skill(history) < 0.95)
    )
    rows = known[-1].rows
    what = "summed over the batch, not averaged" if summed else "averaged over the batch twice"
    yield Finding(
        code="loss_reduction",
        severity="warning" if harm else "note",
        step=history.step,
        evidence={"batch": rows, "gradient_scale": middle(o.scale for o in known)},
        cause=f"The loss is {what}: its gradient is "
        f"{middle(o.scale for o in known):.3g} times that of the mean, and the step grows or "
        "shrinks with the batch size.",
        remedy="Use reduction='mean' and no further division by the batch size.",
        reference="Goyal et al. 2017",
    )


def _other_factor(history: History) -> Iterable[Finding]:
    """A loss that is a multiple of the mean standard loss, where gradients do not tell."""
    graph, factor = history.graph, history.loss_factor
    if graph is None or graph.kind not in ("cross_entropy", "nll", "mse", "bce_logits"):
        return
    summed = graph.reduction == "sum" and factor > 4
    divided = (graph.reduction == "sum" and factor < 0.25) or factor < 0.1
    adaptive = history.facts.adaptive
    harm = (is_poor(history) or history.diverged) and (summed or not adaptive)
    if not (summed or divided):
        return
    yield Finding(
        code="loss_reduction",
        severity="warning" if harm else "note",
        step=history.step,
        evidence={"loss_over_mean_loss": factor},
        cause=f"The loss is {factor:.3g} times the mean over examples and positions: the step "
        "grows or shrinks with what it is summed over and divided by.",
        remedy="Use reduction='mean' and no further division; leave padding out with ignore_index.",
        reference="Goyal et al. 2017",
    )
