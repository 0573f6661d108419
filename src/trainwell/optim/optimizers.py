"""Optimisers by name: torch's, with parameter groups done right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn, optim
from torch.nn import Parameter


@dataclass(frozen=True)
class OptimizerKind:
    """An optimiser of torch and what suits it where the recipe leaves a field open.

    Attributes:
        build: torch's class.
        learning_rate: Its usual rate.
        weight_decay: Its usual weight decay.
        momentum: Its usual momentum; None where it has no such setting.
        options: Settings that make it this kind.
        fused: Whether torch updates all parameters in one kernel, which also can skip an update
            on the device when a gradient is not finite.
    """

    build: Any
    learning_rate: float
    weight_decay: float = 0.0
    momentum: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    fused: bool = False


OPTIMIZERS: dict[str, OptimizerKind] = {
    "sgd": OptimizerKind(optim.SGD, 0.1, 5e-4, 0.9, fused=True),
    "nesterov": OptimizerKind(optim.SGD, 0.1, 5e-4, 0.9, {"nesterov": True}, fused=True),
    "adam": OptimizerKind(optim.Adam, 1e-3, fused=True),
    "adamw": OptimizerKind(optim.AdamW, 1e-3, 1e-2, fused=True),
    "amsgrad": OptimizerKind(optim.Adam, 1e-3, options={"amsgrad": True}, fused=True),
    "adagrad": OptimizerKind(optim.Adagrad, 1e-2, fused=True),
    "adadelta": OptimizerKind(optim.Adadelta, 1.0, options={"foreach": True}),
    "adamax": OptimizerKind(optim.Adamax, 2e-3, options={"foreach": True}),
    "nadam": OptimizerKind(optim.NAdam, 2e-3, options={"foreach": True}),
    "radam": OptimizerKind(optim.RAdam, 1e-3, options={"foreach": True}),
    "rmsprop": OptimizerKind(optim.RMSprop, 1e-3, momentum=0.0, options={"foreach": True}),
}

FUSED_DEVICES = ("cpu", "cuda", "mps", "xpu")


def build_optimizer(
    name: str,
    model: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    momentum: float | None,
    depths: Mapping[str, int] | None = None,
) -> optim.Optimizer:
    """The optimiser of that name over the parameters of a model.

    Biases and the scales and shifts of normalisation layers are not decayed: decay is meant for
    what multiplies the inputs (Goodfellow, Bengio & Courville 2016, section 7.1).

    Args:
        name: A key of `OPTIMIZERS`.
        model: Its parameters that need a gradient are optimised.
        learning_rate: Of every group.
        weight_decay: Of parameters with two or more dimensions.
        momentum: Where the optimiser has one.
        depths: For each parameter its depth: a group holds parameters of one, and says it under
            `"depth"`. None: all are at depth 0.
    """
    kind = OPTIMIZERS[name]
    options = dict(kind.options)
    if kind.momentum is not None and momentum is not None:
        options["momentum"] = momentum
        options["nesterov"] = options.get("nesterov", False) and momentum > 0
        if kind.build is not optim.SGD:
            del options["nesterov"]
    parameters = [p for p in model.parameters() if p.requires_grad]
    if kind.fused and _all_can_be_fused(parameters):
        options["fused"] = True
    groups = _group(model, weight_decay, depths or {})
    optimizer = kind.build(groups, lr=learning_rate, **options)
    if kind.build is optim.SGD and options.get("momentum"):
        _start_momentum_at_zero(optimizer)
    return optimizer


def _group(
    model: nn.Module, weight_decay: float, depths: Mapping[str, int]
) -> list[dict[str, Any]]:
    """One group for each depth and for decayed and other parameters."""
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth, is_decayed = depths.get(name, 0), parameter.ndim >= 2
        decay = weight_decay if is_decayed else 0.0
        empty = {"params": [], "weight_decay": decay, "depth": depth}
        groups.setdefault((depth, not is_decayed), empty)["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def _start_momentum_at_zero(optimizer: optim.Optimizer) -> None:
    """The same first step as without; but torch leaves the buffers of a fused optimiser
    uninitialised where its very first update is skipped, as float16 often does.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def is_fused(optimizer: optim.Optimizer) -> bool:
    """Whether the optimiser updates in one kernel and can skip an update on the device."""
    return all(bool(group.get("fused")) for group in optimizer.param_groups)


def _all_can_be_fused(parameters: Iterable[Parameter]) -> bool:
    return all(p.device.type in FUSED_DEVICES and torch.is_floating_point(p) for p in parameters)
