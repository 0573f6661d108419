"""Recurrent networks: simple, LSTM, GRU, with residual connections, and sequence to sequence."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from trainwell.errors import ModelError
from trainwell.models.entry import Entry
from trainwell.models.shapes import AsSequence, sequence_shape
from trainwell.nn.initialisation import initialise_glorot
from trainwell.nn.recurrent import remember_at_first

Kind = Literal["rnn", "lstm", "gru"]
LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
RECIPE = {"optimizer": "adamw", "learning_rate": 3e-3, "clip_norm": 1.0}


def make_recurrent(kind: Kind, inputs: int, units: int, layers: int = 1) -> nn.Module:
    """Torch's layer, orthogonal from step to step (Saxe et al. 2013), LSTMs that remember.

    Args:
        kind: `"rnn"` (tanh), `"lstm"` or `"gru"`.
        inputs: Values of each step.
        units: Of each layer.
        layers: How many, one above the other.
    """
    layer = LAYERS[kind](inputs, units, num_layers=layers, batch_first=True)
    for name, parameter in layer.named_parameters():
        if "weight_hh" in name:
            for block in parameter.detach().split(units):
                nn.init.orthogonal_(block)
        elif "weight_ih" in name:
            nn.init.xavier_uniform_(parameter)
    if isinstance(layer, nn.LSTM):
        remember_at_first(layer)
    return layer


class SequenceClassifier(nn.Module):
    """A recurrent network whose last hidden value gives the outputs.

    Images are read row by row, vectors value by value.

    Args:
        input_shape: `(T, F)`, `(C, H, W)` or `(F,)`.
        outputs: `(N, outputs)` comes out.
        kind: Of the recurrent layers: simple (Elman 1990), LSTM (Hochreiter & Schmidhuber 1997) or
            GRU (Cho et al. 2014).
        units: Of each layer.
        layers: How many, one above the other.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        kind: Kind,
        units: int = 64,
        layers: int = 1,
    ) -> None:
        super().__init__()
        _, values = sequence_shape(input_shape)
        self.read = AsSequence(input_shape)
        self.recurrent = make_recurrent(kind, values, units, layers)
        self.classifier = nn.Linear(units, outputs)
        initialise_glorot(self)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden, _ = self.recurrent(self.read(inputs))
        return self.classifier(hidden[:, -1])


class ResidualLstm(nn.Module):
    """LSTM layers with identity shortcuts around all but the first (Prakash et al. 2016).

    Args:
        input_shape: `(T, F)`, `(C, H, W)` or `(F,)`.
        outputs: `(N, outputs)` comes out.
        units: Of each layer.
        layers: At least 2.

    Raises:
        ModelError: Fewer than two layers.
    """

    def __init__(
        self, input_shape: tuple[int, ...], outputs: int, units: int = 64, layers: int = 4
    ) -> None:
        super().__init__()
        if layers < 2:
            raise ModelError(f"residual_lstm needs at least 2 layers, not {layers}")
        _, values = sequence_shape(input_shape)
        self.read = AsSequence(input_shape)
        self.first = make_recurrent("lstm", values, units)
        self.others = nn.ModuleList(make_recurrent("lstm", units, units) for _ in range(layers - 1))
        self.classifier = nn.Linear(units, outputs)
        initialise_glorot(self)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden, _ = self.first(self.read(inputs))
        for layer in self.others:
            hidden = hidden + layer(hidden)[0]
        return self.classifier(hidden[:, -1])


class SequenceToSequence(nn.Module):
    """One LSTM reads, another writes the outputs one after another (Sutskever et al. 2014).

    Each written value is the next step's input, and 1 the first one's. The outputs are the steps
    of the written sequence: with a regression of K targets, K steps ahead.

    Args:
        input_shape: `(T, F)`, `(C, H, W)` or `(F,)`.
        outputs: Steps to write; `(N, outputs)` comes out.
        units: Of both LSTMs.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int, units: int = 64) -> None:
        super().__init__()
        _, values = sequence_shape(input_shape)
        self.read, self.steps = AsSequence(input_shape), outputs
        self.encoder = make_recurrent("lstm", values, units)
        self.decoder = nn.LSTMCell(1, units)
        self.write = nn.Linear(units, 1)
        initialise_glorot(self)

    def forward(self, inputs: Tensor) -> Tensor:
        _, (hidden, memory) = self.encoder(self.read(inputs))
        state = (hidden[-1], memory[-1])
        # Zero would leave the weights of the written value without gradient at the first step.
        value = hidden.new_ones(hidden.shape[1], 1)
        written = []
        for _ in range(self.steps):
            state = self.decoder(value, state)
            value = self.write(state[0])
            written.append(value)
        return torch.cat(written, 1)


SEQUENCE = (64, 1)
ENTRIES = {
    "rnn": Entry(
        partial(SequenceClassifier, kind="rnn"),
        1990,
        "Elman",
        "Simple recurrent network.",
        SEQUENCE,
        3,
        recipe=RECIPE,
        suits="waves",
    ),
    "lstm": Entry(
        partial(SequenceClassifier, kind="lstm"),
        1997,
        "Hochreiter & Schmidhuber",
        "Recurrent network with gated memory.",
        SEQUENCE,
        3,
        recipe=RECIPE,
        suits="waves",
    ),
    "gru": Entry(
        partial(SequenceClassifier, kind="gru"),
        2014,
        "Cho et al.",
        "Recurrent network with two gates.",
        SEQUENCE,
        3,
        recipe=RECIPE,
        suits="waves",
    ),
    "residual_lstm": Entry(
        ResidualLstm,
        2016,
        "Prakash et al.",
        "LSTM layers with shortcuts.",
        SEQUENCE,
        3,
        recipe=RECIPE,
        suits="waves",
    ),
    "sequence_to_sequence": Entry(
        SequenceToSequence,
        2014,
        "Sutskever et al.",
        "One LSTM reads, another writes the outputs step by step.",
        SEQUENCE,
        8,
        recipe=RECIPE,
        suits="series",
    ),
}
