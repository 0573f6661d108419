"""Models of version 5 that know too much of their examples, can know too little, or may not."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.data import random
from benchmarks.corpus.loop import accuracy, r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    Bonds,
    GlyphNet,
    PointSet,
    TicketReader,
    Towers,
    evaluate,
    load,
    report,
    vowel_network,
)
from benchmarks.corpus.realistic_tasks import (
    calls,
    clinic,
    clouds,
    films,
    flats,
    glyphs,
    molecules,
    songs,
    tickets,
    traffic,
    vowels,
)
from benchmarks.corpus.training import bit_accuracy, start, train


@faulty("clinic-fifty-patients-and-a-wide-net", "overfitting", learns=0.75, version=5)
def fifty_patients_and_a_wide_net(watch: Watch, faulty: bool) -> Outcome:
    """The pilot study's fifty patients instead of all, for as many updates."""
    data = clinic().head(50 if faulty else 980)
    model = mlp(10, 64, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.002)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(120 if faulty else 6):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 25):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty("calls-sixty-columns-that-say-nothing", "overfitting", learns=0.4, margin=0.1, version=5)
def sixty_columns_that_say_nothing(watch: Watch, faulty: bool) -> Outcome:
    """Every column of the warehouse was joined, and nothing holds the net back."""
    base = calls()
    data = base
    if faulty:
        idle = torch.randn(1200, 60, generator=random(551)).split([len(base.x), len(base.x_valid)])
        x, x_valid = (torch.cat(both, 1) for both in ((base.x, idle[0]), (base.x_valid, idle[1])))
        data = replace(base, x=x, x_valid=x_valid)
    model = mlp(data.x.shape[1], 64, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.002)
    criterion = nn.PoissonNLLLoss()
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
        score = report(watcher, model, criterion, data, losses, lambda o, t: r_squared(o.exp(), t))
    return Outcome(score, score)


@faulty("tickets-a-hundred-texts-by-heart", "overfitting", subtle=True, learns=0.7, version=5)
def a_hundred_texts_by_heart(watch: Watch, faulty: bool) -> Outcome:
    """Only the texts of the first week are read, again and again."""
    data = tickets().head(100 if faulty else 1050)
    model = TicketReader(width=48)
    optimizer = AdamW(model.parameters(), lr=0.003)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(60 if faulty else 6):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 25):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        train_metric = evaluate(model, criterion, data.x, data.y, accuracy)[1]
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(
            train_loss=sum(losses) / len(losses),
            valid_loss=valid_loss,
            train_metric=train_metric,
            valid_metric=score,
        )
    return Outcome(score, score)


class MeanPoint(nn.Module):
    """Scores a cloud by its mean point."""

    def __init__(self) -> None:
        super().__init__()
        self.body = mlp(2, 32, 32, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.mean(1))


@faulty(
    "clouds-pooled-before-they-are-looked-at", "underfitting", learns=0.85, margin=0.2, version=5
)
def pooled_before_they_are_looked_at(watch: Watch, faulty: bool) -> Outcome:
    """The mean point of all four kinds is the same; what tells them apart is gone."""
    data = clouds()
    model = MeanPoint() if faulty else PointSet()
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.CrossEntropyLoss()
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
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty(
    "molecules-no-messages-are-sent", "underfitting", subtle=True, learns=0.8, margin=0.1, version=5
)
def no_messages_are_sent(watch: Watch, faulty: bool) -> Outcome:
    """`rounds=0` from a test: the net sees atoms, but not who is bound to whom."""
    data = molecules()
    model = Bonds(rounds=0 if faulty else 2)
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.MSELoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty("glyphs-kernels-of-a-single-pixel", "underfitting", learns=0.85, margin=0.2, version=5)
def kernels_of_a_single_pixel(watch: Watch, faulty: bool) -> Outcome:
    """1 × 1 kernels and an average over all places: the net knows how bright a letter is."""
    data = glyphs()
    size = 1 if faulty else 5
    model = nn.Sequential(
        nn.Conv2d(1, 16, size, padding=size // 2),
        nn.ReLU(),
        nn.Conv2d(16, 24, size, padding=size // 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 5),
    )
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(8):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


class Biases(nn.Module):
    """How fond a user is of films, and how well known a film is."""

    def __init__(self) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(60, 1), nn.Embedding(50, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.user(x[:, 0]) + self.item(x[:, 1])


@faulty("films-fondness-and-fame-alone", "underfitting", subtle=True, learns=0.78, version=5)
def fondness_and_fame_alone(watch: Watch, faulty: bool) -> Outcome:
    """Without a product of both no user's taste can differ from another's."""
    data = films()
    model = Biases() if faulty else Towers()
    optimizer = AdamW(model.parameters(), lr=0.02)
    criterion = nn.BCEWithLogitsLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(8):
        model.train()
        losses: list[float] = []
        for rows in torch.randperm(len(data.x)).split(64):
            xb, yb = data.x[rows], data.y[rows]
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        train_metric = evaluate(model, criterion, data.x, data.y, accuracy)[1]
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(
            train_loss=sum(losses) / len(losses),
            valid_loss=valid_loss,
            train_metric=train_metric,
            valid_metric=score,
        )
    return Outcome(score, score)


@faulty("songs-share-to-keep-taken-for-share-to-drop", "over_regularised", learns=0.9, version=5)
def share_to_keep_taken_for_share_to_drop(watch: Watch, faulty: bool) -> Outcome:
    """`Dropout(0.95)`, of a library in which that many units are kept."""
    data = songs()
    rate = 0.95 if faulty else 0.05
    model = nn.Sequential(
        nn.Linear(24, 48),
        nn.ReLU(),
        nn.Dropout(rate),
        nn.Linear(48, 48),
        nn.ReLU(),
        nn.Dropout(rate),
        nn.Linear(48, 5),
    )
    optimizer = Adam(model.parameters(), lr=0.005)
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


@faulty("vowels-decay-of-a-tenth-in-sgd", "over_regularised", learns=0.9, margin=0.1, version=5)
def decay_of_a_tenth_in_sgd(watch: Watch, faulty: bool) -> Outcome:
    """AdamW's `weight_decay=0.1` is multiplied by its rate; with SGD it is 200 times the usual."""
    data = vowels()
    model = vowel_network()
    decay = 0.1 if faulty else 1e-4
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=decay)
    criterion = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, criterion, data, epochs=7)


@faulty(
    "flats-squares-of-all-weights-in-the-loss",
    "over_regularised",
    subtle=True,
    learns=0.8,
    version=5,
)
def squares_of_all_weights_in_the_loss(watch: Watch, faulty: bool) -> Outcome:
    """A penalty of 0.05 for each squared weight, which the author took for 0.0005."""
    data = flats()
    model = mlp(12, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    strength = 0.05 if faulty else 0.0005
    mse = nn.MSELoss()
    watcher = watch(model, optimizer)
    score = 0.0
    for _ in range(12):
        model.train()
        total = 0.0
        for xb, yb in load(data):
            optimizer.zero_grad()
            penalty = sum((p.square().sum() for p in model.parameters()), torch.zeros(()))
            loss = mse(model(xb), yb) + strength * penalty
            loss.backward()
            optimizer.step()
            watcher.step(loss)
            total += loss.item() * len(xb)
        valid_loss, score = evaluate(model, mse, data.x_valid, data.y_valid, r_squared)
        watcher.epoch(train_loss=total / len(data.x), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty(
    "traffic-columns-dropped-like-units", "over_regularised", subtle=True, learns=0.7, version=5
)
def columns_dropped_like_units(watch: Watch, faulty: bool) -> Outcome:
    """Dropout of six tenths before the first layer, where the last half-hour is one column."""
    data = traffic()
    model = nn.Sequential(
        nn.Flatten(),
        nn.Dropout(0.6 if faulty else 0.0),
        nn.Linear(24, 32),
        nn.ReLU(),
        nn.Dropout(0.6 if faulty else 0.0),
        nn.Linear(32, 1),
    )
    optimizer = AdamW(model.parameters(), lr=0.005)
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
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty("glyphs-decay-of-five-in-adamw", "over_regularised", learns=0.85, version=5)
def decay_of_five_in_adamw(watch: Watch, faulty: bool) -> Outcome:
    """The weights shrink by a twentieth at each step, faster than the letters can be learned."""
    data = glyphs()
    model = GlyphNet()
    optimizer = AdamW(model.parameters(), lr=0.01, weight_decay=5.0 if faulty else 0.01)
    criterion = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, criterion, data, epochs=7, told="batches")
