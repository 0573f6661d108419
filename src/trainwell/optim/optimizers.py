"""Optimisers by name, with parameter groups done right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn, optim
from torch.nn import Parameter

from trainwell.named_call import build_named, parse_call
from trainwell.optim import options
from trainwell.optim.kind import Construction, OptimizerKind

OPTIMIZERS: Mapping[str, OptimizerKind] = {
    "sgd": OptimizerKind(
        options.sgd,
        "Gradient descent with momentum, the rate outside the velocity",
        "Robbins & Monro 1951; Polyak 1964",
        0.1,
        5e-4,
        0.9,
    ),
    "momentum": OptimizerKind(
        options.momentum,
        "Gradient descent with momentum, the rate inside the velocity",
        "Polyak 1964; Rumelhart, Hinton & Williams 1986",
        0.1,
        5e-4,
        0.9,
    ),
    "nesterov": OptimizerKind(
        options.nesterov,
        "Momentum that looks ahead, in terms of the point looked at",
        "Nesterov 1983; Bengio et al. 2013",
        0.1,
        5e-4,
        0.9,
    ),
    "nesterov_lookahead": OptimizerKind(
        options.nesterov_lookahead,
        "Momentum that looks ahead, as first written",
        "Nesterov 1983; Sutskever et al. 2013",
        0.1,
        5e-4,
        0.9,
    ),
    "adagrad": OptimizerKind(
        options.adagrad,
        "Divides by the root of all squared gradients so far",
        "Duchi, Hazan & Singer 2011",
        1e-2,
    ),
    "adadelta": OptimizerKind(
        options.adadelta,
        "Divides by recent gradients, multiplies by recent updates",
        "Zeiler 2012",
        1.0,
    ),
    "rmsprop": OptimizerKind(
        options.rmsprop,
        "Divides by the root mean square of recent gradients",
        "Tieleman & Hinton 2012",
        1e-3,
        momentum=0.0,
    ),
    "rprop": OptimizerKind(
        options.rprop,
        "A step for each weight that grows while the gradient keeps its sign",
        "Riedmiller & Braun 1993",
        1e-2,
        weight_decay=None,
        follows_rate=False,
        whole_split=True,
    ),
    "adam": OptimizerKind(
        options.adam,
        "Momentum and RMSProp, both corrected for their start at zero",
        "Kingma & Ba 2015",
        1e-3,
    ),
    "adamw": OptimizerKind(
        options.adamw,
        "Adam with weight decay apart from the gradient",
        "Loshchilov & Hutter 2019",
        1e-3,
        1e-2,
    ),
    "amsgrad": OptimizerKind(
        options.amsgrad,
        "Adam that remembers the largest squared gradients",
        "Reddi, Kale & Kumar 2018",
        1e-3,
    ),
    "adamax": OptimizerKind(
        options.adamax,
        "Adam with the largest recent gradient in place of the root mean square",
        "Kingma & Ba 2015",
        2e-3,
    ),
    "nadam": OptimizerKind(
        options.nadam, "Adam with Nesterov's momentum", "Dozat 2016", learning_rate=2e-3
    ),
    "radam": OptimizerKind(
        options.radam, "Adam that warms up by itself", "Liu et al. 2020", learning_rate=1e-3
    ),
    "asgd": OptimizerKind(
        options.asgd,
        "Gradient descent with the slowly falling rate of averaged gradient descent",
        "Polyak & Juditsky 1992",
        0.1,
    ),
    "adafactor": OptimizerKind(
        options.adafactor,
        "Adam with little memory, relative to the size of the weights",
        "Shazeer & Stern 2018",
        1e-2,
    ),
    "muon": OptimizerKind(
        options.muon,
        "Momentum with orthogonal matrices; AdamW for biases and scales",
        "Jordan et al. 2024; Liu et al. 2025",
        1e-3,
        1e-2,
        0.95,
    ),
    "lbfgs": OptimizerKind(
        options.lbfgs,
        "Quasi-Newton steps from a short history of gradients",
        "Liu & Nocedal 1989",
        1.0,
        follows_rate=False,
        searches=True,
        whole_split=True,
    ),
    "bfgs": OptimizerKind(
        options.bfgs,
        "Quasi-Newton steps with a whole matrix, for small models",
        "Broyden, Fletcher, Goldfarb & Shanno 1970",
        1.0,
        follows_rate=False,
        searches=True,
        whole_split=True,
    ),
    "newton": OptimizerKind(
        options.newton,
        "Newton's steps with the whole Hessian, for small models",
        "Levenberg 1944; Nocedal & Wright 2006",
        1.0,
        follows_rate=False,
        searches=True,
        whole_split=True,
    ),
}

GRADIENT_DESCENT = ("sgd", "momentum", "nesterov", "nesterov_lookahead", "asgd")
"""Those whose steps grow with the gradient, so that one rate suits them all."""

FUSED_DEVICES = ("cpu", "cuda", "mps", "xpu")


@dataclass(frozen=True)
class ChosenOptimizer:
    """An optimiser with the options of a recipe.

    Attributes:
        name: A key of `OPTIMIZERS`.
        kind: What is known of it.
        construction: With its options.
    """

    name: str
    kind: OptimizerKind
    construction: Construction


def find_optimizer(text: str) -> ChosenOptimizer:
    """The optimiser that a recipe describes.

    Args:
        text: A name of `OPTIMIZERS`, with options: `"adam(beta2=0.995)"`.

    Raises:
        RecipeError: No such name or option (the near miss is named), or an impossible value.
    """
    known = {name: kind.configure for name, kind in OPTIMIZERS.items()}
    construction = build_named(text, known, "optimizer")
    name = parse_call(text, "optimizer").name
    return ChosenOptimizer(name, OPTIMIZERS[name], construction)


def build_optimizer(
    text: str,
    model: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    momentum: float | None,
    depths: Mapping[str, int] | None = None,
) -> optim.Optimizer:
    """The optimiser that a recipe describes, over the parameters of a model.

    Biases and the scales and shifts of normalisation layers are not decayed: decay is meant for
    what multiplies the inputs (Goodfellow, Bengio & Courville 2016, section 7.1).

    Args:
        text: As `find_optimizer` takes it.
        model: Its parameters that need a gradient are optimised.
        learning_rate: Of every group.
        weight_decay: Of parameters with two or more dimensions. Optimisers that search have one
            group and leave decay to the loss, which must contain it for the search.
        momentum: Where the optimiser has one.
        depths: For each parameter its depth: a group holds parameters of one, and says it under
            `"depth"`. None: all are at depth 0.

    Raises:
        RecipeError: There is no such optimiser.
        ModelError: The model is too large for it.
    """
    chosen = find_optimizer(text)
    build, settings = chosen.construction.build, dict(chosen.construction.settings)
    if chosen.kind.momentum is not None and momentum is not None:
        settings["momentum"] = momentum
        if "nesterov" in settings:
            settings["nesterov"] = momentum > 0
    parameters = [p for p in model.parameters() if p.requires_grad]
    settings |= _choose_kernel(chosen.construction, parameters)
    if chosen.kind.searches:
        groups = [{"params": parameters, "depth": 0}]
    else:
        groups = _group(model, weight_decay, depths or {})
    optimizer = build(groups, lr=learning_rate, **settings)
    if build is optim.SGD and settings.get("momentum"):
        _start_momentum_at_zero(optimizer)
    return optimizer


def _choose_kernel(construction: Construction, parameters: list[Parameter]) -> dict[str, bool]:
    if construction.kernel is None:
        return {}
    if construction.kernel == "fused" and _all_can_be_fused(parameters):
        return {"fused": True}
    return {"foreach": True}


def is_decayed(parameter: torch.Tensor) -> bool:
    """Whether it multiplies inputs: biases and normalisation have one dimension at most."""
    return parameter.ndim >= 2


def _group(
    model: nn.Module, weight_decay: float, depths: Mapping[str, int]
) -> list[dict[str, Any]]:
    """One group for each depth and for decayed and other parameters."""
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth, decays = depths.get(name, 0), is_decayed(parameter)
        decay = weight_decay if decays else 0.0
        empty = {"params": [], "weight_decay": decay, "depth": depth}
        groups.setdefault((depth, not decays), empty)["params"].append(parameter)
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
