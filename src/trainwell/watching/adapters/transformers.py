"""The watcher as a callback of Hugging Face Transformers' Trainer.

Needs the extra `transformers`: `pip install trainwell[transformers]`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainwell.findings import Finding
from trainwell.watching.adapters.epoch_scores import pick_scores
from trainwell.watching.adapters.options import WatchOptions
from trainwell.watching.watcher import Watcher


class WatchCallback(TrainerCallback):
    """Watches a model that a Trainer trains.

    `Trainer(..., callbacks=[callback])`; afterwards `callback.findings()`. The Trainer tells its
    callbacks no loss; it is read from what the model gives, as the models of Transformers do when
    they are given labels.

    Args:
        options: What the watcher is told about the program; all may stay open.
    """

    def __init__(self, options: WatchOptions | None = None) -> None:
        self.options = options or WatchOptions()
        self.watcher: Watcher | None = None
        self._handle: RemovableHandle | None = None
        self._loss: Tensor | None = None
        self._found: list[Finding] = []

    def findings(self) -> list[Finding]:
        """What is wrong so far, most likely root cause first."""
        return self._found if self.watcher is None else self.watcher.findings()

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        optimizer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Attaches."""
        if model is None or optimizer is None:
            return
        # Accelerate wraps the optimiser that makes the steps.
        self.watcher = self.options.open(model, getattr(optimizer, "optimizer", optimizer))
        self._handle = model.register_forward_hook(self._keep_loss)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tells of an update, while its gradients are still there."""
        if self.watcher is not None and self._loss is not None:
            self.watcher.step(self._loss)
        self._loss = None

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Tells of the scores of an evaluation."""
        if self.watcher is not None:
            self.watcher.epoch(**pick_scores(metrics or {}))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Detaches; what was found stays."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        if self.watcher is not None:
            self._found = self.watcher.findings()
            self.watcher.detach()
            self.watcher = None

    def _keep_loss(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        loss = getattr(outputs, "loss", None)
        if module.training and isinstance(loss, Tensor):
            self._loss = loss.detach()
