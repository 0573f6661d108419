"""Whether all parameters that have a part in the loss are registered and in the optimiser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from trainwell.checks.initial_state.first_pass import FirstPass, first_pass
from trainwell.checks.initial_state.initial_weights import names_of
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding

CHECK = "parameters and the optimiser"
DEEPEST = 4
"""Levels of lists and dictionaries within which hidden parameters are looked for."""


def check_trained_parameters(subject: Subject) -> Sequence[Verdict]:
    """Compares what the forward pass uses, what the model registers and what the optimiser holds.

    Args:
        subject: Whose model makes one pass on a replica.
    """
    first = subject.once(first_pass)
    hidden = find_hidden(subject.model, first)
    findings = _find_unregistered(subject, hidden)
    registered = sum(1 for p in subject.model.parameters() if p.requires_grad)
    seen = f"{registered} trainable"
    if hidden:
        seen += f", {len(hidden)} not registered"
    if subject.optimizer is not None:
        held = [p for group in subject.optimizer.param_groups for p in group["params"]]
        findings += _find_not_held(subject.model, held)
        seen += f", {len(held)} in the optimiser"
    return [Verdict(CHECK, seen, "the optimiser holds all of them", tuple(findings))]


def find_hidden(model: nn.Module, first: FirstPass) -> dict[str, Tensor]:
    """Trainable tensors that the model uses, by name, but does not register.

    Args:
        model: Whose attributes are searched: plain lists, tuples and dictionaries are not seen by
            `parameters()`.
        first: A pass of a replica of it, for those that are no attributes, such as layers made
            within `forward`.
    """
    registered = {id(p) for p in model.parameters()} | {id(b) for b in model.buffers()}
    found: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        for attribute, value in vars(module).items():
            if attribute not in ("_parameters", "_modules", "_buffers"):
                for where, tensor in _search(value, prefix + attribute, DEEPEST):
                    if id(tensor) not in registered:
                        registered.add(id(tensor))
                        found[where] = tensor
    own = {id(p) for p in first.model.parameters()} | {id(b) for b in first.model.buffers()}
    own |= {id(p) for p in model.parameters()} | {id(first.inputs)}
    passing = [
        p
        for p in first.record.parameters
        if isinstance(p, nn.Parameter) and id(p) not in own and id(p) not in registered
    ]
    # A replica has copies of what was found among the attributes.
    shapes = [tensor.shape for tensor in found.values()]
    for number, parameter in enumerate(passing):
        if parameter.shape in shapes:
            shapes.remove(parameter.shape)
        else:
            found[f"parameter {number} made or found within forward"] = parameter
    return found


def _search(value: Any, where: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        if value.requires_grad and value.is_leaf:
            yield where, value
    elif isinstance(value, nn.Module):
        for name, parameter in value.named_parameters():
            if parameter.requires_grad:
                yield f"{where}.{name}", parameter
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for place, item in enumerate(value):
            yield from _search(item, f"{where}[{place}]", depth - 1)
    elif depth and isinstance(value, dict):
        for key, item in value.items():
            yield from _search(item, f"{where}[{key!r}]", depth - 1)


def _find_unregistered(subject: Subject, hidden: dict[str, Tensor]) -> list[Finding]:
    if not hidden:
        return []
    optimizer = subject.optimizer
    groups = [] if optimizer is None else optimizer.param_groups
    held = {id(p) for group in groups for p in group["params"]}
    is_held = all(id(tensor) in held for tensor in hidden.values())
    names = list(hidden)
    values = sum(tensor.numel() for tensor in hidden.values())
    effect = (
        "the optimiser holds them, but they are neither saved nor moved with the model"
        if is_held
        else "model.parameters() does not have them, so that they are never trained"
    )
    return [
        Finding(
            "frozen_params",
            "note" if is_held else "error",
            names_of(names),
            evidence={"parameters": float(len(names)), "values": float(values)},
            cause=f"{len(names)} trainable tensors ({values} values) are no registered parameters "
            f"of the model: {effect}.",
            remedy="Use nn.ModuleList, nn.ModuleDict or nn.ParameterList for lists of layers, "
            "nn.Parameter for tensors, and make layers in __init__.",
        )
    ]


def _find_not_held(model: nn.Module, held: Sequence[Tensor]) -> list[Finding]:
    numbers = {id(p) for p in held}
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    missing = [name for name, p in trainable.items() if id(p) not in numbers]
    if not missing:
        return []
    evidence = {
        "missing": float(len(missing)),
        "trainable": float(len(trainable)),
        "held": float(len(held)),
    }
    if len(missing) == len(trainable):
        cause = (
            f"The optimiser holds {len(held)} parameters, none of which is the model's: it was "
            "made for another model, or before the layers were replaced or copied."
        )
    else:
        cause = (
            f"{len(missing)} of {len(trainable)} trainable parameters are not in the optimiser: "
            "they never change."
        )
    return [
        Finding(
            "frozen_params",
            "error",
            names_of(missing),
            evidence=evidence,
            cause=cause,
            remedy="Make the optimiser with model.parameters() after the model is complete; freeze "
            "on purpose with requires_grad_(False).",
        )
    ]
