"""A residual network for time series (Wang, Yan & Oates 2017)."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional

from trainwell.models.entry import Entry
from trainwell.models.shapes import AsSequence, sequence_shape
from trainwell.nn.initialisation import initialise_he

KERNELS = (8, 5, 3)


class TimeSeriesBlock(nn.Module):
    """Convolutions of width 8, 5 and 3 around a shortcut.

    Args:
        channels_in: Channels of `(N, C, T)` going in.
        channels_out: Channels coming out.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = channels_in
        for kernel in KERNELS:
            if kernel % 2 == 0:
                # It reaches one step further ahead than back.
                layers.append(nn.ZeroPad1d((0, 1)))
            padding = (kernel - 1) // 2
            layers += [
                nn.Conv1d(channels, channels_out, kernel, padding=padding, bias=False),
                nn.BatchNorm1d(channels_out),
                nn.ReLU(inplace=True),
            ]
            channels = channels_out
        self.layers = nn.Sequential(*layers[:-1])
        changes = channels_in != channels_out
        self.shortcut = nn.Sequential(
            nn.Conv1d(channels_in, channels_out, 1, bias=False) if changes else nn.Identity(),
            nn.BatchNorm1d(channels_out),
        )

    def forward(self, series: Tensor) -> Tensor:
        return functional.relu(self.layers(series) + self.shortcut(series))


class TimeSeriesResNet(nn.Module):
    """Three residual blocks of 64, 128 and 128 channels, then the mean over time.

    Args:
        input_shape: `(T, F)`, `(C, H, W)` or `(F,)`.
        outputs: `(N, outputs)` comes out.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        _, values = sequence_shape(input_shape)
        self.read = AsSequence(input_shape)
        widths = (values, 64, 128, 128)
        self.blocks = nn.Sequential(*(TimeSeriesBlock(a, b) for a, b in itertools.pairwise(widths)))
        self.classifier = nn.Linear(widths[-1], outputs)
        initialise_he(self)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classifier(self.blocks(self.read(inputs).transpose(1, 2)).mean(2))


ENTRIES = {
    "time_series_resnet": Entry(
        TimeSeriesResNet,
        2017,
        "Wang et al.",
        "Residual network of convolutions over time.",
        (64, 1),
        3,
        suits="waves",
    )
}
