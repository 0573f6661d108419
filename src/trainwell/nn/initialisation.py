"""Initial weights."""

from __future__ import annotations

import math

import torch
from torch import nn


def initialise_he(module: nn.Module) -> None:
    """Weights of every linear and convolution layer from N(0, 2 / fan_in), biases zero.

    Keeps the variance of activations through ReLU layers (He et al. 2015). The last layer, which
    no ReLU follows, gets N(0, 0.01 / fan_in): its outputs start near zero, so that the first loss
    is what chance predicts.

    Args:
        module: Changed in place. Other kinds of layers are left as they are.
    """
    layers = [m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer is layers[-1]:
            with torch.no_grad():
                layer.weight.mul_(0.1 / math.sqrt(2))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
