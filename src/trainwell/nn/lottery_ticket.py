"""Lottery tickets: a small part of a trained network, rewound to its initial weights.

Frankle & Carbin (2019): train, keep the largest weights, set them back to where they started,
train again.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from trainwell.errors import ModelError
from trainwell.nn.pairing import weighted_layers


def find_ticket(trained: nn.Module, keep: float) -> dict[str, Tensor]:
    """Which weights are the largest after the training.

    Args:
        trained: The network at the end of its training.
        keep: Share of all weights of linear and convolution layers that stay, in (0, 1].

    Returns:
        For the name of each weight a mask of its shape, 1 where it stays. Magnitudes are compared
        over all layers but the last; of the last, half the share is removed, as the paper does.

    Raises:
        ModelError: `keep` is no such share.
    """
    if not 0 < keep <= 1:
        raise ModelError(f"keep must be above 0 and at most 1, not {keep:g}")
    weights = _weights(trained)
    *hidden, last = weights
    sizes = torch.cat([weights[name].abs().flatten() for name in hidden or [last]])
    removed = round((1 - keep) * sizes.numel())
    limit = sizes.kthvalue(removed).values if removed else sizes.new_tensor(-1.0)
    masks = {name: (weights[name].abs() > limit).to(weights[name].dtype) for name in hidden}
    removed = round((1 - keep) / 2 * weights[last].numel())
    size = weights[last].abs()
    limit = size.flatten().kthvalue(removed).values if removed else size.new_tensor(-1.0)
    return {**masks, last: (size > limit).to(size.dtype)}


def apply_ticket(
    model: nn.Module, masks: Mapping[str, Tensor], initial: Mapping[str, Tensor]
) -> None:
    """Rewinds a network to its initial weights and keeps the masked ones at zero.

    Args:
        model: Changed in place; masked through `torch.nn.utils.prune`, so that training leaves
            the removed weights at zero. `prune.remove` makes it permanent.
        masks: Of `find_ticket`.
        initial: The `state_dict` from before the training.
    """
    model.load_state_dict(dict(initial))
    for name, mask in masks.items():
        layer, _, parameter = name.rpartition(".")
        prune.custom_from_mask(model.get_submodule(layer), parameter, mask)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    layers = {id(layer) for layer in weighted_layers(model)}
    return {
        f"{name}.weight" if name else "weight": module.weight.detach()  # pyright: ignore
        for name, module in model.named_modules()
        if id(module) in layers
    }
