"""Fixup: initial weights with which residual networks need no normalisation (Zhang et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from trainwell.nn.initialisation import initialise, zero_bias
from trainwell.nn.pairing import weighted_layers


@torch.no_grad()
def initialise_fixup(module: nn.Module, branches: Sequence[nn.Module]) -> None:
    """He's weights, smaller within residual branches, the last of each branch and of all zero.

    With L branches of m layers, those before the last of a branch are multiplied by
    L^(−1 / (2m − 2)): one step of the training then changes the outputs by as much as in a shallow
    network, however many branches there are. At the start every branch adds nothing.

    The paper also has a scalar bias before every layer and activation and a scalar factor in every
    branch, which are layers of the model's own: see `models.fixup_resnet`.

    Args:
        module: A whole network, changed in place. Its last layer puts out the scores.
        branches: Its residual branches, each with its layers in their order. A layer on a shortcut
            is part of none.
    """
    initialise(module, "he")
    for branch in branches:
        *inner, last = weighted_layers(branch)
        for layer in inner:
            layer.weight.mul_(len(branches) ** (-1 / (2 * len(inner))))  # pyright: ignore
        _set_to_zero(last)
    _set_to_zero(weighted_layers(module)[-1])


def _set_to_zero(layer: nn.Module) -> None:
    nn.init.zeros_(layer.weight)  # pyright: ignore[reportArgumentType]
    zero_bias(layer)
