"""Batch normalisation and dropout that act at the wrong time or on the wrong numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.optim import SGD, Adam

from benchmarks.corpus.data import (
    Data,
    arrows,
    clusters,
    diabetes,
    digit_images,
    digits,
    digits_as_bytes,
    friedman,
    noisy_linear,
    raw_wine,
)
from benchmarks.corpus.loop import (
    accuracy,
    batches,
    fit,
    predict,
    r_squared,
    start_watcher,
    validate,
)
from benchmarks.corpus.program import Outcome, Watch, faulty


def normalised_mlp(
    *widths: int, activation: Callable[[], nn.Module] = nn.ReLU, **options: float | bool | None
) -> nn.Sequential:
    """Linear layers with batch normalisation and an activation between them."""
    model = nn.Sequential()
    for inputs, outputs in pairwise(widths):
        norm = nn.BatchNorm1d(outputs, **options)  # pyright: ignore[reportArgumentType]
        model.extend([nn.Linear(inputs, outputs), norm, activation()])
    return model[:-2]


@faulty("digits-batchnorm-hardly-follows", "batchnorm_misuse", learns=0.9, margin=0.1)
def hardly_follows(watch: Watch, faulty: bool) -> Outcome:
    momentum = 0.0001 if faulty else 0.1
    model = normalised_mlp(64, 32, 32, 32, 32, 10, activation=nn.Tanh, momentum=momentum)
    optimizer = SGD(model.parameters(), lr=0.03)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits_as_bytes(), epochs=8)


@faulty("clusters-batchnorm-keeps-the-last-batch", "batchnorm_misuse", subtle=True, learns=0.85)
def keeps_the_last_batch(watch: Watch, faulty: bool) -> Outcome:
    data = clusters()
    model = normalised_mlp(20, 48, 48, 4, momentum=0.99 if faulty else 0.05)
    optimizer = Adam(model.parameters(), lr=0.003)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, data, epochs=3, batch_size=4)


@faulty("digits-batchnorm-on-batches-of-two", "batchnorm_misuse", learns=0.9)
def batches_of_two(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    model = normalised_mlp(64, 32, 32, 10)
    optimizer = Adam(model.parameters(), lr=0.01)
    size, epochs = (2, 1) if faulty else (34, 5)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, data, epochs=epochs, batch_size=size)


@faulty("friedman-batchnorm-after-the-output", "batchnorm_misuse", "output_activation", learns=0.8)
def after_the_output(watch: Watch, faulty: bool) -> Outcome:
    data = friedman()
    data = Data(data.x, 4 + 3 * data.y, data.x_valid, 4 + 3 * data.y_valid, data.task)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
    if faulty:
        model.append(nn.BatchNorm1d(1, affine=False))
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=20)


@faulty("digits-batchnorm-validated-class-by-class", "batchnorm_misuse", subtle=True, learns=0.9)
def validated_class_by_class(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    model = normalised_mlp(64, 32, 10, track_running_stats=not faulty)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data)
    order = data.y_valid.argsort()
    score = math.nan
    for _ in range(8):
        model.train()
        losses = []
        for xb, yb in batches(data.x, data.y, 32):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.detach())
        outputs = torch.cat([predict(model, data.x_valid[rows]) for rows in order.split(16)])
        score = accuracy(outputs, data.y_valid[order])
        watcher.epoch(
            train_loss=torch.stack(losses).mean().item(),
            train_metric=accuracy(predict(model, data.x), data.y),
            valid_loss=loss_fn(outputs, data.y_valid[order]).item(),
            valid_metric=score,
        )
    return Outcome(score, score)


@faulty("arrows-validated-in-training-mode", "eval_mode_bug", learns=0.6)
def validated_in_training_mode(watch: Watch, faulty: bool) -> Outcome:
    data = arrows()
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(576, 48),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(48, 4),
    )
    optimizer = Adam(model.parameters(), lr=0.004)
    return fit_and_validate(watch, model, optimizer, nn.CrossEntropyLoss(), data, 12, not faulty)


def fit_and_validate(
    watch: Watch,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_fn: nn.Module,
    data: Data,
    epochs: int,
    evaluates: bool,
    returns: bool = True,
    valid_batch: int = 64,
) -> Outcome:
    """Trains; the modes of the validation and of what comes after it may be wrong."""
    watcher = start_watcher(watch, model, optimizer, loss_fn, data)
    measure = r_squared if data.task == "regression" else accuracy
    score = math.nan
    model.train()
    for _ in range(epochs):
        if returns:
            model.train()
        losses = []
        for xb, yb in batches(data.x, data.y, 32):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.detach())
        if evaluates:
            model.eval()
        with torch.no_grad():
            outputs = torch.cat([model(part) for part in data.x_valid.split(valid_batch)])
        score = measure(outputs, data.y_valid)
        watcher.epoch(
            train_loss=torch.stack(losses).mean().item(),
            valid_loss=loss_fn(outputs, data.y_valid).item(),
            valid_metric=score if data.task != "regression" else None,
        )
    return Outcome(score, score)


@faulty("linear-dropout-in-validation", "eval_mode_bug", learns=0.4)
def dropout_in_validation(watch: Watch, faulty: bool) -> Outcome:
    data = noisy_linear(noise=0.5)
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.65), nn.Linear(64, 1))
    optimizer = SGD(model.parameters(), lr=0.05)
    return fit_and_validate(watch, model, optimizer, nn.MSELoss(), data, 20, not faulty)


@faulty("diabetes-never-back-to-training", "eval_mode_bug", subtle=True, learns=0.3)
def never_back_to_training(watch: Watch, faulty: bool) -> Outcome:
    data = diabetes().head(200)
    model = nn.Sequential(nn.Linear(10, 128), nn.ReLU(), nn.Dropout(0.7), nn.Linear(128, 1))
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit_and_validate(
        watch, model, optimizer, nn.MSELoss(), data, 40, evaluates=True, returns=not faulty
    )


@faulty("digit-images-batchnorm-in-eval-mode", "eval_mode_bug", "batchnorm_misuse", learns=0.9)
def batchnorm_in_eval_mode(watch: Watch, faulty: bool) -> Outcome:
    data = digit_images()
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
    )
    nn.init.normal_(model[0].weight, std=0.01)
    optimizer = SGD(model.parameters(), lr=0.02)
    loss_fn = nn.CrossEntropyLoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data)
    score = math.nan
    for _ in range(8):
        model.train(not faulty)
        losses = []
        for xb, yb in batches(data.x, data.y, 32):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.detach())
        score = validate(watcher, model, loss_fn, data, losses)
    return Outcome(score, score)


@faulty("wine-batchnorm-validated-one-class-at-a-time", "eval_mode_bug", subtle=True, learns=0.85)
def validated_one_class_at_a_time(watch: Watch, faulty: bool) -> Outcome:
    data = raw_wine()
    order = data.y_valid.argsort()
    data = Data(data.x, data.y, data.x_valid[order], data.y_valid[order], data.task)
    model = nn.Sequential(nn.BatchNorm1d(13), nn.Linear(13, 24), nn.ReLU(), nn.Linear(24, 3))
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()
    return fit_and_validate(watch, model, optimizer, loss_fn, data, 60, not faulty, valid_batch=18)
