"""The variational autoencoder (Kingma & Welling 2013)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.models.autoencoder import Sizes, as_sizes
from trainwell.models.entry import Entry
from trainwell.models.shapes import require_unit_range
from trainwell.nn.initialisation import initialise_he
from trainwell.nn.losses import Loss


class VariationalAutoencoder(nn.Module):
    """Codes are distributions near a standard normal one, so that new codes can be drawn.

    Inputs in [0, 1] are probabilities of Bernoulli variables. The loss is the negative evidence
    lower bound in nats for an example: cross-entropy of the reconstruction plus the divergence of
    the codes from the standard normal distribution.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: The number of values of one example; `(N, outputs)` comes out.
        code: Dimensions of the code: more reconstruct better, fewer generate better, since codes
            drawn at random then are more often like those of real inputs.
        sizes: Units of the layers between inputs and code; the decoder has them the other way
            round.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        code: int = 8,
        sizes: Sizes = (400, 200),
    ) -> None:
        super().__init__()
        self.input_shape, self.code = tuple(input_shape), code
        widths = [math.prod(input_shape), *as_sizes(sizes)]
        self.encoder = nn.Sequential(nn.Flatten(), *_layers([*widths, 2 * code]))
        self.decoder = nn.Sequential(*_layers([code, *reversed(widths)]))
        initialise_he(self)

    def prepare(self, inputs: Tensor) -> None:
        require_unit_range("variational_autoencoder", inputs)

    def distribute(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the codes of inputs, `(N, code)` each."""
        mean, log_variance = self.encoder(inputs).chunk(2, dim=1)
        return mean, log_variance

    def encode(self, inputs: Tensor) -> Tensor:
        """The mean codes `(N, code)`."""
        return self.distribute(inputs)[0]

    def decode(self, codes: Tensor) -> Tensor:
        """Flattened inputs in [0, 1], `(N, outputs)`, of codes."""
        return torch.sigmoid(self.decoder(codes))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode(self.encode(inputs))

    def measure(self, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.distribute(inputs)
        codes = mean
        if self.training:
            codes = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        logits = self.decoder(codes)
        count = len(inputs)
        written = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        return torch.sigmoid(logits), (written + divergence) / count

    @torch.no_grad()
    def generate(self, count: int) -> Tensor:
        """New examples from codes drawn at random, `(count, *input_shape)`."""
        device = next(self.parameters()).device
        codes = torch.randn(count, self.code, device=device)
        return self.decode(codes).reshape(count, *self.input_shape)

    @torch.no_grad()
    def interpolate(self, first: Tensor, second: Tensor, steps: int = 8) -> Tensor:
        """What lies between two examples: decoded points of the line between their codes.

        Args:
            first: One example, `(1, *input_shape)`.
            second: Another.
            steps: Points on the line, both ends among them, at least 2.

        Returns:
            `(steps, *input_shape)`.
        """
        shares = torch.linspace(0, 1, max(2, steps), device=first.device).unsqueeze(1)
        codes = torch.lerp(self.encode(first), self.encode(second), shares)
        return self.decode(codes).reshape(len(codes), *self.input_shape)


def _layers(widths: Sequence[int]) -> list[nn.Module]:
    """Fully connected layers with ReLU between them."""
    layers: list[nn.Module] = []
    for width_in, width_out in itertools.pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return layers[:-1]


ENTRIES = {
    "variational_autoencoder": Entry(
        VariationalAutoencoder,
        2013,
        "Kingma & Welling",
        "Codes are distributions: generates and interpolates.",
        (1, 28, 28),
        784,
        recipe={
            "optimizer": "adamw",
            "learning_rate": 2e-3,
            "weight_decay": 0.0,
            "batch_size": 128,
        },
        task="reconstruction",
        preprocess=("unit_range",),
    )
}
