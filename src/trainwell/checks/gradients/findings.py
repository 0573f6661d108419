"""What wrong gradients mean, in findings: one for each module that is to blame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trainwell.checks.gradients.culprits import LOSS, Culprit
from trainwell.checks.gradients.report import GradientOf
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


@dataclass(frozen=True)
class Order:
    """What comes when in the forward pass.

    Attributes:
        places: Of each parameter, by name.
        turns: Of each module, by name.
    """

    places: Mapping[str, Place]
    turns: Mapping[str, int]

    def last(self, names: Iterable[str]) -> str:
        """The parameter that is used last."""
        return max(names, key=lambda name: self.places[name].turn)

    def before(self, names: Iterable[str], module: str) -> list[str]:
        """Those of the parameters that are used before a module ends."""
        turn = self.turns.get(module, len(self.turns))
        return [name for name in names if self.places[name].turn <= turn]


def explain_wrong(
    wrong: Sequence[GradientOf], culprits: Sequence[Culprit], order: Order, allowed: float
) -> list[Finding]:
    """Findings of the data loss.

    Args:
        wrong: Gradients of parameters that differ in the whole network.
        culprits: Modules that are wrong by themselves.
        order: Of the network.
        allowed: Relative error that passes.
    """
    if culprits:
        groups: dict[tuple[object, ...], list[Culprit]] = {}
        for culprit in culprits:
            key = (culprit.kind, culprit.functions, culprit.cuts, culprit.is_surrogate)
            groups.setdefault(key, []).append(culprit)
        return [_blame(alike, wrong, order, allowed) for alike in groups.values()]
    if wrong:
        return [_blame_place(wrong, order, allowed)]
    return []


def _blame(
    alike: Sequence[Culprit], wrong: Sequence[GradientOf], order: Order, allowed: float
) -> Finding:
    culprit = alike[0]
    code: Code = "wrong_backward"
    if culprit.cuts and not culprit.functions and not culprit.has_hooks:
        code = "detach_inplace"
    worst = max(culprit.wrong, key=lambda gradient: gradient.error)
    others = ", ".join(other.name for other in alike[1:])
    nearest = _nearest(culprit, wrong, order)
    return Finding(
        code,
        _weigh(culprit, code, wrong, nearest),
        where=nearest or culprit.name or culprit.kind,
        evidence=_measure(worst, allowed, wrong),
        cause=f"{_name_fault(culprit, code)}: {_compare(worst, allowed)}"
        + (f". So it is in {others}" if others else "")
        + _tell_spread(wrong, nearest, order),
        remedy=_advise(culprit, code),
        reference=REFERENCE,
    )


def _weigh(culprit: Culprit, code: Code, wrong: Sequence[GradientOf], nearest: str) -> Severity:
    """How grave it is.

    It does no harm to the training where no parameter stands before it; a cut may be meant where
    every parameter still gets a gradient.
    """
    if culprit.is_surrogate:
        return "note"
    is_partial = code == "detach_inplace" and all(g.comparison.analytic for g in wrong)
    return "warning" if is_partial or not nearest else "error"


def _nearest(culprit: Culprit, wrong: Sequence[GradientOf], order: Order) -> str:
    """The wrong parameter of the culprit itself, or the last one before it; empty: there is none.

    Where no gradient is seen to be wrong in the whole network, for all that stand before are too
    small, the last one before it counts.
    """
    prefix = f"{culprit.name}." if culprit.name else ""
    own = [f"{prefix}{gradient.name}" for gradient in culprit.wrong]
    own = [name for name in own if name in order.places]
    if own:
        return own[0]
    names = [gradient.name for gradient in wrong] or list(order.places)
    before = order.before(names, culprit.name)
    return order.last(before) if before else ""


def _name_fault(culprit: Culprit, code: Code) -> str:
    module = _name_module(culprit.name, culprit.kind)
    if culprit.functions:
        names = " or ".join(culprit.functions)
        kind = "autograd.Function" if len(culprit.functions) == 1 else "autograd.Functions"
        who = f"the backward of {names} ({kind} called in {module})"
    elif code == "detach_inplace":
        return (
            f"In {module} the gradient does not flow through everything that the output is "
            f"computed from, since {' and '.join(culprit.cuts)} takes values out of "
            "the graph"
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
        return f"the loss, {kind}"
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


def _tell_spread(wrong: Sequence[GradientOf], nearest: str, order: Order) -> str:
    if not nearest:
        return ". No parameter stands before it, so none is affected yet"
    if not wrong:
        return ". In the whole network gradients are too small for it to be seen"
    last = order.last(gradient.name for gradient in wrong)
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


def _blame_place(wrong: Sequence[GradientOf], order: Order, allowed: float) -> Finding:
    """No module is wrong by itself: what the pattern over the parameters tells."""
    name = order.last(gradient.name for gradient in wrong)
    last = next(gradient for gradient in wrong if gradient.name == name)
    place = order.places[name]
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
        f"{_compare(last, allowed)}{_tell_spread(wrong, name, order)}",
        remedy="Look for detach(), .data, no_grad() or an own backward pass in and behind "
        f"{place.module or 'the model'}",
        reference=REFERENCE,
    )


def explain_function(name: str, wrong: Sequence[GradientOf], allowed: float) -> list[Finding]:
    """The finding of a bare function whose gradient is wrong, if it is."""
    return _explain_alone(
        f"The backward pass of {name} is not the derivative of its forward",
        f"Derive the backward pass of {name} again",
        wrong,
        allowed,
    )


def explain_penalty(wrong: Sequence[GradientOf], allowed: float) -> list[Finding]:
    """The finding of a penalty whose gradient is wrong, if it is."""
    return _explain_alone(
        "The gradient of the penalty is not the derivative of its value",
        "Compute the penalty from the parameters themselves, not from .data or copies",
        wrong,
        allowed,
    )


def _explain_alone(
    fault: str, remedy: str, wrong: Sequence[GradientOf], allowed: float
) -> list[Finding]:
    if not wrong:
        return []
    worst = max(wrong, key=lambda gradient: gradient.error)
    return [
        Finding(
            "wrong_backward",
            "error",
            where=worst.name,
            evidence=_measure(worst, allowed, wrong),
            cause=f"{fault}: {_compare(worst, allowed)}",
            remedy=remedy,
            reference=REFERENCE,
        )
    ]
