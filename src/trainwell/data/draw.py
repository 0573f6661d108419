"""What the choices of an augmentation may depend on: random numbers, epoch, example and seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Draw:
    """Random numbers for a batch, and where in the training it is.

    Attributes:
        generator: Of random numbers, on the images' device.
        epoch: From 0.
        positions: Of the batch's examples in the split, `(N,)`.
        seed: Of the run, for what must not change from epoch to epoch.
    """

    generator: Generator
    epoch: int
    positions: Tensor
    seed: int = 0

    @property
    def device(self) -> torch.device:
        """Where the numbers are drawn."""
        return self.generator.device

    @property
    def drawn(self) -> int:
        """For how many examples numbers are drawn."""
        return len(self.positions)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers in [low, high) for each example, `(N, *shape)`."""
        size = (self.drawn, *shape)
        numbers = torch.rand(size, generator=self.generator, device=self.device)
        return self._for_all(low + (high - low) * numbers)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers for each example, `(N, *shape)`."""
        size = (self.drawn, *shape)
        return self._for_all(torch.randn(size, generator=self.generator, device=self.device))

    def integers(self, low: int, high: int) -> Tensor:
        """A whole number from `low` to `high`, both included, for each example, `(N,)`."""
        size = (self.drawn,)
        return self._for_all(
            torch.randint(low, high + 1, size, generator=self.generator, device=self.device)
        )

    def _for_all(self, numbers: Tensor) -> Tensor:
        return numbers.expand(len(self.positions), *numbers.shape[1:])


class SharedDraw(Draw):
    """The same numbers for all examples, so that none depends on what else is in its batch."""

    @property
    def drawn(self) -> int:
        """One: its numbers are everybody's."""
        return 1


Augmentation = Callable[[Tensor, Draw], Tensor]
"""Inputs `(N, ...)`, preprocessed, in; inputs of the same shape out."""
