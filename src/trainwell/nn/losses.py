"""Losses: what a task minimises, as the mean over the examples of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
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


def multiclass_hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    """Σ over the wrong classes of max(0, 1 + s_j − s_y) (Weston & Watkins 1999), as SVMs have it.

    Args:
        outputs: Scores `(N, C)`, or `(N, 1)` for two classes.
        targets: Class numbers `(N,)`.
    """
    if outputs.shape[-1] == 1:
        return margin_loss("hinge", outputs, targets)
    # torch divides by the number of classes; the lectures' sum does not.
    return functional.multi_margin_loss(outputs, targets) * outputs.shape[1]


def perceptron_criterion(outputs: Tensor, targets: Tensor) -> Tensor:
    """max(0, highest score of another class − score of the right one); Rosenblatt (1957).

    Args:
        outputs: Scores `(N, C)`, or `(N, 1)` for two classes.
        targets: Class numbers `(N,)`.
    """
    if outputs.shape[-1] == 1:
        return margin_loss("perceptron", outputs, targets)
    right = outputs.gather(1, targets.unsqueeze(1)).squeeze(1)
    return (outputs.amax(1) - right).mean()


MARGIN_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "perceptron": lambda margin: functional.relu(-margin),
    "hinge": lambda margin: functional.relu(1 - margin),
    "logistic": lambda margin: functional.softplus(-margin),
    "squared": lambda margin: (1 - margin).square(),
    "exponential": lambda margin: torch.exp(-margin),
}
"""Losses of the margin d · s, with d = ±1 the class and s the score: all linear models are the mean
of one of these plus lambda times a penalty of the weights."""


def margin_loss(name: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean of a loss of the margin.

    Args:
        name: Of `MARGIN_LOSSES`.
        outputs: Scores `(N, 1)` or `(N,)`.
        targets: Class numbers 0 and 1, `(N,)`.
    """
    scores = outputs.reshape(targets.shape)
    return MARGIN_LOSSES[name](scores * (2 * targets.to(scores.dtype) - 1)).mean()


def l2_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """Half the sum of squares of all parameters with two or more dimensions."""
    return sum_of(0.5 * p.square().sum() for p in parameters if p.ndim > 1)


def l1_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """The sum of magnitudes of all parameters with two or more dimensions."""
    return sum_of(p.abs().sum() for p in parameters if p.ndim > 1)


def sum_of(terms: Iterable[Tensor]) -> Tensor:
    """The sum of scalars; zero of none."""
    found = list(terms)
    return torch.stack(found).sum() if found else torch.zeros(())


LOSSES: dict[str, Loss] = {
    "squared_error": squared_error,
    "hinge": multiclass_hinge,
    "perceptron": perceptron_criterion,
}
"""Losses that a recipe can name in place of the loss of maximum likelihood."""


def choose_loss(
    task: Task, outputs: int, label_smoothing: float = 0.0, name: str | None = None
) -> Loss:
    """The loss of maximum likelihood for a task, or the named one.

    Args:
        task: What is predicted.
        outputs: How many numbers the model puts out for one example.
        label_smoothing: Probability spread over all classes (Szegedy et al. 2016); only for
            more than one output of a classification.
        name: Of `LOSSES`; None: maximum likelihood.

    Raises:
        ModelError: A regression cannot smooth labels, or the named loss does not suit the task.
    """
    if name is not None:
        return _named_loss(name, task, label_smoothing)
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


def _named_loss(name: str, task: Task, label_smoothing: float) -> Loss:
    if label_smoothing:
        raise ModelError(
            f"label_smoothing does not apply to the loss {name}", remedy="Leave it at 0"
        )
    is_class = task in ("binary", "multiclass")
    if is_class != (name != "squared_error"):
        raise ModelError(
            f"the loss {name} does not suit a {task} task", remedy="Leave the loss open"
        )
    return LOSSES[name]
