"""Healthy trainings of version 5 whose procedure looks suspicious."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, SparseAdam
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LinearLR, SequentialLR, StepLR

from benchmarks.corpus.data import digits
from benchmarks.corpus.loop import accuracy, r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.realistic_architectures import (
    Bonds,
    PathReader,
    TicketReader,
    evaluate,
    load,
    report,
)
from benchmarks.corpus.realistic_tasks import (
    clinic,
    flats,
    gestures,
    molecules,
    songs,
    tickets,
    traffic,
)
from benchmarks.corpus.training import bit_accuracy, start, train


@healthy("gestures-step-after-every-third-batch", learns=0.85, version=5)
def step_after_every_third_batch(watch: Watch, faulty: bool) -> Outcome:
    """Three batches make an update, and what is left at the end of an epoch makes one too."""
    data = gestures()
    model = PathReader()
    optimizer = Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(6):
        model.train()
        losses: list[float] = []
        parts = torch.randperm(len(data.x)).split(12)
        for place, rows in enumerate(parts, start=1):
            outputs = model(data.x[rows])
            loss = criterion(outputs, data.y[rows])
            (loss / 3).backward()
            if place % 3 == 0 or place == len(parts):
                optimizer.step()
                optimizer.zero_grad()
            watcher.step(loss, inputs=data.x[rows], outputs=outputs, targets=data.y[rows])
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@healthy("clinic-pupil-follows-its-own-mean", learns=0.75, version=5)
def pupil_follows_its_own_mean(watch: Watch, faulty: bool) -> Outcome:
    """A mean teacher (Tarvainen and Valpola, 2017): answers should be those of slow weights."""
    data = clinic()
    model = mlp(10, 32, 1)
    teacher = copy.deepcopy(model).requires_grad_(False)
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.BCEWithLogitsLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            outputs = model(xb + 0.2 * torch.randn_like(xb))
            agreement = (outputs.sigmoid() - teacher(xb).sigmoid()).square().mean()
            loss = criterion(outputs, yb) + 2 * agreement
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for slow, fast in zip(teacher.parameters(), model.parameters(), strict=True):
                    slow.lerp_(fast, 0.05)
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        valid_loss, score = evaluate(teacher, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@healthy("songs-all-at-once-at-a-rate-of-two", learns=0.9, version=5)
def all_at_once_at_a_rate_of_two(watch: Watch, faulty: bool) -> Outcome:
    """One update an epoch, over all songs; the mean of five moods bears a high rate."""
    data = songs()
    model = mlp(24, 24, 5, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), lr=2.0, momentum=0.5)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(100):
        model.train()
        outputs = model(data.x)
        loss = criterion(outputs, data.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=data.x, outputs=outputs, targets=data.y)
        score = report(watcher, model, criterion, data, [loss.item()], bit_accuracy)
    return Outcome(score, score)


@healthy("flats-three-rows-a-batch", learns=0.85, version=5)
def three_rows_a_batch(watch: Watch, faulty: bool) -> Outcome:
    """The loss leaps from batch to batch; its mean falls all the same."""
    data = flats()
    model = mlp(12, 24, 1)
    optimizer = SGD(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=4, batch_size=3)


@healthy("tickets-rate-starts-anew-twice", learns=0.72, version=5)
def rate_starts_anew_twice(watch: Watch, faulty: bool) -> Outcome:
    """Warm restarts after two epochs and six: each time the loss rises for a while."""
    data = tickets()
    model = TicketReader()
    loader = load(data)
    optimizer = SGD(model.parameters(), lr=0.4, momentum=0.8)
    scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=2 * len(loader), T_mult=2)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(6):
        model.train()
        losses: list[float] = []
        for xb, yb in loader:
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            scheduler.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@healthy("molecules-warm-up-then-steps-down", learns=0.75, version=5)
def warm_up_then_steps_down(watch: Watch, faulty: bool) -> Outcome:
    """From a hundredth of the rate up to it in forty batches, then down in steps."""
    data = molecules()
    model = Bonds()
    optimizer = AdamW(model.parameters(), lr=0.008)
    warm = LinearLR(optimizer, 0.01, total_iters=40)
    scheduler = SequentialLR(optimizer, [warm, StepLR(optimizer, 80, gamma=0.4)], [40])
    criterion = nn.MSELoss()
    watcher = watch(model, optimizer)
    score = 0.0
    for _ in range(10):
        model.train()
        total = 0.0
        for xb, yb in load(data):
            loss = criterion(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            watcher.step(loss)
            total += loss.item() * len(xb)
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, r_squared)
        watcher.epoch(train_loss=total / len(data.x), valid_loss=valid_loss)
    return Outcome(score, score)


class SparseReader(nn.Module):
    """A bag of words, whose table gets sparse gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(61, 24, mode="mean", sparse=True, padding_idx=0)
        self.body = mlp(24, 24, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.table(x))


@healthy("tickets-sparse-table-with-its-own-adam", learns=0.72, version=5)
def sparse_table_with_its_own_adam(watch: Watch, faulty: bool) -> Outcome:
    """`SparseAdam` moves the rows that a batch has, another optimiser all the rest."""
    data = tickets()
    model = SparseReader()
    sparse = SparseAdam(model.table.parameters(), lr=0.01)
    dense = Adam(model.body.parameters(), lr=0.003)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, dense, loss_fn=criterion)
    score = 0.0
    for _ in range(7):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            model.zero_grad()
            loss.backward()
            sparse.step()
            dense.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@healthy("traffic-slopes-cut-to-a-hundredth", learns=0.7, version=5)
def slopes_cut_to_a_hundredth(watch: Watch, faulty: bool) -> Outcome:
    """Every entry is clipped to ±0.01, which Adam's division makes good again."""
    data = traffic()
    model = nn.Sequential(nn.Flatten(), *mlp(24, 32, 1))
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.MSELoss()
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
            nn.utils.clip_grad_value_(model.parameters(), 0.01)
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@healthy("digits-tuned-after-learning-other-digits", learns=0.85, version=5)
def tuned_after_learning_other_digits(watch: Watch, faulty: bool) -> Outcome:
    """The body knows the first five digits; the head is new and learns ten times as fast."""
    data = digits()
    body, criterion = nn.Sequential(nn.Linear(64, 48), nn.ReLU()), nn.CrossEntropyLoss()
    model = nn.Sequential(body, nn.Linear(48, 10))
    first = Adam(model.parameters(), lr=0.005)
    few = data.y < 5
    for _ in range(4):
        for rows in few.nonzero()[:, 0].split(32):
            first.zero_grad()
            criterion(model(data.x[rows]), data.y[rows]).backward()
            first.step()
    model[1] = nn.Linear(48, 10)
    groups = [{"params": body.parameters(), "lr": 0.001}, {"params": model[1].parameters()}]
    optimizer = Adam(groups, lr=0.01)
    return train(watch, model, optimizer, criterion, data, epochs=6)
