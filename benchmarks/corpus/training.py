"""A training loop whose parts can be exchanged, for tasks of all kinds."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from benchmarks.corpus.data import Data
from benchmarks.corpus.loop import Metric, metric_of, predict
from benchmarks.corpus.program import Outcome, Watch, Watcher

Told = Literal["everything", "data", "batches", "losses"]
"""What a program tells its watcher: as in loop.py; "data" is everything but the task."""

Update = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Makes one update with a batch; returns its loss and the outputs."""


def position_accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Share of right classes of scores `(N, classes, ...)` for targets `(N, ...)`."""
    return (outputs.argmax(1) == targets).float().mean().item()


def label_f1(outputs: Tensor, targets: Tensor) -> float:
    """F1 of logits against targets of 0 and 1, over all labels or pixels."""
    found = (outputs > 0).float()
    hits = (found * targets).sum()
    return (2 * hits / (found.sum() + targets.sum()).clamp(min=1)).item()


def bit_accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Share of right bits, of logits."""
    return ((outputs > 0).float() == targets).float().mean().item()


def plain_update(
    model: nn.Module, optimizer: Optimizer, loss_fn: Any, clip: float | None = None
) -> Update:
    """Clear, run, derive, clip, step."""

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        if clip is not None:
            clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss, outputs

    return update


def in_order(count: int) -> Tensor:
    return torch.arange(count)


def train(
    watch: Watch,
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: Any,
    data: Data,
    *,
    epochs: int,
    batch_size: int = 32,
    told: Told = "everything",
    metric: Metric | None = None,
    update: Update | None = None,
    order: Callable[[int], Tensor] = torch.randperm,
    augment: Callable[[Tensor], Tensor] | None = None,
    clip: float | None = None,
    after_batch: Callable[[], Any] | None = None,
    after_epoch: Callable[[float], Any] | None = None,
    before_epoch: Callable[[], Any] | None = None,
    infer: Callable[[Tensor], Tensor] | None = None,
) -> Outcome:
    """Trains a model; returns the validation score of the last epoch.

    Args:
        told: What the watcher is told.
        metric: None: accuracy or R².
        update: None: clear, run, derive, step.
        order: Of so many examples in an epoch.
        augment: Of a batch of inputs.
        clip: Largest norm of the gradient.
        after_batch: A scheduler's step, most often.
        after_epoch: Likewise, given the validation loss.
        before_epoch: None: the model is put into training mode.
        infer: Outputs for validation inputs; None: in evaluation mode, all at once.
    """
    update = update or plain_update(model, optimizer, loss_fn, clip)
    infer = infer or partial(predict, model)
    metric = metric or metric_of(data.task)
    watcher = start(watch, model, optimizer, loss_fn, data, told)
    score = math.nan
    for _ in range(epochs):
        (before_epoch or model.train)()
        losses: list[Tensor] = []
        for rows in order(len(data.x)).split(batch_size):
            xb, yb = data.x[rows], data.y[rows]
            if augment is not None:
                xb = augment(xb)
            loss, outputs = update(xb, yb)
            if told == "losses":
                watcher.step(loss)
            else:
                watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.detach())
            if after_batch is not None:
                after_batch()
        score, valid_loss = end_epoch(watcher, infer, loss_fn, data, losses, metric, told)
        if after_epoch is not None:
            after_epoch(valid_loss)
    return Outcome(score, score)


def start(
    watch: Watch, model: nn.Module, optimizer: Optimizer, loss_fn: Any, data: Data, told: Told
) -> Watcher:
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
        task=data.task if told == "everything" else None,
    )


@torch.no_grad()
def end_epoch(
    watcher: Watcher,
    infer: Callable[[Tensor], Tensor],
    loss_fn: Any,
    data: Data,
    losses: list[Tensor],
    metric: Metric,
    told: Told,
) -> tuple[float, float]:
    """Measures, tells the watcher, and returns the validation score and loss."""
    outputs = infer(data.x_valid)
    score, valid_loss = metric(outputs, data.y_valid), loss_fn(outputs, data.y_valid).item()
    train_loss = torch.stack(losses).mean().item()
    if told in ("everything", "data") and data.task in ("multiclass", "binary"):
        train_metric = metric(infer(data.x), data.y)
        watcher.epoch(
            train_loss=train_loss,
            valid_loss=valid_loss,
            train_metric=train_metric,
            valid_metric=score,
        )
    else:
        watcher.epoch(train_loss=train_loss, valid_loss=valid_loss)
    return score, valid_loss


def measure(model: nn.Module, data: Data, metric: Metric | None = None) -> float:
    """The validation score of a trained model."""
    return (metric or metric_of(data.task))(predict(model, data.x_valid), data.y_valid)
