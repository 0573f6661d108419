"""The watcher as a callback of Lightning.

Needs the extra `lightning`: `pip install trainwell[lightning]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as lightning
from torch import Tensor

from trainwell.findings import Finding
from trainwell.watching.adapters.epoch_scores import pick_scores
from trainwell.watching.adapters.options import WatchOptions
from trainwell.watching.watcher import Watcher


class WatchCallback(lightning.Callback):
    """Watches a module that Lightning trains, with automatic optimisation and one optimiser.

    `lightning.Trainer(callbacks=[callback])`; afterwards `callback.findings()`.

    Args:
        options: What the watcher is told about the program; all may stay open.
    """

    def __init__(self, options: WatchOptions | None = None) -> None:
        self.options = options or WatchOptions()
        self.watcher: Watcher | None = None
        self._updates = 0
        self._found: list[Finding] = []

    def findings(self) -> list[Finding]:
        """What is wrong so far, most likely root cause first."""
        return self._found if self.watcher is None else self.watcher.findings()

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Attaches."""
        self.watcher = self.options.open(pl_module, trainer.optimizers[0])
        self._updates = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Tells of an update; of batches that are only accumulated nothing is told."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if self.watcher is None or loss is None or trainer.global_step == self._updates:
            return
        self._updates = trainer.global_step
        inputs, targets = split_batch(batch)
        # Lightning hands on the loss divided by the batches that it accumulates.
        self.watcher.step(loss * trainer.accumulate_grad_batches, inputs=inputs, targets=targets)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Tells of the scores that the module has logged."""
        if self.watcher is not None:
            self.watcher.epoch(**pick_scores(trainer.callback_metrics))

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Detaches; what was found stays."""
        self._close()

    def on_exception(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        """Detaches; what was found stays."""
        self._close()

    def _close(self) -> None:
        if self.watcher is not None:
            self._found = self.watcher.findings()
            self.watcher.detach()
            self.watcher = None


def split_batch(batch: Any) -> tuple[Tensor | None, Tensor | None]:
    """Inputs and targets, where the batch is a pair of tensors."""
    if isinstance(batch, tuple | list) and len(batch) == 2:
        inputs, targets = batch
        if isinstance(inputs, Tensor) and isinstance(targets, Tensor):
            return inputs, targets
    return None, None
