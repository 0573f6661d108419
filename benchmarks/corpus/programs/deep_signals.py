"""Signals of version 5 that are lost on their way through a network, or burst."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.loop import accuracy, r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    evaluate,
    load,
    report,
    vowel_network,
)
from benchmarks.corpus.realistic_tasks import (
    concordance,
    flats,
    gestures,
    lifetimes,
    molecules,
    songs,
    vowels,
)
from benchmarks.corpus.training import bit_accuracy, start


@faulty("songs-seven-logistic-layers", "vanishing_gradient", learns=0.9, margin=0.1, version=5)
def seven_logistic_layers(watch: Watch, faulty: bool) -> Outcome:
    """Each sigmoid leaves a quarter of the gradient at most; the old net had two of them."""
    data = songs()
    activation = nn.Sigmoid if faulty else nn.Tanh
    model = mlp(24, *[32] * 7, 5, activation=activation)
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(8):
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
        score = report(watcher, model, criterion, data, losses, bit_accuracy)
    return Outcome(score, score)


class Rests(nn.Module):
    """Reads a path and the rest after it; scores by the state at the end of one or the other."""

    def __init__(self, by_last: bool) -> None:
        super().__init__()
        self.recurrent = nn.RNN(2, 32, batch_first=True)
        self.head, self.by_last = nn.Linear(32, 4), by_last

    def forward(self, x: Tensor) -> Tensor:
        states = self.recurrent(x)[0]
        return self.head(states[:, -1 if self.by_last else 19])


@faulty(
    "gestures-last-state-after-a-long-rest",
    "vanishing_gradient",
    learns=0.85,
    margin=0.1,
    version=5,
)
def last_state_after_a_long_rest(watch: Watch, faulty: bool) -> Outcome:
    """Paths are padded to 60 points; by the last one a plain recurrence has forgotten them."""
    data = gestures()
    data = replace(
        data,
        x=functional.pad(data.x, (0, 0, 0, 40)),
        x_valid=functional.pad(data.x_valid, (0, 0, 0, 40)),
    )
    model = Rests(by_last=faulty)
    optimizer = Adam(model.parameters(), lr=0.005)
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
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            watcher.step(loss, inputs=data.x[rows], outputs=outputs, targets=data.y[rows])
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


class Scaled(nn.Module):
    """A stack of layers, each of whose outputs is multiplied."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, 32) for width in (12, 32, 32, 32, 32, 32))
        self.head, self.factor = nn.Linear(32, 1), factor

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = functional.elu(layer(x)) * self.factor
        return self.head(x)


@faulty(
    "flats-each-layer-scaled-by-a-tenth", "vanishing_gradient", learns=0.85, margin=0.1, version=5
)
def each_layer_scaled_by_a_tenth(watch: Watch, faulty: bool) -> Outcome:
    """The factor is for branches of residual blocks; here there is no way past them."""
    data = flats()
    model = Scaled(0.1 if faulty else 1.4)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
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
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


class Block(nn.Module):
    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(12, 12, 5, padding=2)
        self.keeps = keeps

    def forward(self, x: Tensor) -> Tensor:
        changed = torch.tanh(self.conv(x))
        return x + changed if self.keeps else changed


@faulty(
    "vowels-ten-blocks-without-their-sum",
    "vanishing_gradient",
    subtle=True,
    learns=0.85,
    version=5,
)
def ten_blocks_without_their_sum(watch: Watch, faulty: bool) -> Outcome:
    """A rewrite of the block lost `x +`, and with it the short way back."""
    data = vowels()
    model = nn.Sequential(
        nn.Conv1d(1, 12, 7, stride=4, padding=3),
        *[Block(keeps=not faulty) for _ in range(10)],
        nn.AdaptiveMaxPool1d(1),
        nn.Flatten(),
        nn.Linear(12, 4),
    )
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
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


@faulty("lifetimes-logarithm-of-a-pump-that-never-ran", "exploding_or_nan", learns=0.7, version=5)
def logarithm_of_a_pump_that_never_ran(watch: Watch, faulty: bool) -> Outcome:
    """Three pumps broke at once, after 0 years; log 0 has no finite error."""
    base = lifetimes()
    time = base.y[:, :1].clone()
    time[[40, 300, 500]] = 0.0
    floor = 0.0 if faulty else 0.01
    y, y_valid = time.clamp(min=floor).log(), base.y_valid[:, :1].clamp(min=0.01).log()
    data = replace(base, y=y, y_valid=y_valid)
    model = mlp(6, 32, 1)
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
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(
            watcher, model, criterion, data, losses, lambda o, _: concordance(-o, base.y_valid)
        )
    return Outcome(score, score)


@faulty("vowels-silence-divided-by-its-peak", "exploding_or_nan", learns=0.9, margin=0.2, version=5)
def silence_divided_by_its_peak(watch: Watch, faulty: bool) -> Outcome:
    """Each sound is divided by its loudest sample; two recordings are silent."""
    data = vowels()
    x = data.x.clone()
    x[[200, 555]] = 0.0

    def level(sound: Tensor) -> Tensor:
        peak = sound.abs().amax(2, keepdim=True)
        return sound / peak if faulty else sound / peak.clamp(min=1e-3)

    model = vowel_network()
    optimizer = AdamW(model.parameters(), lr=0.003)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(6):
        model.train()
        losses: list[float] = []
        for rows in torch.randperm(len(x)).split(32):
            xb = level(x[rows])
            outputs = model(xb)
            loss = criterion(outputs, data.y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=data.y[rows])
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, level(data.x_valid), data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


class Heard(nn.Module):
    """Six rounds in which each atom becomes the sum, or the mean, of its neighbours and itself."""

    def __init__(self, adds: bool) -> None:
        super().__init__()
        self.first = nn.Linear(4, 24)
        self.rounds = nn.ModuleList(nn.Linear(24, 24) for _ in range(6))
        self.head, self.adds = nn.Linear(24, 1), adds
        for layer in self.rounds:
            assert isinstance(layer, nn.Linear)
            nn.init.kaiming_normal_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        links = x[..., 4:] + torch.eye(7)
        if not self.adds:
            links = links / links.sum(2, keepdim=True)
        hidden = torch.relu(self.first(x[..., :4]))
        total = hidden.mean(1)
        for layer in self.rounds:
            hidden = torch.relu(layer(links @ hidden))
            total = total + hidden.mean(1)
        return self.head(total)


@faulty("molecules-neighbours-added-up-six-times", "exploding_or_nan", learns=0.3, version=5)
def neighbours_added_up_six_times(watch: Watch, faulty: bool) -> Outcome:
    """Each round adds the neighbours up instead of averaging them: states grow a thousandfold."""
    data = molecules()
    model = Heard(adds=faulty)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    criterion = nn.MSELoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(10):
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
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, r_squared)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)
