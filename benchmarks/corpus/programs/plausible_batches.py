"""Healthy trainings of version 5 whose batches look suspicious."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.utils.data import DataLoader, Sampler, TensorDataset, WeightedRandomSampler

from benchmarks.corpus.loop import accuracy, balanced_accuracy, r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.realistic_architectures import (
    Bonds,
    Coder,
    OfferScorer,
    PathReader,
    PointSet,
    TicketReader,
    Towers,
    evaluate,
    load,
    report,
)
from benchmarks.corpus.realistic_tasks import (
    best_first,
    clouds,
    films,
    fraud,
    gestures,
    hotels,
    molecules,
    spectra,
    tickets,
    traffic,
)
from benchmarks.corpus.training import start, train


@healthy("fraud-drawn-as-often-as-the-honest", learns=0.78, version=5)
def drawn_as_often_as_the_honest(watch: Watch, faulty: bool) -> Outcome:
    """A sampler with replacement makes batches half of frauds; validation has one in twelve."""
    data = fraud(share=0.08)
    share = torch.where(data.y[:, 0] > 0.5, 1 / data.y.sum(), 1 / (1 - data.y).sum())
    sampler = WeightedRandomSampler(share.tolist(), len(data.y))
    loader = DataLoader(TensorDataset(data.x, data.y), 64, sampler=sampler)
    model = nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 1))
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.BCEWithLogitsLoss()
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
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses, balanced_accuracy)
    return Outcome(score, score)


class ByLength(Sampler[list[int]]):
    """Batches of tickets of nearly one length, in any order."""

    def __init__(self, lengths: Tensor, size: int) -> None:
        self.lengths, self.size = lengths, size

    def __iter__(self) -> Iterator[list[int]]:
        order = (self.lengths + 0.5 * torch.rand(len(self.lengths))).argsort()
        parts = order.split(self.size)
        for part in torch.randperm(len(parts)).tolist():
            yield parts[part].tolist()

    def __len__(self) -> int:
        return (len(self.lengths) + self.size - 1) // self.size


def trim(pairs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """A batch as long as its longest ticket."""
    x, y = (torch.stack(part) for part in zip(*pairs, strict=True))
    return x[:, : int((x > 0).sum(1).amax())], y


@healthy("tickets-batches-of-one-length", learns=0.75, version=5)
def batches_of_one_length(watch: Watch, faulty: bool) -> Outcome:
    """Texts of one length share a batch, cut to it: inputs have another shape each time."""
    data = tickets()
    examples = TensorDataset(data.x, data.y)
    sampler = ByLength((data.x > 0).sum(1), 32)
    loader = DataLoader(examples, batch_sampler=sampler, collate_fn=trim)
    model = TicketReader()
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(8):
        model.train()
        losses: list[float] = []
        for xb, yb in loader:
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@healthy("traffic-day-after-day", learns=0.7, version=5)
def day_after_day(watch: Watch, faulty: bool) -> Outcome:
    """Windows come in the order of time, as in a forecast that is renewed; batches are days."""
    data = traffic()
    model = nn.Sequential(nn.Flatten(), *mlp(24, 24, 1))
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.MSELoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(14):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 48, shuffle=False):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@healthy("films-watched-by-a-third", learns=0.78, version=5)
def watched_by_a_third(watch: Watch, faulty: bool) -> Outcome:
    """Pairs that nobody watched are drawn anew in each epoch, two for each that was."""
    data = films()
    seen, unseen = data.x[data.y[:, 0] > 0.5], data.x[data.y[:, 0] < 0.5]
    model = Towers()
    optimizer = Adam(model.parameters(), lr=0.01)
    criterion = nn.BCEWithLogitsLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        drawn = unseen[torch.randint(len(unseen), (2 * len(seen),))]
        x = torch.cat([seen, drawn])
        y = torch.cat([torch.ones(len(seen), 1), torch.zeros(len(drawn), 1)])
        for rows in torch.randperm(len(x)).split(64):
            outputs = model(x[rows])
            loss = criterion(outputs, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=x[rows], outputs=outputs, targets=y[rows])
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@healthy("clouds-turned-and-shaken-each-time", learns=0.85, version=5)
def turned_and_shaken_each_time(watch: Watch, faulty: bool) -> Outcome:
    """Points are shuffled and jittered, so that training does worse than validation."""
    data = clouds()
    model = PointSet(pool="max")
    optimizer = Adam(model.parameters(), lr=0.005)

    def shake(x: Tensor) -> Tensor:
        return x[:, torch.randperm(16)] + 0.08 * torch.randn_like(x)

    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10, augment=shake)


@healthy("gestures-shifted-stretched-and-cut", learns=0.85, version=5)
def shifted_stretched_and_cut(watch: Watch, faulty: bool) -> Outcome:
    """Strong but harmless changes: place, size, and a few points left out."""
    data = gestures()
    model = PathReader()
    optimizer = AdamW(model.parameters(), lr=0.008)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(8):
        model.train()
        losses: list[float] = []
        for batch, yb in load(data):
            size = 0.7 + 0.6 * torch.rand(len(batch), 1, 1)
            xb = size * batch + 0.3 * torch.randn(len(batch), 1, 2)
            xb = xb[:, torch.rand(20).topk(17).indices.sort().values]
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@healthy("spectra-a-quarter-of-the-bands-hidden", learns=0.8, version=5)
def a_quarter_of_the_bands_hidden(watch: Watch, faulty: bool) -> Outcome:
    """Bands are blanked in training and asked for: training does worse than validation."""
    data = spectra()
    model = Coder(code=8)
    optimizer = AdamW(model.parameters(), lr=0.005)
    criterion = nn.MSELoss()
    watcher = start(watch, model, optimizer, criterion, data, "data")
    score = 0.0
    for _ in range(12):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            hidden = xb * (torch.rand_like(xb) > 0.25)
            optimizer.zero_grad()
            outputs = model(hidden)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=hidden, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@healthy("molecules-atoms-numbered-anew-each-time", learns=0.75, version=5)
def atoms_numbered_anew_each_time(watch: Watch, faulty: bool) -> Outcome:
    """No two epochs show the same rows: the atoms of each batch are put in another order."""
    data = molecules()
    model = Bonds()
    optimizer = RMSprop(model.parameters(), lr=0.002)
    criterion = nn.L1Loss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            order = torch.randperm(7)
            turned = torch.cat([xb[..., :4], xb[..., 4:][..., order]], 2)[:, order]
            optimizer.zero_grad()
            outputs = model(turned)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=turned, outputs=outputs, targets=yb)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, r_squared)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@healthy("hotels-lists-of-two-to-five-offers", learns=0.7, version=5)
def lists_of_two_to_five_offers(watch: Watch, faulty: bool) -> Outcome:
    """Only so many offers of each list are compared, drawn anew: chance is better in training."""
    data = hotels()
    model = OfferScorer()
    optimizer = Adam(model.parameters(), lr=0.004)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets.argmax(1))

    watcher = watch(model, optimizer)
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            shown = torch.randperm(5)[: int(torch.randint(2, 6, ()))]
            optimizer.zero_grad()
            loss = criterion(model(xb[:, shown]), yb[:, shown])
            loss.backward()
            optimizer.step()
            watcher.step(loss)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, best_first)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)
