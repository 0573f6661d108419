"""Gradients that vanish or explode on their way through the layers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from trainwell.findings import Finding
from trainwell.tracing.origin import Origin
from trainwell.tracing.wording import describe_origin, describe_overflow, propose_remedy
from trainwell.watching.growth import Growth
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import (
    ENOUGH_STEPS,
    is_poor,
    late,
    signal_left,
    skill,
    typical,
)

_REMEDY = "Lower the learning rate, or clip the gradients' norm."


def judge_gradients(history: History) -> Iterable[Finding]:
    """Relative to the last layer, and to their own beginning."""
    yield from _not_finite(history)
    if history.trend.count >= ENOUGH_STEPS:
        yield from _vanishing(history)
        yield from _exploding(history)


def _not_finite(history: History) -> Iterable[Finding]:
    nan = history.nan
    if nan is None and not history.trend.broken:
        return
    origin = nan.origin if nan is not None else None
    step = nan.step if nan is not None else history.step
    cause, remedy = f"The loss is not finite at step {step}", _REMEDY
    evidence: dict[str, float] = {"step": step}
    where = origin.where if origin is not None else ""
    if nan is not None and nan.growth is not None:
        cause, remedy = f"{cause}: {_describe_growth(nan.growth, origin)}", _REMEDY
        where = nan.growth.parameter or where
        evidence |= {
            "since": nan.growth.since,
            "loss_usual": nan.growth.usual,
            "loss_last": nan.growth.last,
            "parameter_growth": nan.growth.factor,
        }
        if origin is not None and origin.repeats > 3:
            remedy = propose_remedy(origin)
    elif origin is not None and nan is not None:
        cause, remedy = f"{cause}: {describe_origin(origin)}", propose_remedy(origin)
        if nan.spoilt_at is not None:
            cause += f", at step {nan.spoilt_at}; the update of that step spoilt "
            cause += _list_some(nan.spoilt) or "the weights"
        if origin.rows:
            evidence |= {"rows": len(origin.rows), "first_row": origin.rows[0]}
    yield Finding(
        code="exploding_or_nan",
        severity="error",
        where=where,
        step=step,
        evidence=evidence,
        cause=f"{cause}.",
        remedy=remedy,
        reference="Pascanu et al. 2013",
    )


def _list_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _describe_growth(growth: Growth, origin: Origin | None) -> str:
    weights = (
        f"{growth.parameter} is {growth.factor:.2g} times its first size, and "
        if growth.parameter and growth.factor > 1.5
        else ""
    )
    end = f", until {describe_overflow(origin)}" if origin is not None else ""
    return (
        f"{weights}the loss has grown from {growth.usual:.3g} to {growth.last:.3g} since step "
        f"{growth.since}{end}"
    )


def _vanishing(history: History) -> Iterable[Finding]:
    sizes = typical(late(history), lambda p: p.gradient)
    known = {name: size for name, size in sizes.items() if math.isfinite(size)}
    if len(known) < 3 or not is_poor(history):
        yield from _vanishing_in_time(history)
        return
    values = list(known.values())
    first, last = min(values[: max(1, len(values) // 3)]), values[-1]
    start = typical(history.readings[:4], lambda p: p.gradient)
    began = [v for v in start.values() if math.isfinite(v)]
    small_at_start = bool(began) and min(began[: max(1, len(began) // 3)]) < 3e-3 * began[-1]
    ratio = first / last if last > 0 else math.nan
    left = signal_left(history)
    if left < 0.02 and history.facts.norms == 0:
        yield Finding(
            code="vanishing_gradient",
            severity="error",
            where=next(iter(known)),
            step=history.step,
            evidence={"signal_left": left, "layers": len(known)},
            cause=f"At the start examples differ behind the last hidden layer {left:.1g} times as "
            "much as behind the first: the signal vanishes on its way through the layers, and "
            "the gradient on its way back.",
            remedy="Use He's initialisation, normalisation or residual connections.",
            reference="Glorot & Bengio 2010; He et al. 2015",
        )
    elif 0 < ratio < 1e-3 or (0 < ratio < 1e-2 and small_at_start and skill(history) < 0.2):
        yield Finding(
            code="vanishing_gradient",
            severity="error",
            where=next(iter(known)),
            step=history.step,
            evidence={"first_over_last_layer": ratio, "layers": len(known)},
            cause=f"The gradient of the first layers is {ratio:.1g} times that of the last: it "
            "vanishes on the way back, and the first layers do not learn.",
            remedy="Use ReLU with He's initialisation, batch norm or residual connections, and "
            "fewer layers of sigmoid or tanh.",
            reference="Bengio et al. 1994; Glorot & Bengio 2010",
        )
    else:
        yield from _vanishing_in_time(history)


def _vanishing_in_time(history: History) -> Iterable[Finding]:
    probe = history.probe
    if probe is None or not history.facts.recurrent or skill(history) > 0.75:
        return
    forgets = [
        name
        for name, size in history.facts.first_sizes.items()
        if "weight_hh" in name and size * math.sqrt(history.facts.hidden_units) < 0.3
    ]
    if forgets and skill(history) < 0.6:
        gain = history.facts.first_sizes[forgets[0]] * math.sqrt(history.facts.hidden_units)
        yield Finding(
            code="vanishing_gradient",
            severity="warning",
            where=forgets[0],
            step=history.step,
            evidence={"recurrent_gain": gain},
            cause=f"The recurrent weights began with a gain of {gain:.2g}: of the state and of its "
            "gradient that much is left after each time step.",
            remedy="Draw recurrent weights orthogonal (gain 1), or use an LSTM or GRU.",
            reference="Bengio et al. 1994; Le et al. 2015",
        )
    elif _is_forgotten(history):
        yield Finding(
            code="vanishing_gradient",
            severity="error",
            step=history.step,
            evidence={"first_spread_of_outputs": history.outputs[0].spread},
            cause="At the start the outputs are the same for all examples: what a sequence says is "
            "forgotten by the time step from which the outputs are made, and no gradient comes "
            "back to it.",
            remedy="Make the outputs from the last step that is no padding, or from the mean of "
            "the steps; or use an LSTM or GRU.",
            reference="Bengio et al. 1994; Hochreiter & Schmidhuber 1997",
        )
    elif probe.time_ratio < 1e-4:
        yield Finding(
            code="vanishing_gradient",
            severity="error",
            step=history.step,
            evidence={"first_over_last_time_step": probe.time_ratio},
            cause=f"The gradient at the first time step is {probe.time_ratio:.1g} times that at "
            "the last: what came early is not learned.",
            remedy="Use an LSTM or GRU with the forget gate's bias at 1, orthogonal recurrent "
            "weights, or shorter sequences.",
            reference="Bengio et al. 1994; Hochreiter & Schmidhuber 1997",
        )


def _is_forgotten(history: History) -> bool:
    """Whether the first outputs of a model with weights in all places hardly differ."""
    first = history.outputs[:3]
    return (
        len(first) == 3
        and all(o.rows > 1 and o.std > 1e-3 and o.spread < 1e-5 * o.std for o in first)
        and not any(p.weight == 0 for p in history.readings[0].parameters if p.is_weight)
    )


def _exploding(history: History) -> Iterable[Finding]:
    if history.trend.broken or history.nan is not None:
        return
    early = typical(history.readings[:3], lambda p: p.gradient)
    now = typical(late(history, 0.3), lambda p: p.gradient)
    # What began with next to no gradient grows by any factor when it begins to learn.
    least = max(1e-12, 1e-4 * max((v for v in early.values() if math.isfinite(v)), default=0.0))
    growth = [
        now[name] / early[name]
        for name in now
        if early.get(name, 0) > least and math.isfinite(now[name])
    ]
    most = max(growth, default=0.0)
    trend = history.trend
    # A loss that begins at nought, as that of consistency, grows by any factor.
    blown_up = abs(trend.start) > 1e-6 and trend.last > 20 * abs(trend.start)
    first = history.losses[0][1] / history.chance if history.chance > 0 else 0.0
    begins_so = first > 1e4 and trend.level > 20
    evidence = {"gradient_growth": most, "loss_start": trend.start, "loss_last": trend.last}
    if (most > 1e3 and is_poor(history)) or blown_up:
        cause = (
            f"Gradients grew {most:.2g} times and the loss went from {trend.start:.3g} to "
            f"{trend.last:.3g}: the training explodes."
        )
    elif begins_so:
        cause = (
            f"The first loss is {first:.2g} times that of a constant prediction, and the last "
            f"still {trend.level:.2g} times: signal and gradients grow from layer to layer, or "
            "from one time step to the next."
        )
        evidence |= {"first_loss_over_chance": first}
    else:
        return
    yield Finding(
        code="exploding_or_nan",
        severity="error",
        step=history.step,
        evidence=evidence,
        cause=cause,
        remedy="Clip the gradients' norm, lower the learning rate, or draw smaller first weights.",
        reference="Pascanu et al. 2013",
    )
