"""What the re-implemented tools look at: the layers of a network while it trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.findings import Code, Finding

BATCH_SIZE = 32
ACTIVATIONS = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.GELU,
    nn.Softplus,
    nn.Softmax,
    nn.LogSoftmax,
)


@dataclass
class Layer:
    """A module without parts, and what went in and out the last time in training mode."""

    name: str
    module: nn.Module
    inputs: Tensor | None = None
    outputs: Tensor | None = None


@dataclass
class Observation:
    """The layers of a model, in the order of their first use."""

    model: nn.Module
    layers: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, module in self.model.named_modules():
            if not any(module.children()):
                module.register_forward_hook(self._note(Layer(name, module)))

    def _note(self, layer: Layer) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
            if not torch.is_grad_enabled():
                return
            first = outputs[0] if isinstance(outputs, tuple) else outputs
            layer.inputs = inputs[0].detach() if inputs else None
            layer.outputs = first.detach()
            if not any(known is layer for known in self.layers):
                self.layers.append(layer)

        return hook

    @property
    def weights(self) -> list[tuple[str, nn.Parameter]]:
        """Matrices and filters that are to learn; no biases, no scales of a normalisation."""
        return [
            (name, parameter)
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad and parameter.ndim > 1
        ]


def tell(code: Code, cause: str, where: str = "") -> Finding:
    """A finding as all re-implemented tools give it."""
    return Finding(code, "warning", where=where, cause=cause)


def share_right(outputs: Any, targets: Any) -> float | None:
    """The share of right answers of a batch of classifications; None where it is none."""
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor) or outputs.ndim != 2:
        return None
    if outputs.shape[1] > 1 and targets.ndim == 1 and not targets.is_floating_point():
        return (outputs.argmax(1) == targets).float().mean().item()
    if outputs.shape == targets.shape and set(targets.unique().tolist()) <= {0.0, 1.0}:
        middle = 0.5 if bool(((outputs >= 0) & (outputs <= 1)).all()) else 0.0
        return ((outputs > middle) == (targets > 0.5)).float().mean().item()
    return None
