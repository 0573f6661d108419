"""FractalNet (Larsson, Maire & Shakhnarovich 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from trainwell.errors import ModelError
from trainwell.models.entry import CIFAR, Entry
from trainwell.models.resnet import CIFAR_RECIPE
from trainwell.models.shapes import require_image
from trainwell.nn.initialisation import initialise_he

LOCAL_DROP = 0.15
GLOBAL_SHARE = 0.5
WIDTHS = (64, 128, 256, 512, 512)
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.4)


class ConvolutionUnit(nn.Sequential):
    """Convolution, dropout, batch normalisation and ReLU.

    Args:
        channels_in: Channels of `(N, C, H, W)` going in.
        channels_out: Channels coming out.
        kernel: 3, or 1 where only the channels change.
        dropout: Probability with which a value is dropped.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, dropout: float) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
            nn.Dropout(dropout),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class FractalBlock(nn.Module):
    """f(C + 1) = join(convolution, f(C) after f(C)): columns of 1, 2, 4, ... convolutions.

    Args:
        channels: Of `(N, C, H, W)` going in and coming out.
        columns: C of the paper.
        dropout: Of the convolutions.
    """

    def __init__(self, channels: int, columns: int, dropout: float) -> None:
        super().__init__()
        self.shallow = ConvolutionUnit(channels, channels, 3, dropout)
        self.first, self.second = None, None
        if columns > 1:
            self.first = FractalBlock(channels, columns - 1, dropout)
            self.second = FractalBlock(channels, columns - 1, dropout)

    def forward(self, images: Tensor, column: Tensor | None) -> list[Tensor]:
        """What the columns put out, the shallowest first; the block above joins them.

        Args:
            images: `(N, C, H, W)`.
            column: `(columns,)`, 1 at the column that is used alone, or all 0 where all are used;
                None: not training.
        """
        shallow = self.shallow(images)
        if self.first is None or self.second is None:
            return [shallow]
        inner = None if column is None else column[1:]
        middle = join(self.first(images, inner), inner)
        return [shallow, *self.second(middle, inner)]


def join(branches: list[Tensor], column: Tensor | None) -> Tensor:
    """The mean of branches; while training, of those that drop-path leaves.

    Args:
        branches: Each `(N, C, H, W)`.
        column: As `FractalBlock.forward` has it. Where it names no branch, each one is dropped
            with probability 0.15 and at least one stays.
    """
    if len(branches) == 1:
        return branches[0]
    stacked = torch.stack(branches)
    if column is None:
        return stacked.mean(0)
    draws = torch.rand(len(branches), device=stacked.device)
    kept = draws >= LOCAL_DROP
    # Of all dropped, the one that came nearest to staying is kept.
    kept = torch.where(kept.any(), kept, draws == draws.max())
    weights = torch.where(column.any(), column, kept.to(stacked.dtype))
    return torch.einsum("b,bnchw->nchw", (weights / weights.sum()).to(stacked.dtype), stacked)


class FractalNet(nn.Module):
    """Fractal blocks with pooling between them, trained with drop-path.

    Half of the batches use a single column throughout (global drop-path), the others drop inputs
    of each join (local).

    Args:
        input_shape: `(C, H, W)`, H and W at least 32.
        outputs: `(N, outputs)` comes out.
        columns: Of each block; the deepest column has `blocks · 2^(columns − 1)` layers.
        widths: Channels of each block. A 1 × 1 convolution changes their number; with it the
            number of parameters is the published one. Each block drops more than the one before,
            up to 0.4.

    Raises:
        ModelError: The input is not an image of that size, or there is no column.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        columns: int = 3,
        widths: Sequence[int] = WIDTHS,
    ) -> None:
        super().__init__()
        channels, _, _ = require_image("fractalnet", input_shape, 2 ** len(widths))
        if columns < 1:
            raise ModelError(f"fractalnet needs at least one column, not {columns}")
        self.columns = columns
        self.doublers, self.blocks = nn.ModuleList(), nn.ModuleList()
        for number, width in enumerate(widths):
            dropout = DROPOUTS[min(number, len(DROPOUTS) - 1)]
            changes = width != channels
            self.doublers.append(
                ConvolutionUnit(channels, width, 1, 0.0) if changes else nn.Identity()
            )
            self.blocks.append(FractalBlock(width, columns, dropout))
            channels = width
        self.pool = nn.MaxPool2d(2)
        self.classifier = nn.Linear(channels, outputs)
        initialise_he(self)

    def forward(self, images: Tensor) -> Tensor:
        column = self._draw_column(images.device) if self.training else None
        hidden = images
        for doubler, block in zip(self.doublers, self.blocks, strict=True):
            hidden = self.pool(join(block(doubler(hidden), column), column))
        return self.classifier(hidden.mean((2, 3)))

    def _draw_column(self, device: torch.device) -> Tensor:
        chosen = torch.rand(self.columns, device=device)
        alone = (chosen == chosen.max()).float()
        return alone * (torch.rand((), device=device) < GLOBAL_SHARE)


ENTRIES = {
    "fractalnet21": Entry(
        partial(FractalNet, columns=3),
        2016,
        "Larsson et al.",
        "Self-similar columns without residual connections, trained with drop-path.",
        CIFAR,
        recipe=CIFAR_RECIPE,
        published="4.60 % error on CIFAR-10",
        suits="shapes",
    )
}
