"""Normalisation by name, and folding batch normalisation into the layer before it.

It stands after the weighted sum and before the non-linearity (Ioffe & Szegedy 2015).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils import fusion

from trainwell.errors import ModelError


def _batch(channels: int, dimensions: int) -> nn.Module:
    """Over N for units; over N, H and W for channels (Ioffe & Szegedy 2015)."""
    return {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dimensions](
        channels
    )


def _layer(channels: int, dimensions: int) -> nn.Module:
    """Over all of one example (Ba, Kiros & Hinton 2016), with a scale and shift per channel."""
    return nn.LayerNorm(channels) if dimensions == 0 else nn.GroupNorm(1, channels)


def _instance(channels: int, dimensions: int) -> nn.Module:
    """Over the pixels of one channel of one example (Ulyanov et al. 2016)."""
    if dimensions == 0:
        raise ModelError(
            "instance normalisation needs more than one value for each channel",
            remedy="Use layer or group normalisation for vectors",
        )
    return {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}[dimensions](
        channels, affine=True
    )


def _group(channels: int, dimensions: int) -> nn.Module:
    """Over groups of channels of one example (Wu & He 2018): 32 of them, or as many as divide."""
    groups = next(g for g in (32, 16, 8, 4, 2, 1) if (channels % g == 0 and g < channels) or g == 1)
    return nn.GroupNorm(groups, channels)


NORMALISATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "batch": _batch,
    "layer": _layer,
    "instance": _instance,
    "group": _group,
    "none": lambda channels, dimensions: nn.Identity(),
}


def make_normalisation(name: str, channels: int, dimensions: int) -> nn.Module:
    """The normalisation of that name.

    Args:
        name: `"batch"`, `"layer"`, `"instance"`, `"group"` or `"none"`.
        channels: Of `(N, channels, ...)`.
        dimensions: How many follow the channels: 0 for units, 2 for images.

    Raises:
        ModelError: There is none of that name, or it does not suit.
    """
    if name not in NORMALISATIONS:
        raise ModelError(
            f"there is no normalisation {name!r}", remedy=f"Known: {', '.join(NORMALISATIONS)}"
        )
    return NORMALISATIONS[name](channels, dimensions)


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """The same function in evaluation mode, with batch normalisation folded into layers before it.

    A normalisation directly behind a linear or convolution layer that nothing else reads becomes
    part of that layer's weights (Ioffe & Szegedy 2015, section 3.1, made permanent). Others, such
    as those before the first layer of a pre-activation block, stay, and so does one whose layer is
    called in several places. Dropout, which does nothing then, is taken out.

    Args:
        model: Not changed. Must be traceable by `torch.fx`.

    Returns:
        A new module in evaluation mode with fewer modules. It cannot be trained as the old one.

    Raises:
        ModelError: The forward pass depends on the data in a way that cannot be traced.
    """
    original = copy.deepcopy(model).eval()
    try:
        traced = fx.symbolic_trace(original)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelError(
            f"the forward pass cannot be traced: {str(error).splitlines()[0]}",
            remedy="Fold the parts of the model that are plain sequences",
        ) from error
    modules: dict[str, nn.Module] = dict(traced.named_modules())
    _take_out_dropout(traced.graph, modules)
    for node in list(traced.graph.nodes):
        fused = _fuse(node, modules)
        if fused is None:
            continue
        layer = node.args[0]
        _replace_module(traced, str(layer.target), fused)
        node.replace_all_uses_with(layer)
        traced.graph.erase_node(node)
    traced.graph.lint()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _take_out_dropout(graph: fx.Graph, modules: dict[str, nn.Module]) -> None:
    for node in list(graph.nodes):
        if isinstance(_called(node, modules), _DropoutNd | nn.Identity):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def _fuse(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    """The layer before a normalisation with the normalisation in it, if they can be one."""
    norm = _called(node, modules)
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        return None
    before: Any = node.args[0]
    layer = _called(before, modules)
    if layer is None or len(before.users) > 1 or norm.running_mean is None:
        return None
    if _count_calls(before) > 1:
        return None
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return fusion.fuse_conv_bn_eval(layer, norm)
    if isinstance(layer, nn.Linear):
        return fusion.fuse_linear_bn_eval(layer, norm)
    return None


def _count_calls(node: fx.Node) -> int:
    """How many nodes call the module that this node calls; a shared module has one name."""
    return sum(n.op == "call_module" and n.target == node.target for n in node.graph.nodes)


def _called(node: Any, modules: dict[str, nn.Module]) -> nn.Module | None:
    if isinstance(node, fx.Node) and node.op == "call_module":
        return modules[str(node.target)]
    return None


def _replace_module(traced: fx.GraphModule, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(traced.get_submodule(parent), child, module)


@torch.no_grad()
def count_modules(model: nn.Module) -> int:
    """How many modules without children there are."""
    return sum(1 for m in model.modules() if not list(m.children()))
