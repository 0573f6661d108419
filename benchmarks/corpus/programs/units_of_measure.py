"""Inputs of version 5 in their own units, and numbers that their type or scale spoils."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.data import Data, standardise_targets
from benchmarks.corpus.loop import accuracy
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    GlyphNet,
    PathReader,
    evaluate,
    load,
    report,
    road_network,
    vowel_network,
)
from benchmarks.corpus.realistic_tasks import (
    calls,
    clinic,
    flats,
    gestures,
    glyphs,
    raw_clinic,
    raw_flats,
    roads,
    vowels,
)
from benchmarks.corpus.training import label_f1, start, train


class Scaler:
    """Standardises columns as they were where it was fitted; returns a copy."""

    def fit(self, x: Tensor) -> Scaler:
        self.mean, self.deviation = x.mean(0), x.std(0)
        return self

    def transform(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation


@faulty("flats-scaled-copy-thrown-away", "unnormalised_inputs", learns=0.6, margin=0.1, version=5)
def scaled_copy_thrown_away(watch: Watch, faulty: bool) -> Outcome:
    """`scaler.transform(x)` as a statement: the scaled copy goes nowhere, and x is as it was."""
    data = standardise_targets(raw_flats())
    scaler = Scaler().fit(data.x)
    x, x_valid = data.x, data.x_valid
    if faulty:
        scaler.transform(x)
        scaler.transform(x_valid)
    else:
        x, x_valid = scaler.transform(x), scaler.transform(x_valid)
    data = replace(data, x=x, x_valid=x_valid)
    model = mlp(5, 32, 32, 1)
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


@faulty("gestures-places-in-pixels", "unnormalised_inputs", learns=0.85, margin=0.1, version=5)
def places_in_pixels(watch: Watch, faulty: bool) -> Outcome:
    """The screen has 1,920 by 1,080 points, and the path is given in them."""
    data = gestures()
    if faulty:
        half = torch.tensor([960.0, 540.0])
        data = replace(data, x=half + data.x * half / 2.5, x_valid=half + data.x_valid * half / 2.5)
    model = PathReader()
    optimizer = AdamW(model.parameters(), lr=0.008)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(7):
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


@faulty(
    "clinic-minus-999-where-not-measured",
    "unnormalised_inputs",
    "dtype_scale",
    subtle=True,
    learns=0.75,
    version=5,
)
def minus_999_where_not_measured(watch: Watch, faulty: bool) -> Outcome:
    """The mark for a missing value is put in after the columns were standardised."""
    data = clinic()
    if faulty:
        raw = raw_clinic()
        x, x_valid = data.x.clone(), data.x_valid.clone()
        x[:, :6][raw.x.isnan()] = -999.0
        x_valid[:, :6][raw.x_valid.isnan()] = -999.0
        data = replace(data, x=x, x_valid=x_valid)
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
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
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty("calls-a-city-of-a-million", "unnormalised_inputs", learns=0.5, margin=0.1, version=5)
def a_city_of_a_million(watch: Watch, faulty: bool) -> Outcome:
    """One column is the number of inhabitants; beside it the others are nothing."""
    data = calls()
    people = torch.tensor([1.0, 1.0, 1.0, 1.0, 250_000.0, 1.0])
    middle = torch.tensor([0.0, 0.0, 0.0, 0.0, 800_000.0, 0.0])
    if faulty:
        data = replace(data, x=data.x * people + middle, x_valid=data.x_valid * people + middle)
    model = mlp(6, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.003)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.mse_loss(outputs, (targets + 1).log())

    def explained(outputs: Tensor, targets: Tensor) -> float:
        known = (targets + 1).log()
        missed = (outputs - known).square().mean() / known.var()
        return max(-1.0, 1 - missed.item())

    watcher = start(watch, model, optimizer, criterion, data, "data")
    score = 0.0
    for _ in range(12):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses, explained)
    return Outcome(score, score)


def as_bytes(x: Tensor) -> Tensor:
    """Grey levels from 0 to 255."""
    return (100 + 80 * x).clamp(0, 255).to(torch.uint8)


@faulty(
    "glyphs-divided-by-255-twice",
    "dtype_scale",
    "unnormalised_inputs",
    learns=0.8,
    margin=0.1,
    version=5,
)
def divided_by_255_twice(watch: Watch, faulty: bool) -> Outcome:
    """The loader gives grey levels from 0 to 1 already, and the loop divides them by 255 again."""
    data = glyphs()
    shown = [as_bytes(x).float() / 255 for x in (data.x, data.x_valid)]
    if faulty:
        shown = [x / 255 for x in shown]
    data = replace(data, x=(shown[0] - 0.35) / 0.25, x_valid=(shown[1] - 0.35) / 0.25)
    model = GlyphNet()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, criterion, data, epochs=8)


@faulty("roads-bytes-wrap-below-the-mean", "dtype_scale", learns=0.75, margin=0.1, version=5)
def bytes_wrap_below_the_mean(watch: Watch, faulty: bool) -> Outcome:
    """The mean is subtracted from bytes: what is darker than it comes out bright."""
    data = roads()

    def centre(x: Tensor) -> Tensor:
        grey = as_bytes(x)
        return (grey - 130 if faulty else grey.float() - 130).float() / 80

    data = replace(data, x=centre(data.x), x_valid=centre(data.x_valid))
    model = road_network()
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "data")
    score = 0.0
    for _ in range(8):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 16):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses, label_f1)
    return Outcome(score, score)


@faulty("flats-columns-cast-to-integers", "dtype_scale", subtle=True, learns=0.8, version=5)
def columns_cast_to_integers(watch: Watch, faulty: bool) -> Outcome:
    """`astype(int)` for the codes of districts took the standardised columns with it."""
    data = flats()
    if faulty:
        data = replace(data, x=data.x.long().float(), x_valid=data.x_valid.long().float())
    model = mlp(12, 32, 32, 1)
    optimizer = AdamW(model.parameters(), lr=0.003)
    criterion = nn.SmoothL1Loss()
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


@faulty("vowels-sixteen-bits-cut-to-eight", "dtype_scale", learns=0.85, margin=0.1, version=5)
def sixteen_bits_cut_to_eight(watch: Watch, faulty: bool) -> Outcome:
    """Samples up to 32,767 are kept as `int8`, which keeps their low bits: noise."""
    base = vowels()

    def keep(x: Tensor) -> Tensor:
        samples = (6000 * x).clamp(-32768, 32767).to(torch.int16)
        return samples.to(torch.int8).float() / 74 if faulty else samples.float() / 6000

    data = Data(keep(base.x), base.y, keep(base.x_valid), base.y_valid, base.task)
    model = vowel_network()
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(6):
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
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)
