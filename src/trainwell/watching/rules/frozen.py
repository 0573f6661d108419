"""Parameters that do not move."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding, Severity
from trainwell.watching.history import History
from trainwell.watching.readings import Reading
from trainwell.watching.rules.evidence import is_poor


def judge_frozen(history: History) -> Iterable[Finding]:
    """Parameters that should be trained and stay as they were."""
    if sum(bool(r.parameters) for r in history.readings) < 3:
        if history.modes.steps >= 100 and not (history.modes.updates_read or history.modes.updates):
            yield _report(history, [], "the optimiser never made a step")
    elif history.hidden:
        yield _report_hidden(history)
    elif history.made_anew and history.probe is not None and history.probe.variation > 0.05:
        # Heads and codes that the training itself makes for a while leave the model as it is.
        yield _report_made_anew(history)
    else:
        yield from _still(history)


def _still(history: History) -> Iterable[Finding]:
    """What did not move, by the most certain reason."""
    facts, still = history.facts, _unmoved(history)
    outside = [name for name in facts.outside if name in still]
    if facts.strangers and not facts.trainable:
        yield _report(
            history,
            outside,
            "the optimiser holds none of the model's parameters"
            f" but {facts.strangers} tensors of something else",
        )
        return
    if outside:
        yield _report(history, outside, "they are trainable but not in the optimiser")
        return
    zero = [name for name in facts.zero_rate if name in still]
    held = [
        n for n in still if n in facts.trainable and n not in zero and _had_gradient(history, n)
    ]
    if zero:
        yield _report(history, zero, "the learning rate of their group is zero")
    elif held and any(rate > 0 for _, rate in history.rates):
        yield _report(
            history, held, "they have gradients but their values are put back or never changed"
        )
    elif facts.frozen and history.modes.steps >= 60 and is_poor(history):
        yield _report(history, list(facts.frozen), "requires_grad is False", severity="warning")


def _report_hidden(history: History) -> Finding:
    names = ", ".join(history.hidden[:3])
    return Finding(
        code="frozen_params",
        severity="error",
        where=history.hidden[0],
        step=history.step,
        evidence={"attributes": len(history.hidden)},
        cause=f"{names}: gradients reach what these hold, but it is none of the model's "
        "parameters (layers in a plain list or dictionary, or a tensor): it is never updated by "
        "the optimiser, nor moved or saved with the model.",
        remedy="Use nn.ModuleList, nn.ModuleDict, nn.ParameterList or nn.Parameter.",
        reference="PyTorch documentation of ModuleList",
    )


def _report_made_anew(history: History) -> Finding:
    return Finding(
        code="frozen_params",
        severity="error",
        step=history.step,
        evidence={"parameters": history.made_anew},
        cause=f"{history.made_anew} parameters of the loss belong to neither the model nor the "
        "optimiser and are gone afterwards, and two passes of the same examples differ: a layer is "
        "made anew in each forward pass, with other random weights that nothing trains.",
        remedy="Make layers in __init__ and call them in forward.",
        reference="PyTorch documentation of Module",
    )


def _unmoved(history: History) -> list[str]:
    readings = [r for r in history.readings if r.parameters]
    if readings[-1].step < history.step / 2:
        return []  # Another optimiser may have moved them since.
    first = {p.name: p.weight for p in readings[0].parameters}
    last = readings[-1].parameters
    return [
        p.name
        for p in last
        if first.get(p.name) == p.weight
        and all(_ratio(r, p.name) in (0.0, None) for r in readings[-3:])
    ]


def _ratio(reading: Reading, name: str) -> float | None:
    for parameter in reading.parameters:
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


def _report(
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
