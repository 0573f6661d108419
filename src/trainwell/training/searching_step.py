"""One update by an optimiser that evaluates the loss again while it searches for its step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.data.batches import Batch
from trainwell.optim.optimizers import is_decayed
from trainwell.optim.second_order import Newton
from trainwell.training.guard import total_norm
from trainwell.training.randomness import RunRandomness
from trainwell.training.step import TrainingStep


class SearchingStep(TrainingStep):
    """A step whose optimiser sees one and the same function in all of its evaluations.

    Every evaluation draws the same dropout masks; statistics of batch normalisation and totals
    take in the first evaluation only, which is also the one that the guard inspects. Later ones
    that are not finite count as infinitely bad, so that no search ends there. Weight decay is a
    part of the function: half the decay times the squared weights.

    Args:
        weight_decay: Of parameters with two or more dimensions.
        randomness: Captures and restores every generator.
        settings: Of `TrainingStep`; without float16 and clipping.
    """

    def __init__(
        self, *settings: Any, weight_decay: float, randomness: RunRandomness, **named: Any
    ) -> None:
        super().__init__(*settings, **named)
        self.weight_decay, self.randomness = weight_decay, randomness
        self.decayed = [p for p in self.parameters if is_decayed(p)]

    def _compute_gradients(self, batch: Batch) -> None:
        self.drawn = self.randomness.capture()
        self.first_loss = self._follow_all(batch, self.totals.add)

    def _move(self, batch: Batch) -> None:
        buffers = [b.clone() for b in self.model.buffers()]
        if isinstance(self.optimizer, Newton):
            self.optimizer.step(lambda: self._loss(batch))
        else:
            self.optimizer.step(self._closure(batch))
        for buffer, kept in zip(self.model.buffers(), buffers, strict=True):
            buffer.copy_(kept)

    def _closure(self, batch: Batch) -> Callable[[], Any]:
        """Loss and gradients; the first call gives those that are there already."""
        is_first = True

        def evaluate() -> Tensor:
            nonlocal is_first
            if is_first:
                is_first = False
                return self.first_loss
            return self._evaluate(batch)

        return evaluate

    def _evaluate(self, batch: Batch) -> Tensor:
        self.randomness.restore(*self.drawn)
        self.optimizer.zero_grad(set_to_none=True)
        total = self._follow_all(batch, lambda loss, outputs, targets: None)
        is_finite = torch.isfinite(total + total_norm(self.parameters))
        return torch.where(is_finite, total, math.inf)

    def _loss(self, batch: Batch) -> Tensor:
        """The loss with its graph."""
        self.randomness.restore(*self.drawn)
        losses = [self._measure(part)[1] * share for part, share in self._split(batch)]
        return torch.stack([*losses, self._penalty()]).sum()

    def _follow_all(self, batch: Batch, tell: Callable[[Tensor, Tensor, Tensor], None]) -> Tensor:
        """Leaves the gradients of a batch's loss and the penalty, and gives their sum.

        Args:
            batch: In parts, as large as the model takes.
            tell: Gets loss, outputs and targets of each part.
        """
        total = torch.zeros((), device=self.device)
        for part, share in self._split(batch):
            outputs, loss = self._measure(part)
            tell(loss.detach(), outputs.detach(), part.targets)
            total = _follow(loss * share, total)
        return _follow(self._penalty(), total)

    def _penalty(self) -> Tensor:
        if not self.weight_decay or not self.decayed:
            return torch.zeros((), device=self.device)
        squares = torch.stack([p.square().sum() for p in self.decayed])
        return self.weight_decay / 2 * squares.sum()


def _follow(loss: Tensor, total: Tensor) -> Tensor:
    """Adds the gradient of a loss to the parameters', and the loss to a total."""
    if loss.requires_grad:
        loss.backward()
    return total + loss.detach()
