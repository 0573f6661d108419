"""A deep belief network as it is used to classify (Hinton, Osindero & Teh 2006)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainwell.models.entry import Entry
from trainwell.models.mlp import mlp
from trainwell.models.pretraining import pretrain_boltzmann_layers
from trainwell.models.shapes import require_unit_range


class DeepBelief(nn.Module):
    """Sigmoid layers, pretrained as restricted Boltzmann machines, then trained with the targets.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in, values in [0, 1].
        outputs: `(N, outputs)` comes out.
        sizes: Units of each hidden layer.
        pretrain_epochs: Of each layer; 0: none, a plain network of sigmoid units.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        sizes: Sequence[int] | int = (300, 150),
        pretrain_epochs: int = 10,
    ) -> None:
        super().__init__()
        self.pretrain_epochs = pretrain_epochs
        self.prepared: Tensor
        self.register_buffer("prepared", torch.tensor(False))
        self.layers = mlp((math.prod(input_shape),), outputs, sizes, activation="sigmoid")

    def prepare(self, inputs: Tensor) -> None:
        if self.pretrain_epochs and not self.prepared:
            self.pretrain(inputs, self.pretrain_epochs)

    def pretrain(self, inputs: Tensor, epochs: int) -> None:
        """Trains the hidden layers one after another, without targets.

        `fit` does it with the training inputs; call it yourself, on a model with
        `pretrain_epochs=0`, where there are many more inputs than targets.

        Args:
            inputs: `(N, *input_shape)` in [0, 1].
            epochs: Of each layer.

        Raises:
            ModelError: The inputs are not in [0, 1].
        """
        require_unit_range("deep_belief", inputs)
        self.prepared.fill_(True)
        hidden = [m for m in self.layers.modules() if isinstance(m, nn.Linear)][:-1]
        pretrain_boltzmann_layers(hidden, inputs.flatten(1), epochs)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs.flatten(1))


ENTRIES = {
    "deep_belief": Entry(
        DeepBelief,
        2006,
        "Hinton et al.",
        "Sigmoid layers pretrained as Boltzmann machines.",
        (1, 28, 28),
        preprocess=("unit_range",),
    )
}
