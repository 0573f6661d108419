"""What a watcher inside another trainer can be told beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.data.dataset import Task
from trainwell.watching.watcher import Watcher


@dataclass(frozen=True)
class WatchOptions:
    """See `trainwell.watch`, whose arguments these are.

    Attributes:
        loss_fn: Of outputs and targets; None: not known.
        train, valid: Examples `(X, y)`; None: only what passes through the model is seen.
        task: What is predicted; None: found out.
        check: Of the same program, whose findings are folded in; None: there is none.
    """

    loss_fn: Callable[[Tensor, Tensor], Tensor] | None = None
    train: Any = None
    valid: Any = None
    task: Task | None = None
    check: Any = None

    def open(self, model: nn.Module, optimizer: Optimizer) -> Watcher:
        """A watcher that is attached to a model and its optimiser."""
        return Watcher(
            model,
            optimizer,
            loss_fn=self.loss_fn,
            train=self.train,
            valid=self.valid,
            task=self.task,
            check=self.check,
        )
