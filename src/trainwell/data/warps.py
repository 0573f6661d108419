"""Images turned, stretched and bent: each pixel of the result is taken from another place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainwell.data.draw import Draw

Move = Callable[[Tensor, Draw], Tensor]
"""Places `(N, 2, H, W)` in pixels from the centre, x before y, in; where they come from out."""


@dataclass(frozen=True)
class Warp:
    """An augmentation that moves pixels, and fills with zeros what comes from outside.

    Attributes:
        moves: In the order in which they happen to the image. Several share one resampling, which
            is cheaper and blurs less than one after the other.
    """

    moves: tuple[Move, ...]

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        """Images `(N, C, H, W)` in, images of the same shape out; bilinear."""
        height, width = images.shape[2:]
        places = centred_places(height, width, images.device).expand(len(images), -1, -1, -1)
        # What happened to the image last is the first step of the way back.
        for move in reversed(self.moves):
            places = move(places, draw)
        x, y = places.unbind(1)
        # The corners of the image are at −1 and 1.
        grid = torch.stack([x * (2 / width), y * (2 / height)], dim=-1)
        return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)

    def then(self, later: Warp) -> Warp:
        """This one and another after it, in one resampling."""
        return Warp((*self.moves, *later.moves))


def rotate(degrees: float = 15.0) -> Warp:
    """Turns each image about its centre by an angle drawn evenly.

    Args:
        degrees: Largest angle, in either direction.
    """
    if not 0 <= degrees <= 360:
        raise ValueError(f"degrees must be between 0 and 360, not {degrees:g}")
    most = math.radians(degrees)

    def move(places: Tensor, draw: Draw) -> Tensor:
        return turn(places, draw.uniform(-most, most))

    return Warp((move,))


def turn(places: Tensor, angles: Tensor) -> Tensor:
    """Places turned about the centre.

    Args:
        places: `(N, 2, H, W)`, x before y.
        angles: In radians, `(N,)`.
    """
    cosine, sine = angles.cos()[:, None, None], angles.sin()[:, None, None]
    x, y = places.unbind(1)
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=1)


def scale(share: float = 0.1) -> Warp:
    """Enlarges or shrinks each image about its centre by a factor drawn evenly.

    Args:
        share: The factor is between 1 − share and 1 + share; in [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must be at least 0 and below 1, not {share:g}")

    def move(places: Tensor, draw: Draw) -> Tensor:
        return places / draw.uniform(1 - share, 1 + share, 1, 1, 1)

    return Warp((move,))


def elastic(alpha: float = 34.0, sigma: float = 4.0) -> Warp:
    """Bends each image by a smooth random field (Simard, Steinkraus & Platt 2003).

    Both parts of each pixel's displacement are drawn evenly from [−1, 1], blurred with a Gaussian
    and multiplied. The defaults are the authors' for handwritten digits of about 28 pixels, and
    move a pixel by about 1.4.

    Args:
        alpha: What the blurred field is multiplied by, in pixels.
        sigma: Standard deviation of the Gaussian, in pixels.
    """
    if not (alpha >= 0 and sigma > 0):
        raise ValueError("alpha must be at least 0 and sigma above 0")

    def move(places: Tensor, draw: Draw) -> Tensor:
        # The field is at the result's pixels wherever they come from: it is as random there.
        return places + alpha * blur(draw.uniform(-1, 1, *places.shape[1:]), sigma)

    return Warp((move,))


def blur(fields: Tensor, sigma: float) -> Tensor:
    """Fields `(..., H, W)` blurred with a Gaussian; zero outside.

    Along one side this is a product with a `(side, side)` matrix: two small products for all fields
    at once cost less than convolutions.
    """
    height, width = fields.shape[-2:]
    down = _gaussian_matrix(height, sigma, fields.device)
    return down @ fields @ _gaussian_matrix(width, sigma, fields.device)


def centred_places(height: int, width: int, device: torch.device) -> Tensor:
    """The pixels' own places `(2, H, W)`, in pixels from the centre, x before y."""
    y = torch.arange(height, device=device) - (height - 1) / 2
    x = torch.arange(width, device=device) - (width - 1) / 2
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])


def _gaussian_matrix(side: int, sigma: float, device: torch.device) -> Tensor:
    pixel = torch.arange(side, device=device)
    distance = torch.arange(-4 * side, 4 * side + 1, device=device)
    total = torch.exp(-0.5 * (distance / sigma) ** 2).sum()
    return torch.exp(-0.5 * ((pixel[:, None] - pixel) / sigma) ** 2) / total
