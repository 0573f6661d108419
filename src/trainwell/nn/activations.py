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


SPREAD, POINTS = 12.0, 20_001
"""Of the integral below: up to which deviation, and at how many points."""


@torch.no_grad()
def gain_of(activation: nn.Module | None) -> float:
    """By how much the weights before an activation are larger than 1/√fan_in.

    It keeps the mean square of the signal (He et al. 2015): 1 / √E[f(z)²] with z standard normal,
    integrated numerically. √2 for ReLU, 1 for maxout of two pieces and for what is linear, 1.59
    for tanh, where torch has 5/3. GELU and SiLU keep more of larger inputs, so that for them a
    small deviation grows from layer to layer: normalise.

    Args:
        activation: What follows the layer; None: nothing.
    """
    if activation is None:
        return 1.0
    if isinstance(activation, nn.PReLU):
        activation = nn.LeakyReLU(float(activation.weight.detach().mean()))
    # Named, since a model may be built under another default device.
    points = torch.linspace(-SPREAD, SPREAD, POINTS, dtype=torch.float64, device="cpu")
    density = torch.exp(-0.5 * points.square())
    if isinstance(activation, Maxout):
        density = density * torch.special.ndtr(points) ** (activation.pieces - 1)
        values = points
    else:
        values = activation(points.clone())
    return math.sqrt(float(density.sum() / (density * values.square()).sum()))
