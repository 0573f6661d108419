"""The training loop that most programs share; those whose fault is in the loop have their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from benchmarks.corpus.data import Data, Task
from benchmarks.corpus.program import Outcome, Watch, Watcher

Metric = Callable[[Tensor, Tensor], float]
Told = Literal["everything", "batches", "losses"]
"""What a program tells its watcher. Everything: data, loss function and task; every step's batch;
every epoch's losses and metrics. Batches: no data, no task, no metrics. Losses: only the loss of
each step and of each epoch."""


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Share of right answers of scores `(N, classes)`, or of one logit `(N, 1)`."""
    if outputs.ndim > 1 and outputs.shape[1] > 1:
        return (outputs.argmax(1) == targets.flatten()).float().mean().item()
    return ((outputs > 0) == (targets > 0.5)).float().mean().item()


def probability_accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Share of right answers of a probability `(N, 1)`."""
    return accuracy(outputs - 0.5, targets)


def balanced_accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Mean over the classes of the share of right answers."""
    classes = targets.unique()
    rows = [targets.flatten() == value for value in classes]
    return sum(accuracy(outputs[row], targets[row]) for row in rows) / len(rows)


def r_squared(outputs: Tensor, targets: Tensor) -> float:
    """Share of the variance that is explained; −1 where it is less than that or not finite."""
    missed = ((outputs - targets) ** 2).mean() / targets.var(correction=0)
    value = 1 - missed.item()
    return value if math.isfinite(value) and value > -1 else -1.0


def metric_of(task: Task) -> Metric:
    return accuracy if task in ("multiclass", "binary") else r_squared


def batches(
    x: Tensor, y: Tensor, size: int, shuffle: bool = True
) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
    for rows in order.split(size):
        yield x[rows], y[rows]


@torch.no_grad()
def predict(model: nn.Module, x: Tensor) -> Tensor:
    model.eval()
    return model(x)


def start_watcher(
    watch: Watch,
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: Any,
    data: Data,
    told: Told = "everything",
) -> Watcher:
    """The watcher, given what a program of this kind gives."""
    if told == "losses":
        return watch(model, optimizer)
    if told == "batches":
        return watch(model, optimizer, loss_fn=loss_fn)
    return watch(
        model,
        optimizer,
        loss_fn=loss_fn,
        train=(data.x, data.y),
        valid=(data.x_valid, data.y_valid),
        task=data.task,
    )


def validate(
    watcher: Watcher,
    model: nn.Module,
    loss_fn: Any,
    data: Data,
    trained: list[Tensor],
    metric: Metric | None = None,
    told: Told = "everything",
) -> float:
    """Ends an epoch: measures, tells the watcher, and returns the validation score."""
    metric = metric or metric_of(data.task)
    outputs = predict(model, data.x_valid)
    score = metric(outputs, data.y_valid)
    told_losses = {
        "train_loss": torch.stack(trained).mean().item(),
        "valid_loss": loss_fn(outputs, data.y_valid).item(),
    }
    if told == "everything" and data.task in ("multiclass", "binary"):
        train_metric = metric(predict(model, data.x), data.y)
        watcher.epoch(**told_losses, train_metric=train_metric, valid_metric=score)
    else:
        watcher.epoch(**told_losses)
    return score


def fit(
    watch: Watch,
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: Any,
    data: Data,
    *,
    epochs: int,
    batch_size: int = 32,
    shuffle: bool = True,
    clip: float | None = None,
    augment: Callable[[Tensor], Tensor] | None = None,
    penalty: Callable[[], Tensor] | None = None,
    after_batch: Callable[[], Any] | None = None,
    after_epoch: Callable[[float], Any] | None = None,
    metric: Metric | None = None,
    told: Told = "everything",
) -> Outcome:
    """Trains a model; returns the validation score of the last epoch.

    Args:
        clip: Largest norm of the gradient.
        augment: Of a batch of inputs.
        penalty: Is added to the loss.
        after_batch: A scheduler's step, most often.
        after_epoch: Likewise, given the validation score.
        metric: None: accuracy or R².
        told: What the watcher is told.
    """
    watcher = start_watcher(watch, model, optimizer, loss_fn, data, told)
    score = math.nan
    for _ in range(epochs):
        model.train()
        losses = []
        for xb, yb in batches(data.x, data.y, batch_size, shuffle):
            if augment is not None:
                xb = augment(xb)
            optimizer.zero_grad()
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            if penalty is not None:
                loss = loss + penalty()
            loss.backward()
            if clip is not None:
                clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            if told == "losses":
                watcher.step(loss)
            else:
                watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            if after_batch is not None:
                after_batch()
            losses.append(loss.detach())
        score = validate(watcher, model, loss_fn, data, losses, metric, told)
        if after_epoch is not None:
            after_epoch(score)
    return Outcome(score, score)


def score(model: nn.Module, data: Data, metric: Metric | None = None) -> float:
    """The validation score of a trained model."""
    return (metric or metric_of(data.task))(predict(model, data.x_valid), data.y_valid)
