"""Initial weights."""

from __future__ import annotations

from torch import nn


def initialise_he(module: nn.Module) -> None:
    """Weights of every linear and convolution layer from N(0, 2 / fan_in), biases zero.

    Keeps the variance of activations through ReLU layers (He et al. 2015). The last linear layer,
    which no ReLU follows, gets N(0, 1 / fan_in).

    Args:
        module: Changed in place. Other kinds of layers are left as they are.
    """
    layers = [m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    for layer in layers:
        is_last = layer is layers[-1]
        nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if is_last else "relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
