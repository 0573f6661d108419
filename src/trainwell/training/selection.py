"""Which weights are validated, and which the training leaves: trained, averaged or best."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.data.batches import Batches
from trainwell.optim.averaging import WeightAverage, refresh_batch_norm
from trainwell.training.early_stop import EarlyStop
from trainwell.training.evaluation import Evaluator

REFRESH_EXAMPLES = 4096
"""Training examples from which statistics of batch normalisation are taken again."""


class Selection:
    """Validates the model, or the average of its weights once there is one, and keeps the better.

    Args:
        model: What is trained.
        average: Of its weights; None: there is none.
        early_stop: Remembers the best of what was validated.
        evaluator: Of the validation split.
        batches: Of the training split.
        precision: Makes the context in which forward passes run.
    """

    def __init__(
        self,
        model: nn.Module,
        average: WeightAverage | None,
        early_stop: EarlyStop,
        evaluator: Evaluator,
        batches: Batches,
        precision: Callable[[], contextlib.AbstractContextManager[object]],
    ) -> None:
        self.model, self.average, self.early_stop = model, average, early_stop
        self.evaluator, self.batches, self.precision = evaluator, batches, precision
        self.kept: dict[str, Tensor] = {}
        self.told = ""

    @property
    def validated(self) -> nn.Module:
        """The average, once there is one, else the model."""
        if self.average is not None and self.average.has_weights:
            return self.average.module
        return self.model

    def validate(self, epoch: int) -> dict[str, float]:
        """Scores on the validation split under names such as `valid_loss`.

        Args:
            epoch: That has ended, from 0.

        Raises:
            EvaluationStopped: Asked to stop meanwhile; it can be called again.
        """
        if self.average is not None:
            self.average.after_epoch(epoch + 1)
            if self.average.has_weights:
                self._refresh(self.average.module, epoch)
        return self.evaluator.measure(self.validated).named("valid")

    def _refresh(self, model: nn.Module, epoch: int) -> None:
        count = math.ceil(REFRESH_EXAMPLES / self.batches.size)
        batches = itertools.islice(self.batches.read(epoch), count)
        with self.precision():
            refresh_batch_norm(model, (batch.inputs for batch in batches))

    def choose(self, averaged_loss: float) -> None:
        """At the end: keeps the averaged weights only if they validate better than the trained.

        Args:
            averaged_loss: Of the newest validation.
        """
        if self.average is None or not self.average.has_weights:
            return
        averaged = self.average.module.state_dict()
        if self.early_stop.best_weights:
            averaged, averaged_loss = self.early_stop.best_weights, self.early_stop.best_loss
        trained_loss = self.evaluator.measure(self.model).scores["loss"]
        is_better = averaged_loss <= trained_loss
        chosen = averaged if is_better else self.model.state_dict()
        self.kept = {name: tensor.detach().clone() for name, tensor in chosen.items()}
        self.told = (
            f"kept the {'averaged' if is_better else 'trained'} weights: validation loss "
            f"{averaged_loss:.4g} averaged, {trained_loss:.4g} trained"
        )

    def load_kept(self) -> nn.Module:
        """The model with the weights that the training leaves."""
        with torch.no_grad():
            if self.kept:
                self.model.load_state_dict(self.kept)
            elif self.early_stop.best_weights:
                self.model.load_state_dict(self.early_stop.best_weights)
        return self.model

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What was kept, once something was."""
        return self.kept, {"told": self.told}

    def restore(self, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
        """Goes on from a captured state."""
        self.kept, self.told = dict(tensors), fields["told"]
