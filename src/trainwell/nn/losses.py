"""Losses: what a task minimises, as the mean over the examples of a batch."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from trainwell.data.dataset import Task
from trainwell.errors import ModelError

Loss = Callable[[Tensor, Tensor], Tensor]


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error; refuses shapes that would broadcast, as `(N, 1)` against `(N,)`.

    Args:
        outputs: `(N, ...)`; a single output column may also meet targets `(N,)`.
        targets: `(N, ...)`.
    """
    return functional.mse_loss(outputs.reshape(targets.shape), targets)


def binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits for two classes.

    Args:
        outputs: Logits `(N, 1)` or `(N,)`.
        targets: Class numbers 0 and 1, `(N,)`.
    """
    logits = outputs.reshape(targets.shape)
    return functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))


def choose_loss(task: Task, outputs: int, label_smoothing: float = 0.0) -> Loss:
    """The loss of maximum likelihood for a task.

    Args:
        task: What is predicted.
        outputs: How many numbers the model puts out for one example.
        label_smoothing: Probability spread over all classes (Szegedy et al. 2016); only for
            more than one output of a classification.

    Raises:
        ModelError: A regression cannot smooth labels.
    """
    if task in ("regression", "reconstruction"):
        if label_smoothing:
            raise ModelError(
                f"label_smoothing does not apply to a {task}", remedy="Leave label_smoothing at 0"
            )
        return squared_error
    if outputs == 1:
        return binary_cross_entropy
    # torch's own function when nothing is smoothed: one Python call less in every step.
    if not label_smoothing:
        return functional.cross_entropy

    def smoothed_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets, label_smoothing=label_smoothing)

    return smoothed_cross_entropy
