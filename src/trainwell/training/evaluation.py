"""Predictions and scores of a model on a split."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainwell.data.batches import Batches
from trainwell.data.dataset import Task
from trainwell.data.preprocess import Preprocess
from trainwell.nn.losses import Loss
from trainwell.nn.objective import make_objective
from trainwell.training.metrics import Totals, is_classification


class EvaluationStopped(Exception):
    """The evaluation was asked to stop; it has no result."""


@dataclass(frozen=True)
class Evaluation:
    """What a model does on a split.

    Attributes:
        scores: `loss`, and `accuracy` of a classification or `rmse` and `r2` (in the targets'
            own unit) of a regression.
        outputs: `(N, outputs)` in the order of the split, on the device.
    """

    scores: dict[str, float]
    outputs: Tensor

    def named(self, prefix: str) -> dict[str, float]:
        """The scores under names such as `valid_loss`."""
        return {f"{prefix}_{name}": value for name, value in self.scores.items()}


@dataclass(frozen=True)
class Evaluator:
    """Measures a model on a split.

    Attributes:
        task: What is predicted.
        batches: Of the split, in order.
        targets: Of the split, as it has them.
        loss: Mean over a batch.
        preprocess: Gives outputs of a regression their unit back.
        precision: Makes the context in which forward passes run.
        should_stop: Asked before each batch.
    """

    task: Task
    batches: Batches
    targets: Tensor
    loss: Loss
    preprocess: Preprocess
    precision: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
    should_stop: Callable[[], bool] = lambda: False

    def measure(self, model: nn.Module) -> Evaluation:
        """Loss and scores of the model in evaluation mode.

        Raises:
            EvaluationStopped: `should_stop` said so.
        """
        totals = Totals(self.task, self.batches.device)
        outputs = []
        objective = make_objective(model, self.loss)
        with evaluating(model), torch.inference_mode():
            for batch in self.batches.read():
                if self.should_stop():
                    raise EvaluationStopped
                with self.precision():
                    out, loss = objective(batch.inputs, batch.targets)
                    totals.add(loss, out, batch.targets)
                outputs.append(out.float())
        together = torch.cat(outputs)
        scores = {name.removeprefix("_"): value for name, value in totals.read("").items()}
        if self.task == "regression":
            scores |= score_regression(self.preprocess.decode_outputs(together), self.targets)
        return Evaluation(scores, together)


def score_regression(predictions: Tensor, targets: Tensor) -> dict[str, float]:
    """Root mean squared error and the share of variance explained.

    Args:
        predictions: `(N, ...)` in the targets' unit.
        targets: `(N, ...)`.
    """
    wanted = targets.to(predictions.device, torch.float64)
    error = predictions.reshape(wanted.shape).double() - wanted
    squared = float(error.square().sum())
    variation = float((wanted - wanted.mean(0)).square().sum())
    r2 = 1.0 - squared / variation if variation else math.nan
    return {"rmse": math.sqrt(squared / error.numel()), "r2": r2}


def score_names(task: Task) -> tuple[str, ...]:
    """The names of a task's scores."""
    if is_classification(task):
        return ("loss", "accuracy")
    return ("loss", "rmse", "r2") if task == "regression" else ("loss",)


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode within; each gets its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
