"""Early stopping with look-ahead: train on for some epochs, go back to the best if none is better.

Goodfellow, Bengio & Courville 2016, algorithm 7.1.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn


class EarlyStop:
    """Remembers the weights with the lowest validation loss.

    A loss that is not finite is never the best and never an improvement.

    Args:
        look_ahead: Epochs without improvement after which to stop; None never stops.
    """

    def __init__(self, look_ahead: int | None) -> None:
        self.look_ahead = look_ahead
        self.best_loss = math.inf
        self.best_epoch = 0
        self.stopped = False
        self.best_weights: dict[str, Tensor] = {}

    def observe(self, loss: float, epoch: int, model: nn.Module) -> bool:
        """Whether to stop after this epoch (from 1); `loss` is of the validation split."""
        if self.look_ahead is None:
            return False
        if math.isfinite(loss) and loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch
            self.best_weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.stopped = epoch - self.best_epoch >= self.look_ahead
        return self.stopped

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs; an infinite loss is None in JSON."""
        best = self.best_loss if math.isfinite(self.best_loss) else None
        fields = {"best_loss": best, "best_epoch": self.best_epoch, "stopped": self.stopped}
        return self.best_weights, fields

    def restore(self, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
        """Goes on from a captured state."""
        best = fields["best_loss"]
        self.best_loss = math.inf if best is None else best
        self.best_epoch, self.stopped = fields["best_epoch"], fields["stopped"]
        self.best_weights = dict(tensors)
