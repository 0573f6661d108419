"""Initial weights that look at data: LSUV and the within-layer step of Krähenbühl et al."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainwell.nn.initialisation import initialise, zero_bias
from trainwell.nn.pairing import TRANSPOSED, units_of, weighted_layers

MOST_ROUNDS = 10
TOLERANCE = 0.05


def initialise_lsuv(module: nn.Module, inputs: Tensor) -> None:
    """Orthogonal weights, then every layer's output scaled to variance 1 (Mishkin & Matas 2015).

    Args:
        module: Changed in place, the layers one after another from the input on.
        inputs: A batch `(N, ...)` as the model sees it.
    """
    initialise(module, "orthogonal")

    def scale(layer: nn.Module, outputs: Tensor) -> bool:
        deviation = float(outputs.std())
        if deviation == 0 or abs(deviation - 1) < TOLERANCE:
            return False
        layer.weight.div_(deviation)  # pyright: ignore[reportCallIssue]
        return True

    _adjust_layers(module, inputs, scale)


def initialise_data_dependent(module: nn.Module, inputs: Tensor) -> None:
    """Every unit's output gets mean 0 and deviation 1 over the data (Krähenbühl et al. 2015).

    The within-layer step of the paper's algorithm 1: Gaussian weights, then each output channel's
    weights divided by its deviation and its bias set against its mean.

    Args:
        module: Changed in place, the layers one after another from the input on.
        inputs: A batch `(N, ...)` as the model sees it, with more examples than one.
    """
    initialise(module, "xavier")

    def normalise(layer: nn.Module, outputs: Tensor) -> bool:
        by_unit = units_of(layer, outputs)
        deviation, mean = by_unit.std(1), by_unit.mean(1)
        scale = torch.where(deviation > 0, 1 / deviation, torch.ones_like(deviation))
        _scale_units(layer, scale)
        if isinstance(layer.bias, Tensor):
            layer.bias.sub_(mean).mul_(scale)
        return False

    _adjust_layers(module, inputs, normalise)


def _scale_units(layer: nn.Module, scale: Tensor) -> None:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    kernel = [1] * (weight.ndim - 2)
    if isinstance(layer, TRANSPOSED):
        weight.unflatten(0, (layer.groups, -1)).mul_(scale.view(layer.groups, 1, -1, *kernel))
    else:
        weight.mul_(scale.view(-1, 1, *kernel))


@torch.no_grad()
def _adjust_layers(
    module: nn.Module, inputs: Tensor, adjust: Callable[[nn.Module, Tensor], bool]
) -> None:
    """Shows each layer its own outputs until it is content; evaluation mode, mode restored."""
    was_training = module.training
    module.eval()
    try:
        for layer in weighted_layers(module):
            zero_bias(layer)
            for _ in range(MOST_ROUNDS):
                outputs = _outputs_of(layer, module, inputs)
                if outputs is None or not adjust(layer, outputs):
                    break
    finally:
        module.train(was_training)


def _outputs_of(layer: nn.Module, module: nn.Module, inputs: Tensor) -> Tensor | None:
    seen: list[Tensor] = []
    handle = layer.register_forward_hook(lambda *called: seen.append(called[2]))
    try:
        module(inputs)
    finally:
        handle.remove()
    return seen[0] if seen else None
