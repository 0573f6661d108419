"""Autoencoders: linear, deep, tied, sparse, denoising, convolutional and of sequences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.models.entry import Build, Entry
from trainwell.models.pretraining import pretrain_tied_layers
from trainwell.models.recurrent import RECIPE as RECURRENT_RECIPE
from trainwell.models.recurrent import make_recurrent
from trainwell.models.shapes import AsSequence, require_image, sequence_shape
from trainwell.nn.activations import make_activation
from trainwell.nn.initialisation import initialise, initialise_glorot, initialise_he
from trainwell.nn.losses import Loss

Sizes = Sequence[int] | int


def as_sizes(sizes: Sizes) -> tuple[int, ...]:
    """A single number as a tuple of one."""
    return (sizes,) if isinstance(sizes, int) else tuple(sizes)


class Autoencoder(nn.Module):
    """Fully connected layers to a code and, mirrored, back (Hinton & Salakhutdinov 2006).

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: The number of values of one example; `(N, outputs)` comes out.
        sizes: Units of the encoder's layers; the last is the code. (50, 10) on 100 values is
            100-50-10-50-100, 11,210 parameters.
        activation: Between layers; not behind the code and the output.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        sizes: Sizes = (50, 10),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        widths = (math.prod(input_shape), *as_sizes(sizes))
        self.encoder = make_chain(widths, activation)
        self.decoder = make_chain(widths[::-1], activation)
        if activation == "linear":
            initialise(self, "glorot_normal")
        else:
            initialise_he(self)

    def encode(self, inputs: Tensor) -> Tensor:
        """Codes `(N, code)` of inputs `(N, *input_shape)`."""
        return self.encoder(inputs.flatten(1))

    def decode(self, codes: Tensor) -> Tensor:
        """Flattened inputs `(N, outputs)` of codes."""
        return self.decoder(codes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode(self.encode(inputs))


def make_chain(widths: Sequence[int], activation: str) -> nn.Sequential:
    """Linear layers of these widths with an activation between them, none behind the last."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), make_activation(activation)]
    return nn.Sequential(*layers[:-1])


class SparseAutoencoder(Autoencoder):
    """A single wide code whose units are seldom active (Ng 2011).

    The loss has a penalty on the mean activation of each unit over the batch: its
    Kullback-Leibler divergence from the wanted share.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: The number of values of one example; `(N, outputs)` comes out.
        sizes: Units of the encoder's layers; the last is the code.
        share: Wanted mean activation, in (0, 1).
        weight: Of the penalty.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        sizes: Sizes = 100,
        share: float = 0.05,
        weight: float = 0.01,
    ) -> None:
        super().__init__(input_shape, outputs, sizes, "sigmoid")
        self.share, self.weight = share, weight
        initialise_glorot(self)

    def encode(self, inputs: Tensor) -> Tensor:
        return torch.sigmoid(super().encode(inputs))

    def measure(self, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        codes = self.encode(inputs)
        outputs = self.decode(codes)
        return outputs, loss(outputs, targets) + self.weight * self._penalise(codes)

    def _penalise(self, codes: Tensor) -> Tensor:
        active = codes.mean(0).clamp(1e-6, 1 - 1e-6)
        wanted = active.new_full((), self.share)
        divergence = wanted * (wanted / active).log()
        divergence = divergence + (1 - wanted) * ((1 - wanted) / (1 - active)).log()
        return divergence.sum()


class DenoisingAutoencoder(Autoencoder):
    """Reconstructs clean inputs from spoilt ones (Vincent et al. 2008).

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: The number of values of one example; `(N, outputs)` comes out.
        sizes: Units of the encoder's layers; the last is the code.
        noise: Standard deviation of what is added to standardised inputs while training.
        masked: Share of the inputs that is set to zero while training.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        sizes: Sizes = (128, 64),
        noise: float = 0.3,
        masked: float = 0.2,
    ) -> None:
        super().__init__(input_shape, outputs, sizes)
        self.noise, self.masked = noise, masked

    def spoil(self, inputs: Tensor) -> Tensor:
        """Inputs with noise added and some of them set to zero."""
        noisy = inputs + self.noise * torch.randn_like(inputs)
        return noisy * (torch.rand_like(inputs) >= self.masked)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(self.spoil(inputs) if self.training else inputs)


class TiedAutoencoder(nn.Module):
    """Stacked layers whose decoder uses the encoder's weights, transposed (Bengio et al. 2007).

    Before the training proper each layer is trained by itself on the codes of the one below.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: The number of values of one example; `(N, outputs)` comes out.
        sizes: Units of the encoder's layers; the last is the code.
        pretrain_epochs: Of each layer; 0: none.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        sizes: Sizes = (64, 32),
        pretrain_epochs: int = 5,
    ) -> None:
        super().__init__()
        widths = (math.prod(input_shape), *as_sizes(sizes))
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.biases = nn.ParameterList(torch.zeros(width) for width in widths[-2::-1])
        self.pretrain_epochs = pretrain_epochs
        self.prepared: Tensor
        self.register_buffer("prepared", torch.tensor(False))
        initialise(self, "glorot_normal")

    def prepare(self, inputs: Tensor) -> None:
        if self.prepared:
            return
        self.prepared.fill_(True)
        pretrain_tied_layers(list(self.layers), inputs.flatten(1), self.pretrain_epochs)

    def encode(self, inputs: Tensor) -> Tensor:
        """Codes `(N, code)` of inputs `(N, *input_shape)`."""
        hidden = inputs.flatten(1)
        for index, layer in enumerate(self.layers):
            hidden = layer(torch.tanh(hidden) if index else hidden)
        return hidden

    def decode(self, codes: Tensor) -> Tensor:
        """Flattened inputs `(N, outputs)` of codes."""
        hidden = codes
        for layer, bias in zip(list(self.layers)[::-1], self.biases, strict=True):
            assert isinstance(layer, nn.Linear)
            hidden = functional.linear(torch.tanh(hidden), layer.weight.T, bias)
        return hidden

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode(self.encode(inputs))


class ConvolutionalAutoencoder(nn.Module):
    """Strided convolutions to a code of maps, transposed ones back (Masci et al. 2011).

    Args:
        input_shape: `(C, H, W)`, H and W at least 8.
        outputs: The number of values of one example; `(N, outputs)` comes out.
        widths: Maps behind each convolution, each of which halves the image.

    Raises:
        ModelError: The input is not an image of that size.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int, widths: Sizes = (16, 8)) -> None:
        super().__init__()
        channels, height, width = require_image("convolutional_autoencoder", input_shape, 8)
        sizes = [(height, width)]
        encoder: list[nn.Module] = []
        decoder: list[nn.Module] = []
        before = channels
        for maps in as_sizes(widths):
            encoder += [nn.Conv2d(before, maps, 3, stride=2, padding=1), nn.ReLU()]
            height, width = sizes[-1]
            sizes.append(((height + 1) // 2, (width + 1) // 2))
            # An even size has lost its last row when it was halved; the padding gives it back.
            missing = (1 - height % 2, 1 - width % 2)
            decoder = [
                nn.ConvTranspose2d(maps, before, 3, 2, padding=1, output_padding=missing),
                nn.ReLU(),
                *decoder,
            ]
            before = maps
        self.encoder = nn.Sequential(*encoder[:-1])
        self.decoder = nn.Sequential(nn.ReLU(), *decoder[:-1])
        initialise_he(self)

    def encode(self, inputs: Tensor) -> Tensor:
        """Codes `(N, maps, h, w)` of images `(N, C, H, W)`."""
        return self.encoder(inputs)

    def decode(self, codes: Tensor) -> Tensor:
        """Flattened images `(N, outputs)` of codes."""
        return self.decoder(codes).flatten(1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode(self.encode(inputs))


class SequenceAutoencoder(nn.Module):
    """One LSTM reads the sequence into a code, another writes it again (Srivastava et al. 2015).

    The writer sees the code at every step and is not told what it wrote before.

    Args:
        input_shape: `(T, F)`, `(C, H, W)` or `(F,)`.
        outputs: The number of values of one example; `(N, outputs)` comes out.
        units: Of both LSTMs, and of the code.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int, units: int = 64) -> None:
        super().__init__()
        self.steps, values = sequence_shape(input_shape)
        self.is_image = len(input_shape) == 3
        self.channels = input_shape[0] if self.is_image else 1
        self.read = AsSequence(input_shape)
        self.reader = make_recurrent("lstm", values, units)
        self.writer = make_recurrent("lstm", units, units)
        self.output = nn.Linear(units, values)
        initialise_glorot(self)

    def encode(self, inputs: Tensor) -> Tensor:
        """Codes `(N, units)` of inputs `(N, *input_shape)`."""
        _, (hidden, _) = self.reader(self.read(inputs))
        return hidden[-1]

    def decode(self, codes: Tensor) -> Tensor:
        """Flattened inputs `(N, outputs)` of codes."""
        hidden, _ = self.writer(codes.unsqueeze(1).expand(-1, self.steps, -1))
        written = self.output(hidden)
        if self.is_image:
            written = written.unflatten(2, (self.channels, -1)).transpose(1, 2)
        return written.flatten(1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode(self.encode(inputs))


def _entry(
    build: Build, year: int, source: str, summary: str, suits: str = "digits", **fields: object
) -> Entry:
    shape = {"two-blobs": (100,), "waves": (64, 1), "digits": (1, 8, 8)}[suits]
    recipe = {"optimizer": "adamw", "learning_rate": 3e-3, "weight_decay": 0.0, **fields}
    return Entry(
        build,
        year,
        source,
        summary,
        shape,
        math.prod(shape),
        recipe=recipe,
        task="reconstruction",
        suits=suits,
    )


ENTRIES = {
    "linear_autoencoder": _entry(
        partial(Autoencoder, sizes=(10,), activation="linear"),
        1989,
        "Baldi & Hornik",
        "Finds the plane of the principal components.",
    ),
    "autoencoder": _entry(
        Autoencoder,
        2006,
        "Hinton & Salakhutdinov",
        "Fully connected, 100-50-10-50-100 on 100 values.",
        "two-blobs",
    ),
    "stacked_autoencoder": _entry(
        TiedAutoencoder, 2007, "Bengio et al.", "Tied weights, pretrained layer by layer."
    ),
    "sparse_autoencoder": _entry(
        SparseAutoencoder, 2011, "Ng", "A wide code of units that are seldom active."
    ),
    "denoising_autoencoder": _entry(
        DenoisingAutoencoder, 2008, "Vincent et al.", "Reconstructs from spoilt inputs."
    ),
    "convolutional_autoencoder": _entry(
        ConvolutionalAutoencoder, 2011, "Masci et al.", "Strided convolutions there and back."
    ),
    "sequence_autoencoder": _entry(
        SequenceAutoencoder,
        2015,
        "Srivastava et al.",
        "One LSTM reads, another writes the same.",
        "waves",
        **RECURRENT_RECIPE,
    ),
}
