"""What is wired wrongly: gradients kept, climbed, cut or false; parameters that do not move."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding, Severity
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import (
    accuracy,
    base_rate,
    is_poor,
    middle,
    skill,
    weights,
)

_STRAIGHT_THROUGH = ("round", "sign", "ste", "quant", "straight", "binar", "revers")


def judge_wiring(history: History) -> Iterable[Finding]:
    """Faults of the loop and of the graph."""
    yield from _kept_gradients(history)
    yield from _ascent(history)
    yield from _cut_graph(history)
    yield from _frozen(history)
    yield from _wrong_backward(history)


def _kept_gradients(history: History) -> Iterable[Finding]:
    seen = [r.kept_gradient for r in history.readings if r.kept_gradient is not None]
    kept = sum(seen)
    if kept >= 3 and kept >= 0.4 * len(seen):
        yield Finding(
            code="missing_zero_grad",
            severity="error",
            step=history.step,
            evidence={"steps_looked_at": len(seen), "with_old_gradient": kept},
            cause=f"On {kept} of {len(seen)} steps the gradient of the update before was still "
            "there when the backward pass began, so each update sums up the gradients of all "
            "steps before it.",
            remedy="Call optimizer.zero_grad() once before each backward pass whose gradients "
            "make an update of their own.",
            reference="Zhang et al. 2018 (TensorFlow bugs); PyTorch documentation of zero_grad",
        )


def _ascent(history: History) -> Iterable[Finding]:
    trend, graph = history.trend, history.graph
    if history.nan is not None and history.nan.is_fault:
        return  # what came after is no descent and no ascent
    custom = graph is not None and graph.custom
    scales = [o.scale for o in history.outputs if math.isfinite(o.scale)]
    # Distances may well be turned round before they go to a loss for scores.
    bent = graph is not None and graph.named and not graph.direct and not custom
    turned = len(scales) >= 3 and sum(s < 0 for s in scales) > 0.8 * len(scales) and not bent
    alignments = [
        o.alignment
        for o in history.outputs
        if math.isfinite(o.alignment) and math.isfinite(o.target_std)
    ]
    # A loss of another kind has another gradient, but none that points away from the targets.
    # Distances are 0 or more, and may be small where a target is 1.
    scores = any(o.minimum < 0 for o in history.outputs[:4])
    falls = trend.fall > 0 and not trend.broken
    away = len(alignments) >= 3 and middle(alignments[:4]) < -0.5 and scores and falls
    cosines = [r.cosine for r in history.readings if math.isfinite(r.cosine)]
    climbs = len(cosines) >= 4 and sum(c > 0.15 for c in cosines) > 0.8 * len(cosines)
    # Another factor on the way may bring a minus of its own, as in a focal loss.
    bare = graph is not None and set(graph.around) <= {"neg", "mean", "sum"}
    negated = bare and graph is not None and "neg" in graph.around and graph.kind in (
        "cross_entropy", "mse", "bce", "bce_logits", "smooth_l1", "l1",
    )  # fmt: skip
    standard = [o.standard_loss for o in history.outputs if math.isfinite(o.standard_loss)]
    few = max(1, len(standard) // 4)
    # The loss is the standard one with the sign turned round.
    losses = dict(history.losses)
    opposite = [
        abs(losses[r.step] + r.outputs.standard_loss) < 1e-3 * r.outputs.standard_loss
        for r in history.readings[:6]
        if r.outputs is not None and r.step in losses and r.outputs.standard_loss > 0
    ]
    unlearns = (
        len(standard) >= 6
        and history.is_classification
        and (graph is None or not graph.kind or graph.is_classification)
        and (graph is None or graph.kind != "nll")
        and ((len(opposite) >= 3 and all(opposite)) or accuracy(history) < 0.5 * base_rate(history))
        and middle(standard[-few:]) > 2 * middle(standard[:3])
        and trend.last < trend.start
    )
    rises = trend.count >= 10 and trend.fall < -0.05 and trend.start > 0
    maximizes = history.facts.maximize and (rises or turned)
    maximizes |= history.facts.maximize_some and skill(history) < 0.95
    if not (turned or away or climbs or negated or maximizes or unlearns):
        return
    how = (
        "the optimiser maximises the loss (maximize=True)" if maximizes
        else "the loss is negated" if negated
        else "the loss's gradient by the outputs points the wrong way" if turned or away
        else "the loss falls while the right classes become less and less likely" if unlearns
        else "updates point along the gradient instead of against it"
    )  # fmt: skip
    yield Finding(
        code="wrong_backward" if custom and turned else "gradient_ascent",
        severity="error",
        step=history.step,
        evidence={
            "update_gradient_cosine": middle(cosines),
            "output_gradient_scale": middle(scales),
            "loss_start": trend.start,
            "loss_last": trend.last,
        },
        cause=f"The training climbs the loss: {how}; the loss went from {trend.start:.3g} to "
        f"{trend.last:.3g}.",
        remedy="Minimise the loss: subtract the gradient, and take the minus sign or "
        "maximize=True away.",
        reference="Bottou 1998",
    )


def _cut_graph(history: History) -> Iterable[Finding]:
    readings = [r for r in history.readings if r.parameters]
    if len(readings) < 3:
        return
    trained = set(history.facts.trainable)
    without = {p.name for p in readings[-1].parameters if p.name in trained}
    for reading in readings:
        without &= {p.name for p in reading.parameters if not p.has_gradient}
    ran = [n for n in without if not history.called or _module_of(n) in history.called]
    order = [p.name for p in readings[-1].parameters if p.name in ran]
    if not order:
        return
    everything = len(without) == len(trained)
    where = order[-1]
    cut = ", ".join(repr(name) for name in history.detached if name)
    after = f" A tensor is cut from its graph after layer {cut}." if cut else ""
    yield Finding(
        code="detach_inplace",
        severity="error",
        where=where,
        step=history.step,
        evidence={"parameters_without_gradient": len(order), "trained_parameters": len(trained)},
        cause=f"{'No parameter' if everything else f'{order[0]} to {where}: no parameter'} ever "
        "gets a gradient although the layers run in the forward pass: the graph is cut between "
        f"them and the loss.{after}",
        remedy="Take detach(), .data, .item(), torch.no_grad() or the round trip through NumPy "
        "out of the way from these layers to the loss.",
        reference="PyTorch documentation, autograd mechanics",
    )


def _module_of(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def _frozen(history: History) -> Iterable[Finding]:
    facts = history.facts
    readings = [r for r in history.readings if r.parameters]
    if len(readings) < 3:
        if history.modes.steps >= 100 and not history.modes.updates_read:
            yield _frozen_finding(history, [], "the optimiser never made a step")
        return
    if history.hidden:
        yield _hidden_finding(history)
        return
    still = _unmoved(history)
    outside = [name for name in facts.outside if name in still]
    if facts.strangers and not facts.trainable:
        yield _frozen_finding(
            history,
            outside,
            "the optimiser holds none of the model's parameters"
            f" but {facts.strangers} tensors of something else",
        )
    elif outside:
        yield _frozen_finding(history, outside, "they are trainable but not in the optimiser")
    else:
        zero = [name for name in facts.zero_rate if name in still]
        held = [
            n for n in still if n in facts.trainable and n not in zero and _had_gradient(history, n)
        ]
        if zero:
            yield _frozen_finding(history, zero, "the learning rate of their group is zero")
        elif held and any(rate > 0 for _, rate in history.rates):
            yield _frozen_finding(
                history, held, "they have gradients but their values are put back or never changed"
            )
        elif facts.frozen and history.modes.steps >= 60 and is_poor(history):
            yield _frozen_finding(
                history, list(facts.frozen), "requires_grad is False", severity="warning"
            )


def _hidden_finding(history: History) -> Finding:
    names = ", ".join(history.hidden[:3])
    return Finding(
        code="frozen_params",
        severity="error",
        where=history.hidden[0],
        step=history.step,
        evidence={"attributes": len(history.hidden)},
        cause=f"{names}: a plain list or dictionary holds layers with parameters, which neither "
        "the model nor the optimiser knows of; they are never updated, moved or saved.",
        remedy="Use nn.ModuleList, nn.ModuleDict, nn.ParameterList or nn.ParameterDict.",
        reference="PyTorch documentation of ModuleList",
    )


def _unmoved(history: History) -> list[str]:
    readings = [r for r in history.readings if r.parameters]
    first = {p.name: p.weight for p in readings[0].parameters}
    last = readings[-1].parameters
    return [
        p.name
        for p in last
        if first.get(p.name) == p.weight
        and all(_ratio(r, p.name) in (0.0, None) for r in readings[-3:])
    ]


def _ratio(reading: object, name: str) -> float | None:
    for parameter in getattr(reading, "parameters", ()):
        if parameter.name == name:
            ratio = parameter.update_ratio
            return None if math.isnan(ratio) else ratio
    return None


def _had_gradient(history: History, name: str) -> bool:
    """Whether it had one that is not lost in the rounding of the weights."""
    rate = max((rate for _, rate in history.rates), default=0.0)
    return any(
        p.name == name and p.is_weight and rate * p.gradient > 1e-5 * p.weight
        for r in history.readings
        for p in r.parameters
    )


def _frozen_finding(
    history: History, names: list[str], why: str, severity: Severity | None = None
) -> Finding:
    some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    serious = is_poor(history) or len(names) > 0.5 * len(
        history.facts.trainable + history.facts.outside
    )
    return Finding(
        code="frozen_params",
        severity=severity or ("error" if serious else "warning"),
        where=names[0] if names else "",
        step=history.step,
        evidence={"parameters": len(names), "steps": history.modes.steps},
        cause=f"{some or 'The parameters'} did not change in {history.modes.steps} steps: {why}.",
        remedy="Give the optimiser model.parameters() after the model is complete; set "
        "requires_grad=False on what is to stay as it is.",
        reference="Schoop et al. 2021 (UMLAUT)",
    )


def _wrong_backward(history: History) -> Iterable[Finding]:
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
