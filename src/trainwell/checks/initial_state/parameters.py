"""Whether every parameter gets a gradient."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from trainwell.checks.initial_state.first_pass import FirstPass, first_pass
from trainwell.checks.initial_state.initial_weights import names_of
from trainwell.checks.initial_state.trial_steps import trial_steps
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.findings import Code, Finding

CHECK = "parameters and their gradients"
STEPS = ("round", "sign", "floor", "ceil")


def check_parameters(subject: Subject) -> Sequence[Verdict]:
    """Looks at which parameters a backward pass reaches.

    Args:
        subject: Whose model makes one pass on a replica.
    """
    first = subject.once(first_pass)
    trainable = [name for name, p in first.model.named_parameters() if p.requires_grad]
    total = sum(1 for _ in first.model.parameters())
    expected = "every parameter that is to be trained gets a gradient"
    if not trainable:
        seen = f"{total} parameters, none of them trainable"
        return [Verdict(CHECK, seen, expected, tuple(_find_frozen(total)))]
    if first.failed == "backward":
        return [Verdict(CHECK, "no gradient", expected, (_backward_failed(first),))]
    if not first.is_complete:
        return [skip(CHECK, first.error)]
    without = [name for name, norm in first.gradients.items() if norm is None]
    seen = f"{len(trainable) - len(without)} of {len(trainable)} trainable parameters"
    if len(trainable) < total:
        seen += f", {total - len(trainable)} frozen"
    findings = [] if first.has_own_objective else _find_unreached(subject, first, without)
    if not findings and not first.has_own_objective:
        findings = _find_stuck(subject, first)
    return [Verdict(CHECK, seen, expected, tuple(findings))]


def _find_frozen(total: int) -> list[Finding]:
    if not total:
        return []
    return [
        Finding(
            "frozen_params",
            "error",
            evidence={"parameters": float(total)},
            cause=f"None of the {total} parameters asks for a gradient (requires_grad is False): "
            "nothing can be trained.",
            remedy="Set requires_grad to True for the layers that are to be trained.",
        )
    ]


def _backward_failed(first: FirstPass) -> Finding:
    error = first.error
    code: Code = "wrong_backward"
    remedy = "Look at the backward pass of your own functions."
    if "does not require grad" in error:
        code = "detach_inplace"
        remedy = "Leave out what cuts the graph" + _tell_cuts(first) + "."
    elif "inplace operation" in error or "in-place" in error:
        code = "detach_inplace"
        remedy = "Replace operations that change a tensor in place (+=, relu_, x[i] = ...)."
    elif "Found dtype" in error:
        code = "wrong_loss"
        remedy = "Give targets of the type of the outputs, such as targets.float()."
    return Finding(code, "error", cause=f"The backward pass fails: {error}", remedy=remedy)


def _tell_cuts(first: FirstPass) -> str:
    """Functions in the forward pass through which no gradient comes, for people."""
    seen = dict.fromkeys(
        f"{name} {where}".strip()
        if where.startswith("after")
        else f"{name} in {where or 'forward'}"
        for name, where in first.record.cuts
        if name not in STEPS
    )
    return f" ({', '.join(list(seen)[:3])})" if seen else ""


def _find_unreached(subject: Subject, first: FirstPass, without: Sequence[str]) -> list[Finding]:
    """Parameters without any gradient: used behind a cut, or not used at all."""
    parameters = dict(first.model.named_parameters())
    trained = _trained_by_optimizer(subject)
    wanted = [name for name in without if trained is None or name in trained]
    cut = [name for name in wanted if id(parameters[name]) in first.record.used]
    unused = [name for name in wanted if id(parameters[name]) not in first.record.used]
    found = []
    if cut:
        found.append(
            Finding(
                "detach_inplace",
                "error",
                names_of(cut),
                evidence=_count(cut, parameters),
                cause=f"{len(cut)} parameters take part in the forward pass but get no gradient: "
                f"the graph is cut behind them{_tell_cuts(first)}.",
                remedy="Leave out detach, no_grad, .data, .item, argmax and numpy between them and "
                "the loss; freeze on purpose with requires_grad_(False).",
            )
        )
    if unused:
        found.append(
            Finding(
                "frozen_params",
                "warning",
                names_of(unused),
                evidence=_count(unused, parameters),
                cause=f"{len(unused)} parameters are registered but have no part in the forward "
                "pass.",
                remedy="Use these layers in forward, or remove them.",
            )
        )
    return found


def _count(names: Sequence[str], parameters: dict[str, nn.Parameter]) -> dict[str, float]:
    return {
        "parameters": float(len(names)),
        "values": float(sum(parameters[name].numel() for name in names)),
        "share": len(names) / len(parameters),
    }


def _trained_by_optimizer(subject: Subject) -> set[str] | None:
    """Names of the parameters that the optimiser holds; None: all of them, or it is not given."""
    if subject.optimizer is None:
        return None
    held = {id(p) for group in subject.optimizer.param_groups for p in group["params"]}
    return {name for name, p in subject.model.named_parameters() if id(p) in held} or None


def _find_stuck(subject: Subject, first: FirstPass) -> list[Finding]:
    """Weights that are not zero and whose gradient is exactly zero, for all examples and always."""
    parameters: dict[str, Tensor] = dict(first.model.named_parameters())
    stuck = [n for n in subject.once(trial_steps).stuck if bool(parameters[n].detach().any())]
    if first.inputs.ndim < 3 or first.inputs.shape[1] == 1:
        # A sequence of one step starts from a state of zero, which no recurrent weight changes.
        stuck = [name for name in stuck if ".weight_hh_" not in f".{name}"]
    is_zero_elsewhere = any(
        not bool(parameters[n].detach().any()) for n in subject.once(trial_steps).stuck
    )
    is_dead = any(activation.dead == 1 for activation in first.record.activations)
    # Zero weights and dead units are named where they are looked at.
    if not stuck or is_zero_elsewhere or is_dead:
        return []
    steps = [f"{name} {where}".strip() for name, where in first.record.cuts if name in STEPS]
    code: Code = "detach_inplace" if steps else "vanishing_gradient"
    why = f" behind {steps[0]}, which is flat" if steps else ""
    return [
        Finding(
            code,
            "error",
            names_of(stuck),
            evidence={"parameters": float(len(stuck))},
            cause=f"The gradient of {len(stuck)} weights is exactly zero for all examples{why}.",
            remedy="Let the loss depend on them through functions that have a slope.",
        )
    ]
