"""Healthy trainings of version 5 whose data look suspicious."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.data import random
from benchmarks.corpus.loop import balanced_accuracy, r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.realistic_architectures import (
    GlyphNet,
    evaluate,
    load,
    report,
    road_network,
    vowel_network,
)
from benchmarks.corpus.realistic_tasks import (
    calls,
    clinic,
    concordance,
    flats,
    fraud,
    glyphs,
    lifetimes,
    raw_flats,
    roads,
    songs,
    vowels,
)
from benchmarks.corpus.training import bit_accuracy, label_f1, start, train


@healthy("clinic-gaps-filled-and-four-columns-of-flags", learns=0.75, version=5)
def gaps_filled_and_four_columns_of_flags(watch: Watch, faulty: bool) -> Outcome:
    """A tenth of four columns is exactly their mean, and their flags are nearly always 0."""
    data = clinic()
    model = mlp(10, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(9):
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


@healthy("fraud-weighed-by-their-rarity", learns=0.78, version=5)
def weighed_by_their_rarity(watch: Watch, faulty: bool) -> Outcome:
    """A fraud counts 25-fold: the loss starts above one, and many alarms are false."""
    data = fraud()
    model = mlp(8, 12, 1)
    optimizer = AdamW(model.parameters(), lr=0.005)
    weight = (1 - data.y).sum() / data.y.sum()
    criterion = nn.BCEWithLogitsLoss(pos_weight=weight)
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(5):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 64):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses, balanced_accuracy)
    return Outcome(score, score)


@healthy("calls-likelihood-below-nought", learns=0.5, version=5)
def likelihood_below_nought(watch: Watch, faulty: bool) -> Outcome:
    """The Poisson loss without its constant is negative, and grows more so as it should."""
    data = calls()
    model = mlp(6, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.PoissonNLLLoss()
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
        score = report(watcher, model, criterion, data, losses, lambda o, t: r_squared(o.exp(), t))
    return Outcome(score, score)


@healthy("lifetimes-half-of-them-still-run", learns=0.7, version=5)
def half_of_them_still_run(watch: Watch, faulty: bool) -> Outcome:
    """A Weibull model of pumps, of which many have not ended: to them only the survival counts."""
    data = lifetimes()
    model = mlp(6, 32, 1)
    shape = nn.Parameter(torch.zeros(()))
    optimizer = Adam([*model.parameters(), shape], lr=0.005)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        time, broke = targets[:, :1].clamp(min=1e-2), targets[:, 1:]
        power = shape.exp()
        risk = (time.log() * power + outputs).clamp(max=8).exp()
        return (risk - broke * (shape + (power - 1) * time.log() + outputs)).mean()

    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for rows in torch.randperm(len(data.x)).split(50):
            outputs = model(data.x[rows])
            loss = criterion(outputs, data.y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=data.x[rows], outputs=outputs, targets=data.y[rows])
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, concordance)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@healthy("glyphs-an-eighth-of-the-labels-guessed", learns=0.72, version=5)
def an_eighth_of_the_labels_guessed(watch: Watch, faulty: bool) -> Outcome:
    """The crowd guessed one label in eight, in both parts; the loss stays far from nought."""
    base = glyphs()
    parts: list[Tensor] = []
    for seed, y in ((561, base.y), (562, base.y_valid)):
        source = random(seed)
        guess = torch.randint(5, y.shape, generator=source)
        parts.append(torch.where(torch.rand(y.shape, generator=source) < 0.125, guess, y))
    data = replace(base, y=parts[0], y_valid=parts[1])
    model = GlyphNet(width=6)
    optimizer = Adam(model.parameters(), lr=0.004)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@healthy("flats-rents-in-hundreds-of-euros", learns=0.8, version=5)
def rents_in_hundreds_of_euros(watch: Watch, faulty: bool) -> Outcome:
    """Targets about 9 that nobody centred: the first loss is ninety times the last."""
    base, raw = flats(), raw_flats()
    data = replace(base, y=raw.y / 100, y_valid=raw.y_valid / 100)
    model = mlp(12, 48, 48, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
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


@healthy("vowels-loud-and-soft-recordings", learns=0.9, version=5)
def loud_and_soft_recordings(watch: Watch, faulty: bool) -> Outcome:
    """Some are ten times as loud as others, honestly so; each is brought to one level first."""
    base = vowels()
    parts: list[Tensor] = []
    for seed, x in ((563, base.x), (564, base.x_valid)):
        gain = torch.exp(0.8 * torch.randn(len(x), 1, 1, generator=random(seed)))
        parts.append(gain * x)

    class Levelled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = vowel_network()

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x / x.square().mean(2, keepdim=True).sqrt())

    data = replace(base, x=parts[0], x_valid=parts[1])
    model = Levelled()
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=6)


@healthy("songs-no-mood-at-all", learns=0.9, version=5)
def no_mood_at_all(watch: Watch, faulty: bool) -> Outcome:
    """An eighth of the songs have no label of five, and each label two thirds of zeros."""
    model = nn.Linear(24, 5)
    optimizer = SGD(model.parameters(), lr=0.5)
    criterion = nn.MultiLabelSoftMarginLoss()
    return train(
        watch, model, optimizer, criterion, songs(), epochs=10, metric=bit_accuracy, told="data"
    )


@healthy("roads-soft-edges-as-targets", learns=0.75, version=5)
def soft_edges_as_targets(watch: Watch, faulty: bool) -> Outcome:
    """Masks are blurred a little, so that targets lie between 0 and 1 and no loss is nought."""
    data = roads()
    model = road_network()
    optimizer = Adam(model.parameters(), lr=0.005)
    bce = nn.BCEWithLogitsLoss()

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        return bce(outputs, 0.9 * targets + 0.1 * functional.avg_pool2d(targets, 3, 1, 1))

    return train(
        watch,
        model,
        optimizer,
        criterion,
        data,
        epochs=7,
        batch_size=16,
        metric=label_f1,
        told="batches",
    )
