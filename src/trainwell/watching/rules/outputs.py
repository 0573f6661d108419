"""Outputs, loss and targets that do not belong together."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.loss_graph import LossGraph
from trainwell.watching.rules.evidence import (
    accuracy,
    base_rate,
    first_rate,
    is_poor,
    middle,
    skill,
    update_ratio,
)

_SQUARES = ("mse", "l1", "smooth_l1", "huber")
_BOUNDS = {"sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0),
           "relu": (0.0, math.inf)}  # fmt: skip


def judge_outputs(history: History) -> Iterable[Finding]:
    """The activation before the loss, the kind of the loss, and how it is averaged."""
    yield from _activation(history)
    yield from _broadcast(history)
    kind = list(_kind(history)) or list(_misses_the_point(history))
    yield from kind
    yield from _reduction(history)


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
    elif graph_kind == "kl" and activation not in ("log_softmax", "log", "log_sigmoid"):
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


def _runs_over_positions(graph: LossGraph) -> bool:
    """Whether a loss of classes along axis 1 gets a softmax over another axis."""
    axis = graph.softmax_axis
    takes_axis_1 = graph.kind in ("cross_entropy", "nll") and graph.axes > 2
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
    if graph is None or graph.kind not in _SQUARES or not known:
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
    expanded = graph is not None and graph.kind in _SQUARES and _spreads(graph.expanded, outputs)
    slopes = [o.slope for o in outputs if math.isfinite(o.slope)]
    # The gradient of a squared error against all targets at once is a line in the outputs.
    straight = len(slopes) >= 4 and sum(s > 0.99999 for s in slopes) >= 0.9 * len(slopes)
    straight = straight and graph is not None and graph.kind in ("mse", "")
    if straight:
        stds = [o.target_std for o in outputs if math.isfinite(o.target_std)]
        straight = not stds or min(stds) > 1e-6
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
    elif graph.kind in _SQUARES and _is_of_torch(history) and _predicts_classes(history):
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


def _is_of_torch(history: History) -> bool:
    """Whether the loss is torch's own; the absolute error leaves no trace of its name."""
    named = history.graph is not None and history.graph.named
    return named or history.facts.loss_name.lower().replace("_", "") == "l1loss"


def _is_mostly_one_number(history: History) -> bool:
    data = history.data
    return data is not None and 0.5 < data.commonest_target < 0.95 and not data.class_counts


def _falls_for_ever(history: History) -> bool:
    """Whether a loss of classes goes far below 0 and nothing is learned."""
    trend = history.trend
    deep = trend.last < -100 * max(1.0, abs(trend.start))
    return deep and bool(history.class_counts) and accuracy(history) < base_rate(history) + 0.1


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
    summed = per_row > 0.9 and not mean
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
