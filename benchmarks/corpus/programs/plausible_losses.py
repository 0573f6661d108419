"""Healthy trainings of version 5 whose losses look suspicious."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, AdamW

from benchmarks.corpus.loop import accuracy, r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.realistic_architectures import (
    Coder,
    GlyphNet,
    OfferScorer,
    PointSet,
    evaluate,
    load,
    report,
    road_network,
    vowel_network,
)
from benchmarks.corpus.realistic_tasks import (
    best_first,
    calls,
    clouds,
    glyphs,
    hotels,
    roads,
    spectra,
    vowels,
)
from benchmarks.corpus.training import label_f1, start


@healthy("vowels-two-sounds-at-once", learns=0.9, version=5)
def two_sounds_at_once(watch: Watch, faulty: bool) -> Outcome:
    """Mixed by a share from a beta of 0.4, with both labels: training looks far worse."""
    data = vowels()
    model = vowel_network()
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.CrossEntropyLoss()
    beta = torch.distributions.Beta(0.4, 0.4)
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(8):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            share, other = float(beta.sample()), torch.randperm(len(xb))
            truth = functional.one_hot(yb, 4).float()
            mixed = share * xb + (1 - share) * xb[other]
            targets = share * truth + (1 - share) * truth[other]
            outputs = model(mixed)
            loss = criterion(outputs, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=mixed, outputs=outputs, targets=targets)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@healthy("glyphs-smoothed-by-a-fifth", learns=0.85, version=5)
def smoothed_by_a_fifth(watch: Watch, faulty: bool) -> Outcome:
    """The loss cannot fall below 0.6, however well the letters are known."""
    data = glyphs()
    model = GlyphNet()
    optimizer = AdamW(model.parameters(), lr=0.003)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.2)
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


@healthy("clouds-small-net-learns-from-a-large-one", learns=0.85, version=5)
def small_net_learns_from_a_large_one(watch: Watch, faulty: bool) -> Outcome:
    """Distillation at a temperature of two, without any label (Hinton et al., 2015)."""
    data = clouds()
    teacher, model = PointSet(width=48), PointSet(width=24)
    criterion = nn.CrossEntropyLoss()
    first = Adam(teacher.parameters(), lr=0.01)
    for _ in range(8):
        for xb, yb in load(data):
            first.zero_grad()
            criterion(teacher(xb), yb).backward()
            first.step()
    teacher.eval().requires_grad_(False)
    optimizer = Adam(model.parameters(), lr=0.01)
    watcher = watch(model, optimizer)
    score = 0.0
    for _ in range(12):
        model.train()
        losses: list[float] = []
        for xb, _ in load(data):
            said, known = model(xb) / 2, teacher(xb) / 2
            loss = 4 * functional.kl_div(
                said.log_softmax(1), known.log_softmax(1), reduction="batchmean", log_target=True
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


def nearest_centre(outputs: Tensor, targets: Tensor) -> float:
    """Share whose nearest class centre, of every second row, is that of their own class."""
    known, asked = outputs[::2], outputs[1::2]
    centres = torch.stack([known[targets[::2] == kind].mean(0) for kind in range(4)])
    return (torch.cdist(asked, centres).argmin(1) == targets[1::2]).float().mean().item()


@healthy("vowels-every-triplet-of-the-batch", learns=0.85, version=5)
def every_triplet_of_the_batch(watch: Watch, faulty: bool) -> Outcome:
    """All triplets count that are not apart yet, ever fewer (Hermans et al., 2017)."""
    data = vowels()
    model = vowel_network(classes=8)
    optimizer = Adam(model.parameters(), lr=0.002)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        far = torch.cdist(outputs, outputs)
        same = targets[:, None] == targets[None]
        gap = far[:, :, None] - far[:, None] + 0.5
        return functional.relu(gap)[same[:, :, None] & ~same[:, None]].mean()

    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(4):
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
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, nearest_centre)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@healthy("calls-tenth-median-and-ninetieth", learns=0.4, version=5)
def tenth_median_and_ninetieth(watch: Watch, faulty: bool) -> Outcome:
    """Three quantiles at once by the pinball loss; only the middle one is judged."""
    data = calls()
    model = mlp(6, 48, 48, 3)
    optimizer = Adam(model.parameters(), lr=0.005)
    levels = torch.tensor([0.1, 0.5, 0.9])

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        missed = targets - outputs
        return torch.maximum(levels * missed, (levels - 1) * missed).mean()

    watcher = watch(model, optimizer, loss_fn=criterion)
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
        valid_loss, score = evaluate(
            model, criterion, data.x_valid, data.y_valid, lambda o, t: r_squared(o[:, 1:2], t)
        )
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@healthy("roads-uphill-a-little-then-down", learns=0.75, version=5)
def uphill_a_little_then_down(watch: Watch, faulty: bool) -> Outcome:
    """Sharpness-aware (Foret et al., 2021): the gradient is that of a worse point nearby."""
    data = roads()
    model = road_network()
    optimizer = Adam(model.parameters(), lr=0.008)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "data")
    score = 0.0
    for _ in range(5):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 16):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            slopes = torch.autograd.grad(loss, list(model.parameters()))
            length = torch.stack([slope.norm() for slope in slopes]).norm() + 1e-12
            moves = [0.05 * slope / length for slope in slopes]
            with torch.no_grad():
                for parameter, move in zip(model.parameters(), moves, strict=True):
                    parameter.add_(move)
            optimizer.zero_grad()
            criterion(model(xb), yb).backward()
            with torch.no_grad():
                for parameter, move in zip(model.parameters(), moves, strict=True):
                    parameter.sub_(move)
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses, label_f1)
    return Outcome(score, score)


@healthy("spectra-forger-and-judge", learns=0.8, version=5)
def forger_and_judge(watch: Watch, faulty: bool) -> Outcome:
    """A coder is also paid for deceiving a judge of spectra; both losses hover."""
    data = spectra()
    model, judge = Coder(code=8), mlp(32, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    other = Adam(judge.parameters(), lr=0.001)
    criterion, bce = nn.MSELoss(), nn.BCEWithLogitsLoss()
    watcher = watch(model, optimizer)
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for xb, _ in load(data):
            made = model(xb)
            answers = judge(torch.cat([xb, made.detach()]))
            truth = torch.cat([torch.ones(len(xb), 1), torch.zeros(len(xb), 1)])
            other.zero_grad()
            bce(answers, truth).backward()
            other.step()
            loss = criterion(made, xb) + 0.01 * bce(judge(made), torch.ones(len(xb), 1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, r_squared)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@healthy("hotels-pairs-apart-by-a-margin", learns=0.7, version=5)
def pairs_apart_by_a_margin(watch: Watch, faulty: bool) -> Outcome:
    """A hinge on every pair of a list: the better it gets, the fewer pairs have a gradient."""
    data = hotels()
    model = OfferScorer()
    optimizer = Adam(model.parameters(), lr=0.003)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        better = (targets[:, :, None] - targets[:, None]).sign()
        apart = outputs[:, :, None] - outputs[:, None]
        return functional.relu(0.5 - better * apart)[better > 0].mean()

    watcher = start(watch, model, optimizer, criterion, data, "data")
    score = 0.0
    for _ in range(9):
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
        score = report(watcher, model, criterion, data, losses, best_first)
    return Outcome(score, score)
