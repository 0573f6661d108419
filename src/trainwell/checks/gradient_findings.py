"""What wrong gradients mean, in findings: one for each module that is to blame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainwell.checks.culprits import LOSS, Culprit
from trainwell.checks.gradient_report import GradientOf
from trainwell.findings import Code, Finding, Severity

REFERENCE = "Karpathy et al., CS231n notes: gradient checks (2015)"


@dataclass(frozen=True)
class Place:
    """Where a parameter is used.

    Attributes:
        name: Of the parameter.
        module: Name of the module that holds it.
        kind: That module's class.
        turn: Of the module in the order of the forward pass.
    """

    name: str
    module: str
    kind: str
    turn: int


def explain_wrong(
    wrong: Sequence[GradientOf],
    culprits: Sequence[Culprit],
    places: dict[str, Place],
    turns: dict[str, int],
    allowed: float,
) -> list[Finding]:
    """Findings of the data loss.

    Args:
        wrong: Gradients of parameters that differ in the whole network.
        culprits: Modules that are wrong by themselves.
        places: Of each parameter.
        turns: By module name, its turn in the order of the forward pass.
        allowed: Relative error that passes.
    """
    if culprits:
        return [_blame(culprit, wrong, places, turns, allowed) for culprit in culprits]
    if wrong:
        return [_blame_place(wrong, places, allowed)]
    return []


def _blame(
    culprit: Culprit,
    wrong: Sequence[GradientOf],
    places: dict[str, Place],
    turns: dict[str, int],
    allowed: float,
) -> Finding:
    code: Code = "wrong_backward"
    if culprit.cuts and not culprit.functions and not culprit.has_hooks:
        code = "detach_inplace"
    worst = max(culprit.wrong, key=lambda gradient: gradient.error)
    severity: Severity = "note" if culprit.is_surrogate else "error" if wrong else "warning"
    return Finding(
        code,
        severity,
        where=_nearest(culprit, wrong, places, turns),
        evidence=_measure(worst, allowed, wrong),
        cause=f"{_name_fault(culprit, code)}: {_compare(worst, allowed)}"
        + _tell_spread(wrong, places),
        remedy=_advise(culprit, code),
        reference=REFERENCE,
    )


def _nearest(
    culprit: Culprit,
    wrong: Sequence[GradientOf],
    places: dict[str, Place],
    turns: dict[str, int],
) -> str:
    """The wrong parameter of the culprit itself, or the last one before it, or the culprit."""
    prefix = f"{culprit.name}." if culprit.name else ""
    names = [gradient.name for gradient in wrong]
    own = [f"{prefix}{gradient.name}" for gradient in culprit.wrong]
    own = [name for name in own if name in names]
    if own:
        return own[0]
    turn = turns.get(culprit.name, len(turns))
    before = [name for name in names if places[name].turn <= turn]
    if before:
        return max(before, key=lambda name: places[name].turn)
    return culprit.name or (names[-1] if names else culprit.kind)


def _name_fault(culprit: Culprit, code: Code) -> str:
    module = _name_module(culprit.name, culprit.kind)
    if culprit.functions:
        names = " or ".join(culprit.functions)
        kind = "autograd.Function" if len(culprit.functions) == 1 else "autograd.Functions"
        who = f"the backward of {names} ({kind} called in {module})"
    elif code == "detach_inplace":
        return (
            f"In {module} the gradient does not flow through everything that the output is "
            f"computed from, since {' and '.join(culprit.cuts)} takes values out of the graph"
        )
    elif culprit.has_hooks:
        who = f"what a backward hook makes of the gradients of {module}"
    else:
        who = f"the backward pass of {module}"
    if culprit.is_surrogate:
        return (
            f"{_capitalise(who)} gives a gradient where the output does not change at all, as "
            "straight-through estimators do on purpose"
        )
    return f"{_capitalise(who)} is not the derivative of its forward"


def _name_module(name: str, kind: str) -> str:
    if name == LOSS:
        return f"the loss {kind}"
    return f"{name}, a {kind}" if name else f"the model {kind}"


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]


def _compare(gradient: GradientOf, allowed: float) -> str:
    found = gradient.comparison
    number = f"[{', '.join(map(str, gradient.place))}]" if gradient.place is not None else ""
    return (
        f"with respect to {gradient.name}{number} it gives {found.analytic:.6g}, centred "
        f"differences give {found.numeric:.6g} (relative error {gradient.error:.2g}, at most "
        f"{allowed:.1g} passes)"
    )


def _tell_spread(wrong: Sequence[GradientOf], places: dict[str, Place]) -> str:
    if not wrong:
        return ". No parameter stands before it, so none is affected yet"
    last = max((gradient.name for gradient in wrong), key=lambda name: places[name].turn)
    if len(wrong) == 1:
        return f". The gradient of {last} is wrong"
    return f". The gradients of {len(wrong)} parameters are wrong, the last of them {last}"


def _measure(gradient: GradientOf, allowed: float, wrong: Sequence[GradientOf]) -> dict[str, float]:
    return {
        "analytic": gradient.comparison.analytic,
        "numeric": gradient.comparison.numeric,
        "relative_error": gradient.error,
        "allowed": allowed,
        "parameters": float(len(wrong)),
    }


def _advise(culprit: Culprit, code: Code) -> str:
    if culprit.is_surrogate:
        return "Nothing, if that is meant; else derive the backward pass from the forward pass"
    if code == "detach_inplace":
        return f"Take {' and '.join(culprit.cuts)} out of the forward pass, unless it is meant"
    if culprit.functions:
        name = culprit.functions[0]
        return (
            f"Derive the backward of {name} again, and try it alone with "
            f"tw.check_function_gradient({name}.apply, ...)"
        )
    if culprit.has_hooks:
        return "Remove the backward hook, or let it leave the gradients as they are"
    return "Derive its backward pass again, or leave it to autograd"


def _blame_place(wrong: Sequence[GradientOf], places: dict[str, Place], allowed: float) -> Finding:
    """No module is wrong by itself: what the pattern over the parameters tells."""
    last = max(wrong, key=lambda gradient: places[gradient.name].turn)
    place = places[last.name]
    is_cut = all(not gradient.comparison.analytic for gradient in wrong)
    reason = (
        "gets no gradient although the loss depends on it: the graph is cut behind it"
        if is_cut
        else "has a wrong gradient"
    )
    return Finding(
        "detach_inplace" if is_cut else "wrong_backward",
        "error",
        where=last.name,
        evidence=_measure(last, allowed, wrong),
        cause=f"{last.name} in {_name_module(place.module, place.kind)} {reason}: "
        f"{_compare(last, allowed)}{_tell_spread(wrong, places)}",
        remedy="Look for detach(), .data, no_grad() or an own backward pass in and behind "
        f"{place.module or 'the model'}",
        reference=REFERENCE,
    )


def explain_penalty(wrong: Sequence[GradientOf], allowed: float) -> list[Finding]:
    """The finding of a penalty whose gradient is wrong, if it is."""
    if not wrong:
        return []
    worst = max(wrong, key=lambda gradient: gradient.error)
    return [
        Finding(
            "wrong_backward",
            "error",
            where=worst.name,
            evidence=_measure(worst, allowed, wrong),
            cause="The gradient of the penalty is not the derivative of its value: "
            f"{_compare(worst, allowed)}",
            remedy="Compute the penalty from the parameters themselves, not from .data or copies",
            reference=REFERENCE,
        )
    ]
