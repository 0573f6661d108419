"""Where in a network the difference between examples is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from trainwell.findings import Code
from trainwell.training.evaluation import evaluating

VARIES, CONSTANT = 1e-6, 1e-9
"""Spread between examples as a share of the largest magnitude."""
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Threshold)
SQUASHERS = (
    nn.Sigmoid,
    nn.Tanh,
    nn.Hardtanh,
    nn.Hardsigmoid,
    nn.Softsign,
    nn.LogSigmoid,
    nn.Softmax,
    nn.LogSoftmax,
)


@dataclass(frozen=True)
class LostAt:
    """The module behind which all examples look alike.

    Attributes:
        name: Of the module.
        code: Of the fault that does it.
        reason: What is wrong with it: the end of a sentence.
    """

    name: str
    code: Code
    reason: str


@dataclass
class _Reading:
    """What goes into and comes out of modules, in the order in which they run."""

    names: list[str] = field(default_factory=list)
    modules: list[nn.Module] = field(default_factory=list)
    spreads: list[tuple[float, float]] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)


def find_lost(model: nn.Module, inputs: Tensor) -> LostAt | None:
    """The first module whose input differs between examples while its output does not.

    Args:
        model: Run in evaluation mode.
        inputs: `(n, ...)`, all different.

    Returns:
        None where the outputs differ. The name is empty where no module can be named.
    """
    with evaluating(model), torch.no_grad():
        outputs = model(inputs)
        if not isinstance(outputs, Tensor) or spread_of(outputs) > CONSTANT:
            return None
        reading = _read(model, inputs)
    for name, module, (before, after), values in zip(
        reading.names, reading.modules, reading.spreads, reading.outputs, strict=True
    ):
        if before > VARIES and after <= CONSTANT:
            return _explain(name, module, values)
    return LostAt("", "not_learning", "the model puts out the same whatever its input is")


def spread_of(values: Tensor) -> float:
    """How much values differ between examples, as a share of the largest magnitude.

    Args:
        values: `(n, ...)`.
    """
    flat = values.detach().double().reshape(len(values), -1)
    scale = float(flat.abs().max()) or 1.0
    return float((flat.amax(0) - flat.amin(0)).max()) / scale


def _read(model: nn.Module, inputs: Tensor) -> _Reading:
    reading = _Reading()
    count = len(inputs)

    def watch(name: str, module: nn.Module) -> Any:
        def note(_: nn.Module, given: tuple[Any, ...], result: Any) -> None:
            values = result[0] if isinstance(result, tuple) else result
            if _is_batch(seen := given[0] if given else None, count) and _is_batch(values, count):
                reading.names.append(name)
                reading.modules.append(module)
                reading.spreads.append((spread_of(seen), spread_of(values)))
                reading.outputs.append(values)

        return module.register_forward_hook(note)

    leaves = [(n, m) for n, m in model.named_modules() if not any(True for _ in m.children())]
    handles = [watch(name, module) for name, module in leaves]
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return reading


def _is_batch(values: Any, count: int) -> TypeGuard[Tensor]:
    return isinstance(values, Tensor) and values.ndim > 1 and len(values) == count


def _explain(name: str, module: nn.Module, outputs: Tensor) -> LostAt:
    kind = type(module).__name__
    weight = getattr(module, "weight", None)
    if isinstance(module, RECTIFIERS):
        return LostAt(name, "dying_relu", f"no unit of this {kind} is active for any example")
    if isinstance(module, SQUASHERS):
        values = f"all its outputs are {float(outputs.flatten()[0]):.3g}"
        if outputs[0].numel() > 1:
            values = "all its units are saturated"
        return LostAt(name, "saturated_units", f"this {kind} puts out constants: {values}")
    if isinstance(weight, Tensor) and weight.ndim > 1:
        largest = float(weight.detach().abs().max())
        return LostAt(name, "bad_init", f"the largest weight of this {kind} is {largest:.3g}")
    return LostAt(name, "not_learning", f"this {kind} puts out the same for every example")
