"""The LSTM by the lecture's equations, beside torch's, which is faster."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LstmCell(nn.Module):
    """One step of an LSTM (Hochreiter & Schmidhuber 1997; forget gate by Gers et al. 1999).

    With z the candidate, i, f and o the gates of input, forgetting and output:

        z = tanh(W_z x + R_z h + b_z)        i, f, o = sigmoid(W x + R h + b)
        c' = i · z + f · c                   h' = o · tanh(c')

    Weights have torch's layout (rows of i, f, z, o), so that they can be exchanged.

    Args:
        inputs: Size of x.
        units: Size of h and c.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        bound = 1 / math.sqrt(units)
        self.weight_input = nn.Parameter(torch.empty(4 * units, inputs).uniform_(-bound, bound))
        self.weight_hidden = nn.Parameter(torch.empty(4 * units, units).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(4 * units).uniform_(-bound, bound))

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The next hidden value and memory.

        Args:
            inputs: x, `(N, inputs)`.
            state: h and c, `(N, units)` each.
        """
        hidden, memory = state
        sums = inputs @ self.weight_input.T + hidden @ self.weight_hidden.T + self.bias
        i, f, z, o = sums.chunk(4, dim=1)
        memory = torch.sigmoid(i) * torch.tanh(z) + torch.sigmoid(f) * memory
        return torch.sigmoid(o) * torch.tanh(memory), memory


class EquationLstm(nn.Module):
    """An LSTM layer, step by step, to read and to compare; `torch.nn.LSTM` to train.

    Args:
        inputs: Values of each step.
        units: Of the layer.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.cell = LstmCell(inputs, units)

    def forward(self, sequence: Tensor) -> Tensor:
        """`(N, T, inputs)` in, the hidden values of all steps `(N, T, units)` out."""
        zeros = sequence.new_zeros(len(sequence), self.cell.units)
        state, outputs = (zeros, zeros), []
        for step in sequence.unbind(1):
            state = self.cell(step, state)
            outputs.append(state[0])
        return torch.stack(outputs, 1)


@torch.no_grad()
def remember_at_first(lstm: nn.LSTM) -> None:
    """Sets the forget gates' bias to 1, so that a fresh LSTM remembers (Jozefowicz et al. 2015)."""
    for name, parameter in lstm.named_parameters():
        if name.startswith("bias_ih"):
            units = len(parameter) // 4
            parameter.zero_()
            parameter[units : 2 * units] = 1.0
        elif name.startswith("bias"):
            parameter.zero_()
