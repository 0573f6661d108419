"""Gates: highway layers and gated memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CARRY_BIAS = -1.0
"""Initial bias of transform gates: at first a layer mostly carries its input (Srivastava et al.
2015)."""


class HighwayGate(nn.Module):
    """y = T(x) · H(x) + (1 − T(x)) · x (Srivastava, Greff & Schmidhuber 2015).

    Args:
        transform: H; its output has the shape of its input.
        gate: A layer as the one within H; T is its sigmoid.
        bias: Of the gate at first; the more negative, the more is carried.
    """

    def __init__(
        self, transform: nn.Module, gate: nn.Linear | nn.Conv2d, bias: float = CARRY_BIAS
    ) -> None:
        super().__init__()
        self.transform, self.gate, self.bias = transform, gate, bias
        self.open_little()

    def open_little(self) -> None:
        """Sets the gate's bias so that at first it mostly carries."""
        if self.gate.bias is not None:
            nn.init.constant_(self.gate.bias, self.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        share = torch.sigmoid(self.gate(inputs))
        # lerp(x, H, T) = x + T · (H − x), one pass instead of four.
        return torch.lerp(inputs, self.transform(inputs), share)


def update_memory(gate: Tensor, new: Tensor, memory: Tensor) -> Tensor:
    """Memory that takes the new value where the gate is open: g · x + (1 − g) · s.

    Args:
        gate: In [0, 1]; binary or soft, broadcast against the others.
        new: x.
        memory: s.
    """
    return gate * new + (1 - gate) * memory


class GatedMemory(nn.Module):
    """Memory with a learned, soft gate: g = σ(W · [x, s] + b).

    Args:
        size: `(N, size)` of the new value and of the memory.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * size, size)

    def forward(self, new: Tensor, memory: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(torch.cat([new, memory], 1)))
        return update_memory(gate, new, memory)
