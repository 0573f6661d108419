"""Non-linearities by name: torch's where it has them; maxout, shifted ReLU and threshold ours."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from trainwell.errors import ModelError


class Maxout(nn.Module):
    """The largest of several linear pieces (Goodfellow et al. 2013).

    With two pieces it is max(w1·x + b1, w2·x + b2): the layer before it has twice the weights.

    Args:
        pieces: Neighbouring channels of which one is kept; `(N, pieces · C, ...)` goes in,
            `(N, C, ...)` comes out.
    """

    def __init__(self, pieces: int = 2) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, values: Tensor) -> Tensor:
        return values.unflatten(1, (-1, self.pieces)).amax(2)


class ShiftedReLU(nn.Module):
    """max(−1, x): ReLU with its kink moved so that the mean output is nearer to zero."""

    def forward(self, values: Tensor) -> Tensor:
        return values.clamp(min=-1.0)


class Threshold(nn.Module):
    """1 where x ≥ 0, else `low`: the unit of McCulloch & Pitts (1943) or, with −1, the sign.

    It has no gradient: only rules that need none can train through it.

    Args:
        low: Output below zero, 0 or −1.
    """

    def __init__(self, low: float = 0.0) -> None:
        super().__init__()
        self.low = low

    def forward(self, values: Tensor) -> Tensor:
        return torch.where(values >= 0, 1.0, self.low).to(values.dtype)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.01),
    "prelu": nn.PReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "shifted_relu": ShiftedReLU,
    "maxout": Maxout,
    "linear": nn.Identity,
    "threshold": Threshold,
    "sign": partial(Threshold, -1.0),
}

PIECES = {"maxout": 2}
"""How many units before the activation become one behind it, where that is not one."""


def make_activation(name: str, slope: float | None = None) -> nn.Module:
    """The activation of that name.

    Args:
        name: Of `ACTIVATIONS`.
        slope: Of `leaky_relu` (0.01 where not given) and the start of `prelu` (0.25), or alpha of
            `elu` (1).

    Raises:
        ModelError: There is none of that name, or it has no slope.
    """
    if name not in ACTIVATIONS:
        near = difflib.get_close_matches(name, ACTIVATIONS, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ModelError(
            f"there is no activation {name!r}", remedy=f"{hint}Known: {', '.join(ACTIVATIONS)}"
        )
    if slope is None:
        return ACTIVATIONS[name]()
    if name == "leaky_relu":
        return nn.LeakyReLU(slope)
    if name == "prelu":
        return nn.PReLU(init=slope)
    if name == "elu":
        return nn.ELU(slope)
    raise ModelError(f"{name} has no slope", remedy="Leave it out, or use leaky_relu, prelu or elu")


def gain_of(activation: nn.Module | None) -> float:
    """By how much the weights before an activation are larger than 1/√fan_in.

    It keeps the mean square of the signal: √2 for ReLU (He et al. 2015), 5/3 for tanh as torch
    has it, 1 for what is nearly linear around zero.

    Args:
        activation: What follows the layer; None: nothing.
    """
    if isinstance(activation, nn.ReLU | nn.ReLU6 | Maxout):
        return math.sqrt(2.0)
    if isinstance(activation, nn.LeakyReLU):
        return nn.init.calculate_gain("leaky_relu", activation.negative_slope)
    if isinstance(activation, nn.PReLU):
        return nn.init.calculate_gain("leaky_relu", float(activation.weight.detach().mean()))
    if isinstance(activation, nn.ELU | nn.GELU | nn.SiLU | ShiftedReLU):
        return math.sqrt(2.0)
    if isinstance(activation, nn.Tanh):
        return nn.init.calculate_gain("tanh")
    return 1.0
