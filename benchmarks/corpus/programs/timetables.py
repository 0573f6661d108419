"""Schedules of version 5 that are stepped at the wrong time, or made for another one."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    MultiStepLR,
    OneCycleLR,
)

from benchmarks.corpus.loop import r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    Coder,
    GlyphNet,
    OfferScorer,
    evaluate,
    load,
    report,
)
from benchmarks.corpus.realistic_tasks import (
    best_first,
    clinic,
    glyphs,
    hotels,
    spectra,
    traffic,
)
from benchmarks.corpus.training import start, train


@faulty(
    "hotels-milestones-in-epochs-met-by-batches", "lr_schedule", subtle=True, learns=0.7, version=5
)
def milestones_in_epochs_met_by_batches(watch: Watch, faulty: bool) -> Outcome:
    """`scheduler.step()` is indented once too often: batches 6 and 9 divide the rate by ten."""
    data = hotels()
    model = OfferScorer()
    optimizer = Adam(model.parameters(), lr=0.005)
    scheduler = MultiStepLR(optimizer, milestones=[6, 9], gamma=0.1)

    def criterion(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, targets.argmax(1))

    watcher = start(watch, model, optimizer, criterion, data, "data")
    score = 0.0
    for _ in range(11):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
            if faulty:
                scheduler.step()
        if not faulty:
            scheduler.step()
        score = report(watcher, model, criterion, data, losses, best_first)
    return Outcome(score, score)


@faulty(
    "traffic-warm-up-that-is-never-stepped",
    "lr_schedule",
    "lr_too_low",
    learns=0.6,
    margin=0.1,
    version=5,
)
def warm_up_that_is_never_stepped(watch: Watch, faulty: bool) -> Outcome:
    """A warm-up begins at a two-hundredth of the rate, and nobody calls `scheduler.step()`."""
    data = traffic()
    model = nn.Sequential(nn.Flatten(), *mlp(24, 32, 1))
    optimizer = AdamW(model.parameters(), lr=0.01)
    scheduler = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 200))
    criterion = nn.MSELoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(12):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            if not faulty:
                scheduler.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty("spectra-one-cycle-for-a-hundred-epochs", "lr_schedule", learns=0.9, margin=0.05, version=5)
def one_cycle_for_a_hundred_epochs(watch: Watch, faulty: bool) -> Outcome:
    """The cycle is made for a hundred epochs; the training ends after eight, far below its top."""
    data = spectra()
    model = Coder()
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.9)
    loader = load(data)
    epochs = 8
    planned = 100 if faulty else epochs
    scheduler = OneCycleLR(optimizer, 0.3, epochs=planned, steps_per_epoch=len(loader))
    criterion = nn.MSELoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(epochs):
        model.train()
        losses: list[float] = []
        for xb, _ in loader:
            outputs = model(xb)
            loss = criterion(outputs, xb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=xb)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, r_squared)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty(
    "clinic-decay-of-an-epoch-at-each-batch",
    "lr_schedule",
    subtle=True,
    learns=0.75,
    margin=0.04,
    version=5,
)
def decay_of_an_epoch_at_each_batch(watch: Watch, faulty: bool) -> Outcome:
    """Nine tenths of the rate are left after each batch, and not after each epoch."""
    data = clinic()
    model = mlp(10, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    scheduler = ExponentialLR(optimizer, gamma=0.9)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            if faulty:
                scheduler.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        scheduler.step()
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty(
    "glyphs-cosine-back-up-after-eight-batches",
    "lr_schedule",
    subtle=True,
    learns=0.9,
    margin=0.025,
    version=5,
)
def cosine_back_up_after_eight_batches(watch: Watch, faulty: bool) -> Outcome:
    """`T_max` is 8 epochs, stepped after each batch: the rate is up again sixteen batches later."""
    data = glyphs()
    model = GlyphNet()
    optimizer = SGD(model.parameters(), lr=0.08, momentum=0.9)
    scheduler = CosineAnnealingLR(optimizer, T_max=8)
    criterion = nn.CrossEntropyLoss()
    step_each = scheduler.step if faulty else None
    return train(
        watch,
        model,
        optimizer,
        criterion,
        data,
        epochs=8,
        after_batch=step_each,
        after_epoch=None if faulty else lambda _: scheduler.step(),
    )
