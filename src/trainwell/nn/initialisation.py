"""Initial weights, as functions over a module that pick by layer and by activation."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainwell.errors import ModelError
from trainwell.nn.activations import gain_of
from trainwell.nn.pairing import TRANSPOSED, Pair, pair_with_activations, weighted_layers

Activation = nn.Module | None
Draw = Callable[[Tensor, float, float, Activation], object]
"""Fills a weight, given its fan-in, its fan-out and the activation that follows."""


def fans(layer: nn.Module) -> tuple[float, float]:
    """Inputs of one output and outputs of one input: kernel area times channels for a convolution.

    Of a transposed convolution with a stride only one in so many taps meets a value, so that as
    many fewer inputs count.

    Args:
        layer: With weights `(out, in)` or `(out, in / groups, *kernel)`; transposed
            `(in, out / groups, *kernel)`.
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    area = math.prod(weight.shape[2:])
    own, shared = weight.shape[0] / int(getattr(layer, "groups", 1)), weight.shape[1]
    if isinstance(layer, TRANSPOSED):
        return own * area / math.prod(layer.stride), shared * area
    return shared * area, own * area


def _normal(deviation: float) -> Draw:
    return lambda weight, fan_in, fan_out, activation: nn.init.normal_(weight, 0.0, deviation)


def _xavier(weight: Tensor, fan_in: float, fan_out: float, activation: Activation) -> None:
    nn.init.normal_(weight, 0.0, 1 / math.sqrt(fan_in))


def _glorot_uniform(scale: float) -> Draw:
    def draw(weight: Tensor, fan_in: float, fan_out: float, activation: Activation) -> None:
        bound = scale * math.sqrt(6 / (fan_in + fan_out))
        nn.init.uniform_(weight, -bound, bound)

    return draw


def _glorot_normal(weight: Tensor, fan_in: float, fan_out: float, activation: Activation) -> None:
    nn.init.normal_(weight, 0.0, math.sqrt(2 / (fan_in + fan_out)))


def _he(weight: Tensor, fan_in: float, fan_out: float, activation: Activation) -> None:
    nn.init.normal_(weight, 0.0, math.sqrt(2 / fan_in))


def _by_activation(weight: Tensor, fan_in: float, fan_out: float, activation: Activation) -> None:
    if isinstance(activation, nn.Sigmoid | nn.Tanh):
        _glorot_normal(weight, fan_in, fan_out, activation)
    else:
        nn.init.normal_(weight, 0.0, gain_of(activation) / math.sqrt(fan_in))


def _orthogonal(weight: Tensor, fan_in: float, fan_out: float, activation: Activation) -> None:
    nn.init.orthogonal_(weight, gain_of(activation))


def _random_walk(weight: Tensor, fan_in: float, fan_out: float, activation: Activation) -> None:
    if activation is None or isinstance(activation, nn.Identity):
        gain = math.exp(1 / (2 * fan_in))
    elif isinstance(activation, nn.ReLU):
        gain = math.sqrt(2) * math.exp(1.2 / (max(fan_in, 6) - 2.4))
    else:
        raise ModelError(
            f"random_walk knows no gain for {type(activation).__name__}",
            remedy="It is for ReLU and linear layers; use orthogonal or lsuv",
        )
    nn.init.normal_(weight, 0.0, gain / math.sqrt(fan_in))


SCHEMES: dict[str, Draw] = {
    "zero": lambda weight, fan_in, fan_out, activation: nn.init.zeros_(weight),
    "constant": lambda weight, fan_in, fan_out, activation: nn.init.constant_(weight, 0.01),
    "small_normal": _normal(0.01),
    "unit_normal": _normal(1.0),
    "xavier": _xavier,
    "glorot_uniform": _glorot_uniform(1.0),
    "glorot_normal": _glorot_normal,
    "glorot_sigmoid": _glorot_uniform(4.0),
    "glorot_relu": _glorot_uniform(math.sqrt(2)),
    "he": _he,
    "auto": _by_activation,
    "orthogonal": _orthogonal,
    "random_walk": _random_walk,
}
"""Sources: `xavier` N(0, 1/fan_in) (LeCun et al. 1998); `glorot_*` (Glorot & Bengio 2010), with the
factor 4 that the lectures give for the S-shaped units and √2 for ReLU; `he` (He et al. 2015);
`orthogonal` (Saxe et al. 2013); `random_walk` (Sussillo & Abbott 2014)."""

PICKING = ("auto", "orthogonal", "random_walk")
"""Schemes that ask for the activation; for the others nothing needs to be traced."""


@torch.no_grad()
def initialise(module: nn.Module, scheme: str) -> None:
    """Fills the weights of every linear and convolution layer; biases become zero.

    Args:
        module: Changed in place; draws from torch's default generator. Other layers stay.
        scheme: Of `SCHEMES`.

    Raises:
        ModelError: There is no such scheme, or it does not suit an activation.
    """
    if scheme not in SCHEMES:
        near = difflib.get_close_matches(scheme, SCHEMES, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ModelError(
            f"there is no initialisation {scheme!r}", remedy=f"{hint}Known: {', '.join(SCHEMES)}"
        )
    plain: list[Pair] = [(layer, None) for layer in weighted_layers(module)]
    for layer, activation in pair_with_activations(module) if scheme in PICKING else plain:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        SCHEMES[scheme](weight, *fans(layer), activation)
        zero_bias(layer)


def zero_bias(layer: nn.Module) -> None:
    """Sets the bias of a layer to zero, if it has one."""
    if isinstance(layer.bias, Tensor):
        nn.init.zeros_(layer.bias)


@torch.no_grad()
def initialise_he(module: nn.Module) -> None:
    """Weights of every linear and convolution layer from N(0, 2 / fan_in), biases zero.

    Keeps the variance of activations through ReLU layers (He et al. 2015). The last layer, which
    no ReLU follows, gets N(0, 0.01 / fan_in): its outputs start near zero, so that the first loss
    is what chance predicts.

    Args:
        module: Changed in place. Other kinds of layers are left as they are.
    """
    initialise(module, "he")
    shrink_outputs(module)


@torch.no_grad()
def initialise_glorot(module: nn.Module) -> None:
    """As `initialise_he`, with the normal draw of Glorot & Bengio (2010) for S-shaped units."""
    initialise(module, "glorot_normal")
    shrink_outputs(module, 0.1)


@torch.no_grad()
def shrink_outputs(module: nn.Module, factor: float = 0.1 / math.sqrt(2)) -> None:
    """Makes the weights of the last layer smaller, so that the outputs start near zero."""
    layers = weighted_layers(module)
    if layers:
        layers[-1].weight.mul_(factor)  # pyright: ignore[reportCallIssue]
