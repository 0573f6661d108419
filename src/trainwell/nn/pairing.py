"""Which activation follows which layer with weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from trainwell.nn.activations import Maxout, ShiftedReLU, Threshold

WEIGHTED = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NON_LINEAR = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Tanh,
    nn.Sigmoid,
    Maxout,
    ShiftedReLU,
    Threshold,
)
FUNCTIONS: dict[Callable[..., Any] | str, type[nn.Module]] = {
    functional.relu: nn.ReLU,
    torch.relu: nn.ReLU,
    "relu": nn.ReLU,
    functional.leaky_relu: nn.LeakyReLU,
    functional.elu: nn.ELU,
    functional.gelu: nn.GELU,
    functional.silu: nn.SiLU,
    functional.tanh: nn.Tanh,
    torch.tanh: nn.Tanh,
    "tanh": nn.Tanh,
    functional.sigmoid: nn.Sigmoid,
    torch.sigmoid: nn.Sigmoid,
    "sigmoid": nn.Sigmoid,
}

Pair = tuple[nn.Module, nn.Module | None]


def weighted_layers(module: nn.Module) -> list[nn.Module]:
    """Linear and convolution layers, in the order in which they were registered."""
    return [m for m in module.modules() if isinstance(m, WEIGHTED)]


def pair_with_activations(module: nn.Module) -> list[Pair]:
    """Each layer with weights, and the activation that its outputs meet first.

    Found in the graph of the forward pass: past normalisation, pooling, sums and the like, but not
    past another layer with weights. Where the pass cannot be traced, what is registered next
    behind a layer is taken for what follows it; a module that registers no activation is taken to
    call ReLU between its layers.

    Args:
        module: Left as it is; no numbers are drawn.
    """
    graph = _trace(module)
    if graph is None:
        return _pair_in_order(module)
    modules = dict(module.named_modules())
    found: dict[int, nn.Module | None] = {}
    for node in graph.nodes:
        layer = _called(node, modules)
        if isinstance(layer, WEIGHTED) and found.get(id(layer)) is None:
            found[id(layer)] = _first_activation(node, modules)
    return [(layer, found.get(id(layer))) for layer in weighted_layers(module)]


class _Tracer(fx.Tracer):
    """Keeps layers and activations whole, ours as torch's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = isinstance(m, (*WEIGHTED, *NON_LINEAR))
        return whole or super().is_leaf_module(m, module_qualified_name)


def _trace(module: nn.Module) -> fx.Graph | None:
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        return _Tracer().trace(module)
    except Exception:
        # A forward pass of somebody else may raise anything when it is shown no tensors.
        return None
    finally:
        for part, mode in modes:
            part.training = mode


def _first_activation(start: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    waiting, seen = deque(start.users), set(start.users)
    while waiting:
        node = waiting.popleft()
        called = _called(node, modules)
        if isinstance(called, NON_LINEAR):
            return called
        if called is None and node.target in FUNCTIONS:
            return FUNCTIONS[node.target]()
        if isinstance(called, (*WEIGHTED, nn.RNNBase)):
            continue
        new = [user for user in node.users if user not in seen]
        seen.update(new)
        waiting.extend(new)
    return None


def _called(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    return modules[str(node.target)] if node.op == "call_module" else None


def _pair_in_order(module: nn.Module) -> list[Pair]:
    ordered = [m for m in module.modules() if isinstance(m, (*WEIGHTED, *NON_LINEAR))]
    shows_any = any(isinstance(m, NON_LINEAR) for m in ordered)
    last = max((i for i, m in enumerate(ordered) if isinstance(m, WEIGHTED)), default=-1)
    pairs: list[Pair] = []
    for index, layer in enumerate(ordered):
        if not isinstance(layer, WEIGHTED):
            continue
        follower = ordered[index + 1] if index + 1 < len(ordered) else None
        if isinstance(follower, NON_LINEAR):
            pairs.append((layer, follower))
        else:
            pairs.append((layer, None if shows_any or index == last else nn.ReLU()))
    return pairs


def units_of(layer: nn.Module, outputs: Tensor) -> Tensor:
    """The outputs of a layer by unit, `(units, values)`: features of the last axis, else channels.

    Args:
        layer: Of `WEIGHTED`.
        outputs: `(N, ..., F)` of a linear layer, `(N, C, ...)` of a convolution.
    """
    axis = -1 if isinstance(layer, nn.Linear) else 1
    return outputs.transpose(0, axis).flatten(1)
