"""Greedy layer-wise pretraining: each layer by itself, without targets, before all together.

Hinton, Osindero & Teh (2006) stack restricted Boltzmann machines; Bengio et al. (2007)
autoencoders. Training the whole network afterwards is `fit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.models.boltzmann import contrast

BATCH = 100
RBM_RATE = 0.1
RBM_MOMENTUM = 0.5
RBM_DECAY = 2e-4
TIED_RATE = 1e-3


def pretrain_boltzmann_layers(layers: Sequence[nn.Linear], inputs: Tensor, epochs: int) -> None:
    """Trains each layer as a restricted Boltzmann machine on what the one below puts out.

    One step of contrastive divergence, with the settings that Hinton (2010) recommends.

    Args:
        layers: From the input on, with sigmoid units between them; changed in place.
        inputs: `(N, F)` in [0, 1].
        epochs: Of each layer.
    """
    visible = inputs
    for layer in layers:
        visible_bias = nn.Parameter(visible.new_zeros(layer.in_features))
        parameters = [layer.weight, layer.bias, visible_bias]
        optimizer = torch.optim.SGD(parameters, RBM_RATE, RBM_MOMENTUM, weight_decay=RBM_DECAY)
        for batch in _batches(visible, epochs):
            optimizer.zero_grad()
            contrast(batch, layer.weight, visible_bias, layer.bias).backward()
            optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            visible = torch.sigmoid(layer(visible))


def pretrain_tied_layers(layers: Sequence[nn.Module], inputs: Tensor, epochs: int) -> None:
    """Trains each layer as an autoencoder with tied weights on the codes of the one below.

    Args:
        layers: Linear, from the input on, with tanh units between them; changed in place.
        inputs: `(N, F)`.
        epochs: Of each layer.
    """
    visible = inputs
    for layer in layers:
        assert isinstance(layer, nn.Linear)
        bias = nn.Parameter(visible.new_zeros(layer.in_features))
        optimizer = torch.optim.Adam([layer.weight, layer.bias, bias], TIED_RATE)
        for batch in _batches(visible, epochs):
            optimizer.zero_grad()
            written = functional.linear(torch.tanh(layer(batch)), layer.weight.T, bias)
            functional.mse_loss(written, batch).backward()
            optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            visible = torch.tanh(layer(visible))


def _batches(examples: Tensor, epochs: int) -> Iterator[Tensor]:
    for _ in range(epochs):
        order = torch.randperm(len(examples))
        for rows in order.split(BATCH):
            yield examples[rows.to(examples.device)]
