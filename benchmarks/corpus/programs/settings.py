"""Rates and momenta of version 5 that came from another training."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.loop import accuracy, r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    Bonds,
    GlyphNet,
    OfferScorer,
    PathReader,
    PointSet,
    TicketReader,
    evaluate,
    load,
    report,
    road_network,
    vowel_network,
)
from benchmarks.corpus.realistic_tasks import (
    best_first,
    clouds,
    gestures,
    glyphs,
    hotels,
    molecules,
    roads,
    songs,
    tickets,
    vowels,
)
from benchmarks.corpus.training import bit_accuracy, label_f1, start, train


@faulty("tickets-adams-rate-given-to-sgd", "lr_too_low", learns=0.7, margin=0.1, version=5)
def adams_rate_given_to_sgd(watch: Watch, faulty: bool) -> Outcome:
    """The optimiser was changed for SGD, and 0.003 was not."""
    data = tickets()
    model = TicketReader()
    optimizer = SGD(model.parameters(), lr=0.003 if faulty else 0.3, momentum=0.8)
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


@faulty(
    "roads-rate-of-a-fine-tuning-from-scratch", "lr_too_low", learns=0.75, margin=0.1, version=5
)
def rate_of_a_fine_tuning_from_scratch(watch: Watch, faulty: bool) -> Outcome:
    """2 · 10⁻⁵ tunes what is trained; this net starts at random."""
    model = road_network()
    optimizer = AdamW(model.parameters(), lr=2e-5 if faulty else 5e-3)
    return train(
        watch,
        model,
        optimizer,
        nn.BCEWithLogitsLoss(),
        roads(),
        epochs=7,
        batch_size=16,
        told="data",
        metric=label_f1,
    )


@faulty("molecules-rate-scaled-to-a-small-batch", "lr_too_low", subtle=True, learns=0.8, version=5)
def rate_scaled_to_a_small_batch(watch: Watch, faulty: bool) -> Outcome:
    """`lr = base * batch / 1024`, from a recipe for many devices, for batches of 32."""
    data = molecules()
    model = Bonds()
    optimizer = Adam(model.parameters(), lr=0.005 * (32 / 1024 if faulty else 1))
    criterion = nn.MSELoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(12):
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
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, r_squared)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty("clouds-adadeltas-rate-given-to-adam", "lr_too_high", learns=0.85, margin=0.1, version=5)
def adadeltas_rate_given_to_adam(watch: Watch, faulty: bool) -> Outcome:
    """1.0 is the rate of Adadelta; Adam steps that far in each weight."""
    data = clouds()
    model = PointSet()
    optimizer = Adam(model.parameters(), lr=1.0 if faulty else 0.005)
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
    "songs-rate-multiplied-for-eight-devices",
    "lr_too_high",
    subtle=True,
    learns=0.9,
    margin=0.03,
    version=5,
)
def rate_multiplied_for_eight_devices(watch: Watch, faulty: bool) -> Outcome:
    """The rate is still multiplied by the number of devices, of which there is now one."""
    data = songs()
    model = mlp(24, 48, 48, 5)
    optimizer = RMSprop(model.parameters(), lr=0.01 * (8 if faulty else 1))
    criterion = nn.BCEWithLogitsLoss()
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
        score = report(watcher, model, criterion, data, losses, bit_accuracy)
    return Outcome(score, score)


@faulty("gestures-recurrence-at-a-rate-of-five", "lr_too_high", learns=0.85, margin=0.1, version=5)
def recurrence_at_a_rate_of_five(watch: Watch, faulty: bool) -> Outcome:
    """Clipped to a norm of one, each step of SGD is up to five long."""
    data = gestures()
    model = PathReader()
    optimizer = SGD(model.parameters(), lr=5.0 if faulty else 0.2, momentum=0.8)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer)
    score = 0.0
    for _ in range(10):
        model.train()
        total = 0.0
        for xb, yb in load(data):
            loss = criterion(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            watcher.step(loss)
            total += loss.item() * len(xb)
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=total / len(data.x), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty(
    "vowels-momentum-with-a-nine-too-many", "momentum_too_high", learns=0.9, margin=0.05, version=5
)
def momentum_with_a_nine_too_many(watch: Watch, faulty: bool) -> Outcome:
    """0.999 for 0.9: a step is remembered for a thousand of them."""
    data = vowels()
    model = vowel_network()
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.999 if faulty else 0.9)
    criterion = nn.CrossEntropyLoss()
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
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty("glyphs-betas-of-adam-swapped", "momentum_too_high", learns=0.85, margin=0.05, version=5)
def betas_of_adam_swapped(watch: Watch, faulty: bool) -> Outcome:
    """`betas=(0.999, 0.9)`: the mean of the gradients is the slow one."""
    data = glyphs()
    model = GlyphNet()
    betas = (0.999, 0.9) if faulty else (0.9, 0.999)
    optimizer = Adam(model.parameters(), lr=0.003, betas=betas)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(7):
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


@faulty("hotels-nesterov-at-998", "momentum_too_high", learns=0.75, margin=0.1, version=5)
def nesterov_at_998(watch: Watch, faulty: bool) -> Outcome:
    """A momentum for tens of thousands of updates, in a training of two hundred."""
    data = hotels()
    model = OfferScorer(width=16)
    momentum = 0.998 if faulty else 0.9
    optimizer = SGD(model.parameters(), lr=0.05, momentum=momentum, nesterov=True)

    def criterion(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, targets.argmax(1))

    watcher = start(watch, model, optimizer, criterion, data, "data")
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
        score = report(watcher, model, criterion, data, losses, best_first)
    return Outcome(score, score)
