"""Models of version 5 put together so that a part of them is not trained."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.loop import accuracy
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    Bonds,
    GlyphNet,
    PathReader,
    PointSet,
    Towers,
    evaluate,
    load,
    report,
    vowel_network,
)
from benchmarks.corpus.realistic_tasks import clouds, films, gestures, glyphs, molecules, vowels
from benchmarks.corpus.training import start


@faulty("glyphs-head-exchanged-after-the-optimizer", "frozen_params", learns=0.8, version=5)
def head_exchanged_after_the_optimizer(watch: Watch, faulty: bool) -> Outcome:
    """Only the head is tuned, and the optimiser has the one of before it was replaced."""
    data = glyphs()
    model = GlyphNet()
    criterion = nn.CrossEntropyLoss()
    first = Adam(model.parameters(), lr=0.005)
    for _ in range(3):
        for xb, yb in load(data):
            first.zero_grad()
            criterion(model(xb), (yb + 1) % 5).backward()
            first.step()
    for parameter in model.parameters():
        parameter.requires_grad = False
    if not faulty:
        model.fc2 = nn.Linear(32, 5)
    model.fc2.requires_grad_()
    optimizer = Adam(model.fc2.parameters(), lr=0.02)
    if faulty:
        model.fc2 = nn.Linear(32, 5)
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(6):
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
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty("films-parameters-counted-before-the-optimizer", "frozen_params", learns=0.75, version=5)
def parameters_counted_before_the_optimizer(watch: Watch, faulty: bool) -> Outcome:
    """`filter` gives its parameters once; counting them left none for the optimiser."""
    data = films()
    model = Towers()
    tables = filter(lambda p: p.ndim > 1, model.parameters())
    if not faulty:
        tables = list(tables)
    size = sum(parameter.numel() for parameter in tables)
    assert size > 0
    optimizer = AdamW(
        [{"params": tables, "weight_decay": 0.01}, {"params": [model.start]}], lr=0.02
    )
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(8):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 64):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty("gestures-thawed-by-an-attribute", "frozen_params", subtle=True, learns=0.85, version=5)
def thawed_by_an_attribute(watch: Watch, faulty: bool) -> Outcome:
    """After an epoch `model.recurrent.requires_grad = True` sets a name and thaws nothing."""
    data = gestures()
    model = PathReader(width=12)
    for parameter in model.recurrent.parameters():
        parameter.requires_grad = False
    optimizer = Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for epoch in range(8):
        if epoch == 1 and faulty:
            model.recurrent.requires_grad = True  # pyright: ignore[reportAttributeAccessIssue]
        elif epoch == 1:
            model.recurrent.requires_grad_(True)
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
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty("vowels-checkpoint-assigned-after-the-optimizer", "frozen_params", learns=0.9, version=5)
def checkpoint_assigned_after_the_optimizer(watch: Watch, faulty: bool) -> Outcome:
    """`load_state_dict(assign=True)` puts new tensors into the model; the old ones are stepped."""
    data = vowels()
    model = vowel_network()
    saved = copy.deepcopy(model.state_dict())
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    model.load_state_dict(saved, assign=faulty)
    model.requires_grad_()
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer)
    score = 0.0
    for _ in range(6):
        model.train()
        total, seen = 0.0, 0
        for xb, yb in load(data):
            optimizer.zero_grad()
            loss = criterion(model(xb), yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss)
            total, seen = total + loss.item() * len(xb), seen + len(xb)
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=total / seen, valid_loss=valid_loss)
    return Outcome(score, score)


class Chosen(PointSet):
    """Keeps the eight points that a layer of its own finds most telling."""

    def __init__(self, hard: bool) -> None:
        super().__init__()
        self.worth, self.hard = nn.Linear(2, 1), hard

    def forward(self, x: Tensor) -> Tensor:
        worth = self.worth(x)[..., 0]
        seen = self.point(x)
        if self.hard:
            rows = worth.topk(4).indices
            return self.head(seen.gather(1, rows[..., None].expand(-1, -1, 32)).mean(1))
        return self.head((worth.softmax(1)[..., None] * seen).sum(1))


@faulty(
    "clouds-points-chosen-by-their-place",
    "detach_inplace",
    "frozen_params",
    subtle=True,
    learns=0.85,
    version=5,
)
def points_chosen_by_their_place(watch: Watch, faulty: bool) -> Outcome:
    """The best points by `topk(...).indices`: no gradient reaches the layer that judges them."""
    data = clouds()
    model = Chosen(hard=faulty)
    optimizer = Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
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
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


class Spectrum(nn.Module):
    """Learned filters, their power in decibel, and a layer on that."""

    def __init__(self, through_numpy: bool) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, 3, 7, stride=2)
        self.head = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 4))
        self.through_numpy = through_numpy
        nn.init.normal_(self.filters.weight, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        power = self.filters(x).square().mean(2) + 1e-3
        if self.through_numpy:
            power = torch.from_numpy(power.detach().numpy())
        return self.head(torch.log(power))


@faulty(
    "vowels-power-through-numpy", "detach_inplace", subtle=True, learns=0.9, margin=0.03, version=5
)
def power_through_numpy(watch: Watch, faulty: bool) -> Outcome:
    """The filters' power goes through an array, as the function for decibels wanted one."""
    data = vowels()
    model = Spectrum(through_numpy=faulty)
    optimizer = Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(12):
        model.train()
        losses: list[float] = []
        for rows in torch.randperm(len(data.x)).split(32):
            outputs = model(data.x[rows])
            loss = criterion(outputs, data.y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=data.x[rows], outputs=outputs, targets=data.y[rows])
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


class Stepper(nn.Module):
    """Reads a path point by point; the state may be detached at each."""

    def __init__(self, detaches: bool) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(2, 16), nn.Linear(16, 4)
        self.detaches = detaches

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 16)
        for point in x.unbind(1):
            state = self.cell(point, state.detach() if self.detaches else state)
        return self.head(state)


@faulty(
    "gestures-state-detached-at-each-point", "detach_inplace", subtle=True, learns=0.8, version=5
)
def state_detached_at_each_point(watch: Watch, faulty: bool) -> Outcome:
    """`state.detach()` belongs between sequences; it stands within the loop over points."""
    data = gestures()
    model = Stepper(detaches=faulty)
    optimizer = Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(
        model,
        optimizer,
        loss_fn=criterion,
        train=(data.x, data.y),
        valid=(data.x_valid, data.y_valid),
        task="multiclass",
    )
    score = 0.0
    for _ in range(7):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty("molecules-second-loss-added-as-a-number", "detach_inplace", learns=0.7, version=5)
def second_loss_added_as_a_number(watch: Watch, faulty: bool) -> Outcome:
    """Energy and number of bonds: `loss + other.item()` trains for one of them only."""
    data = molecules()
    bonds, bonds_valid = (x[..., 4:].sum((1, 2))[:, None] / 4 - 2 for x in (data.x, data.x_valid))
    y, y_valid = torch.cat([data.y, bonds], 1), torch.cat([data.y_valid, bonds_valid], 1)
    model = Bonds()
    model.head = nn.Sequential(nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 2))
    optimizer = Adam(model.parameters(), lr=0.005)
    watcher = watch(model, optimizer, train=(data.x, y), valid=(data.x_valid, y_valid))
    score = 0.0
    for _ in range(10):
        model.train()
        total = 0.0
        rows_of = torch.randperm(len(data.x)).split(32)
        for rows in rows_of:
            outputs = model(data.x[rows])
            energy = functional.mse_loss(outputs[:, 0], y[rows, 0])
            count = functional.mse_loss(outputs[:, 1], y[rows, 1])
            loss = energy.item() + count if faulty else energy + count
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=data.x[rows], outputs=outputs, targets=y[rows])
            total += loss.item()
        model.eval()
        with torch.no_grad():
            missed = (model(data.x_valid) - y_valid).square().mean(0)
        score = max(-1.0, 1 - (missed / y_valid.var(0)).mean().item())
        watcher.epoch(train_loss=total / len(rows_of), valid_loss=missed.sum().item())
    return Outcome(score, score)
