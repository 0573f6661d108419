"""Losses that do not suit their task, and how they are averaged."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import (
    LOSSES_OF_NUMBERS,
    accuracy,
    base_rate,
    first_rate,
    is_poor,
    middle,
    skill,
    update_ratio,
)

_PULLING = (
    *("cross_entropy", "custom_cross_entropy", "nll", "bce", "bce_logits"),
    *("mse", "smooth_l1", "huber"),
)
"""Losses that pull each output towards its target."""


def judge_losses(history: History) -> Iterable[Finding]:
    """The kind of the loss, and its factor."""
    yield from list(_kind(history)) or list(_misses_the_point(history)) or _leaves_out(history)
    yield from _reduction(history)


def _kind(history: History) -> Iterable[Finding]:
    graph, task = history.graph, history.facts.task
    if graph is None:
        return
    last = history.outputs[-1] if history.outputs else None
    cause = remedy = ""
    severity = "error"
    if graph.kind == "nll" and graph.activation in ("", "relu", "tanh", "sigmoid"):
        low = min((loss for _, loss in history.losses), default=0.0)
        tops = [o.maximum for o in history.outputs]
        if low < 0 or (tops and max(tops) > 1e-3):
            cause = "NLLLoss gets scores where it takes logarithms of probabilities."
            remedy = "Use CrossEntropyLoss on the scores."
    elif graph.kind == "l1" and _is_mostly_one_number(history):
        share = history.data.commonest_target if history.data is not None else math.nan
        severity = "warning"
        cause = (
            f"{100 * share:.0f} % of the targets are one number, which is their median: the "
            "absolute error is least where it is always predicted."
        )
        remedy = "Use the squared error, which is least at the mean, or a loss for counts."
    elif _falls_for_ever(history):
        cause = (
            f"The loss has fallen to {history.trend.last:.3g} and has no lowest value, while the "
            "right classes are not learned: it does not measure what is wanted."
        )
        remedy = (
            "KLDivLoss takes log_softmax of the scores; NLLLoss too. Else use CrossEntropyLoss."
        )
    elif _gives_rates(history):
        cause = (
            "PoissonNLLLoss(log_input=False) takes its inputs for rates, which are positive; the "
            "model gives negative ones."
        )
        remedy = "Use log_input=True, which takes the logarithms of rates."
    elif graph.kind in LOSSES_OF_NUMBERS and _is_of_torch(history) and _predicts_classes(history):
        severity = "warning"
        cause = f"Classes are trained with a loss for numbers ({graph.kind})."
        remedy = "Use CrossEntropyLoss with one output a class, or BCEWithLogitsLoss for two."
    elif graph.kind in ("cross_entropy", "nll", "bce", "bce_logits") and task == "regression":
        cause = "A regression is trained with a loss for classes."
        remedy = "Use MSELoss or SmoothL1Loss."
    elif (
        graph.kind in ("cross_entropy", "custom_cross_entropy")
        and last is not None
        and (last.columns == 1)
    ):
        cause = "A cross-entropy over a single output is always 0, so nothing is learned."
        remedy = "Use BCEWithLogitsLoss for a single output, or one output a class."
    elif graph.swapped:
        cause = (
            "The model's outputs are where the binary cross-entropy takes the targets, and the "
            "targets where it takes the scores."
        )
        remedy = "Give the outputs first, then the targets."
    elif _looks_at_one_example(history):
        cause = (
            "The loss depends on the outputs of one example of each batch; all others have no "
            "gradient."
        )
        remedy = "Give the whole batch to the loss: no index where there is an axis of examples."
    elif _pulls_elsewhere(history):
        cause = (
            "The loss does not pull the outputs of an example towards its own target: the cosine "
            f"of both directions is {_pairing(history):.2f}. Outputs and targets are paired "
            "wrongly on the way into the loss."
        )
        remedy = "Move axes with transpose() or permute(), not with view(), and keep the order."
    elif graph.kind in ("bce", "bce_logits") and _outside_unit(history):
        cause = "A binary cross-entropy gets targets outside of 0 to 1."
        remedy = "Use targets 0 and 1, or a loss for numbers."
    if cause:
        yield Finding(
            code="wrong_loss",
            severity=severity,
            step=history.step,
            evidence={"loss_last": history.trend.last},
            cause=cause,
            remedy=remedy,
            reference="Bishop 1995, chapter 6",
        )


def _pairing(history: History) -> float:
    known = [o.pairing for o in history.outputs[:8] if math.isfinite(o.pairing)]
    return middle(known) if len(known) >= 3 else math.nan


def _pulls_elsewhere(history: History) -> bool:
    """Whether the gradient by an example's outputs has nothing to do with its target.

    A loss may see targets that are shifted against those that are told, and learn them well.
    """
    graph = history.graph
    known = graph is not None and graph.kind in _PULLING
    return known and abs(_pairing(history)) < 0.3 and skill(history) < 0.5


def _looks_at_one_example(history: History) -> bool:
    graph = history.graph
    known = [o for o in history.outputs[:8] if math.isfinite(o.moved) and o.rows >= 8]
    plain = graph is not None and graph.kind in _PULLING
    return plain and len(known) >= 5 and all(o.moved <= 1 for o in known)


def _is_mostly_one_number(history: History) -> bool:
    data = history.data
    return data is not None and 0.5 < data.commonest_target < 0.95 and not data.class_counts


def _falls_for_ever(history: History) -> bool:
    """Whether a loss of classes goes far below 0 and nothing is learned."""
    trend = history.trend
    deep = trend.last < -100 * max(1.0, abs(trend.start))
    return deep and bool(history.class_counts) and accuracy(history) < base_rate(history) + 0.1


def _is_of_torch(history: History) -> bool:
    """Whether the loss is torch's own; the absolute error leaves no trace of its name."""
    named = history.graph is not None and history.graph.named
    return named or history.facts.loss_name.lower().replace("_", "") == "l1loss"


def _gives_rates(history: History) -> bool:
    """Whether the first value that is not finite is that of a Poisson loss of negative rates."""
    origin = history.nan.origin if history.nan is not None else None
    return origin is not None and origin.operation == "poisson_nll_loss"


def _misses_the_point(history: History) -> Iterable[Finding]:
    """A loss that is nearly gone while outputs say nothing of their targets."""
    graph, probe, trend = history.graph, history.probe, history.trend
    own = graph is None or graph.kind in ("", "l1", "mse", "kl")
    if probe is None or not own or (graph is not None and graph.named):
        return
    score = probe.train
    gone = trend.fall > 0.85 and trend.count >= 50
    spread = [o.target_std for o in history.outputs if o.target_std > 0 and not o.target_counts]
    says_nothing = (
        bool(spread) and -0.3 < score.agreement < 0.2 and score.loss > 0.8 * middle(spread) ** 2
    )
    if gone and says_nothing:
        yield Finding(
            code="wrong_loss",
            severity="error",
            step=history.step,
            evidence={
                "loss_start": trend.start,
                "loss_last": trend.last,
                "correlation": score.agreement,
            },
            cause=f"The loss fell from {trend.start:.3g} to {trend.last:.3g}, but the outputs have "
            f"a correlation of {score.agreement:.2f} with the targets: the loss does not measure "
            "what the targets ask for, as where errors of both signs cancel out.",
            remedy="Square errors, or take their absolute values, before they are averaged.",
            reference="Bishop 1995, chapter 6",
        )


def _leaves_out(history: History) -> Iterable[Finding]:
    """Outputs that never enter the loss.

    Of classes that exclude each other, those that no example has may have no gradient.
    """
    known = [r.outputs for r in history.readings[:8] if r.outputs is not None]
    idle = frozenset.intersection(*(o.idle for o in known)) if len(known) >= 5 else frozenset()
    if not idle or history.class_counts:
        return
    cut = history.graph is not None and history.graph.adds_number
    why = (
        "what is added for them is a number without a graph" if cut else "the loss leaves them out"
    )
    remedy = "Let each output enter the loss once; look for an index that is written twice."
    if cut:
        remedy = "Add the other loss as a tensor: take item(), detach() or no_grad() away from it."
    yield Finding(
        code="detach_inplace" if cut else "wrong_loss",
        severity="warning",
        step=history.step,
        evidence={"outputs": known[0].columns, "without_gradient": len(idle)},
        cause=f"{len(idle)} of {known[0].columns} outputs have no gradient for any example: {why}, "
        "and nothing is learned for them.",
        remedy=remedy,
        reference="Bishop 1995, chapter 6",
    )


def _predicts_classes(history: History) -> bool:
    facts = history.facts
    if facts.task in ("regression", "reconstruction"):
        return False
    if facts.task in ("multiclass", "binary"):
        return True
    known = [o for o in history.outputs if o.target_counts or math.isfinite(o.target_std)]
    if len(known) < 3:
        return False
    # One-hot rows, or zeros and ones against one output, or whole numbers of few kinds.
    if all(o.target_counts for o in known):
        return True
    if all(o.binary for o in known):
        return True
    low, high = min(o.target_low for o in known), max(o.target_high for o in known)
    return all(o.whole_targets for o in known) and low >= 0 and high <= 100


def _outside_unit(history: History) -> bool:
    known = [o for o in history.outputs if math.isfinite(o.target_low)]
    return bool(known) and (
        min(o.target_low for o in known) < -0.01 or max(o.target_high for o in known) > 1.01
    )


def _reduction(history: History) -> Iterable[Finding]:
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
    rows = known[-1].rows if known else 0
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
