"""The watcher as a callback of skorch.

Needs the extra `skorch`: `pip install trainwell[skorch]`.
"""

from __future__ import annotations

from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor

from trainwell.findings import Finding
from trainwell.watching.adapters.epoch_scores import pick_scores
from trainwell.watching.adapters.options import WatchOptions
from trainwell.watching.watcher import Watcher


class WatchCallback(Callback):
    """Watches a module that skorch trains.

    `NeuralNetClassifier(..., callbacks=[("watch", callback)])`; afterwards `callback.findings()`.

    Args:
        options: What the watcher is told about the program; all may stay open.
    """

    def __init__(self, options: WatchOptions | None = None) -> None:
        self.options = options

    def initialize(self) -> WatchCallback:
        """Forgets what an earlier training showed."""
        self.watcher_: Watcher | None = None
        self.found_: list[Finding] = []
        return self

    def findings(self) -> list[Finding]:
        """What is wrong so far, most likely root cause first."""
        return self.found_ if self.watcher_ is None else self.watcher_.findings()

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:  # noqa: N803
        """Attaches."""
        self.watcher_ = (self.options or WatchOptions()).open(net.module_, net.optimizer_)

    def on_batch_end(
        self,
        net: NeuralNet,
        batch: Any = None,
        training: bool | None = None,
        loss: Tensor | None = None,
        y_pred: Tensor | None = None,
        **kwargs: Any,
    ) -> None:
        """Tells of an update."""
        if self.watcher_ is None or not training or loss is None:
            return
        inputs, targets = (
            batch if isinstance(batch, tuple | list) and len(batch) == 2 else (None, None)
        )
        self.watcher_.step(
            loss,
            inputs=inputs if isinstance(inputs, Tensor) else None,
            outputs=y_pred,
            targets=targets if isinstance(targets, Tensor) else None,
        )

    def on_epoch_end(
        self, net: NeuralNet, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Tells of the scores in the net's history."""
        if self.watcher_ is not None:
            newest: Any = net.history[-1]
            self.watcher_.epoch(**pick_scores(newest))

    def on_train_end(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:  # noqa: N803
        """Detaches; what was found stays."""
        if self.watcher_ is not None:
            self.found_ = self.watcher_.findings()
            self.watcher_.detach()
            self.watcher_ = None
