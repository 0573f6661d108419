"""Predictions averaged over several views of each image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.data.dataset import Task
from trainwell.data.views import View
from trainwell.errors import ModelError
from trainwell.training.metrics import is_classification


class AveragedViews(nn.Module):
    """A model that looks at each image several times.

    Args:
        model: Trained; run once for each view.
        views: Of preprocessed images.
        task: How outputs are averaged, as `average_outputs` says.

    Raises:
        ModelError: It reconstructs: reconstructions of different views have no average.
    """

    def __init__(self, model: nn.Module, views: Sequence[View], task: Task) -> None:
        super().__init__()
        if task == "reconstruction":
            raise ModelError(
                "reconstructions of several views cannot be averaged", remedy="Leave views at 1"
            )
        self.model, self.views = model, views
        self.task: Task = task

    def forward(self, images: Tensor) -> Tensor:
        """Averaged outputs `(N, outputs)` of preprocessed images `(N, C, H, W)`."""
        outputs = torch.stack([self.model(view(images)).float() for view in self.views])
        return average_outputs(outputs, self.task)


def average_outputs(outputs: Tensor, task: Task) -> Tensor:
    """What one look with the averaged prediction would have put out.

    Probabilities are averaged, not logits: the result of a classification are logits of the
    average, for several classes its logarithm. A regression's numbers are averaged.

    Args:
        outputs: Of each view, `(V, N, outputs)`; `(V, N, 1)` or `(V, N)` are logits of the second
            of two classes, where the task is a classification.
        task: What is predicted.
    """
    if not is_classification(task):
        return outputs.mean(0)
    if outputs.ndim == 3 and outputs.shape[2] > 1:
        return _average_logarithms(functional.log_softmax(outputs, -1))
    second = _average_logarithms(functional.logsigmoid(outputs))
    return second - _average_logarithms(functional.logsigmoid(-outputs))


def _average_logarithms(logarithms: Tensor) -> Tensor:
    """The logarithm of the average, without leaving the logarithms."""
    return logarithms.logsumexp(0) - math.log(len(logarithms))
