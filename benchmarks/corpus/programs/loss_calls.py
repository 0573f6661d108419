"""Output layers and losses of version 5 that were called with something else than they expect."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.architectures import Tagger
from benchmarks.corpus.loop import accuracy, r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    OfferScorer,
    PointSet,
    TicketReader,
    Towers,
    evaluate,
    load,
    report,
    road_network,
)
from benchmarks.corpus.realistic_tasks import (
    best_first,
    calls,
    clinic,
    clouds,
    films,
    flats,
    hotels,
    roads,
    songs,
    spectra,
    tickets,
)
from benchmarks.corpus.tasks import tags
from benchmarks.corpus.training import bit_accuracy, label_f1, position_accuracy, start, train


def share_accuracy(outputs: Tensor, targets: Tensor) -> float:
    return bit_accuracy(outputs - 0.5, targets)


@faulty("songs-softmax-over-the-moods", "output_activation", learns=0.9, margin=0.1, version=5)
def softmax_over_the_moods(watch: Watch, faulty: bool) -> Outcome:
    """A song has several moods or none, and the shares of a softmax add up to one."""
    data = songs()
    model = nn.Sequential(*mlp(24, 48, 5), nn.Softmax(1) if faulty else nn.Sigmoid())
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.BCELoss()
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
        score = report(watcher, model, criterion, data, losses, share_accuracy)
    return Outcome(score, score)


@faulty("tickets-log-softmax-down-the-batch", "output_activation", learns=0.75, version=5)
def log_softmax_down_the_batch(watch: Watch, faulty: bool) -> Outcome:
    """`log_softmax(dim=0)`: the tickets of a batch share one for each department."""
    data = tickets()
    model = nn.Sequential(TicketReader(), nn.LogSoftmax(dim=0 if faulty else 1))
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.NLLLoss()
    watcher = watch(
        model,
        optimizer,
        loss_fn=criterion,
        train=(data.x, data.y),
        valid=(data.x_valid, data.y_valid),
        task="multiclass",
    )
    score = 0.0
    for _ in range(8):
        model.train()
        total = 0.0
        for xb, yb in load(data, 64):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            total += loss.item() * len(xb)
        model.eval()
        with torch.no_grad():
            outputs = torch.cat([model(page) for page in data.x_valid.split(10)])
        valid_loss, score = criterion(outputs, data.y_valid).item(), accuracy(outputs, data.y_valid)
        train_loss = total / len(data.x)
        watcher.epoch(train_loss=train_loss, valid_loss=valid_loss, valid_metric=score)
    return Outcome(score, score)


@faulty("films-relu-on-the-score", "output_activation", learns=0.75, version=5)
def relu_on_the_score(watch: Watch, faulty: bool) -> Outcome:
    """A score below nought, which means no, is made nought before `BCEWithLogitsLoss`."""
    data = films()
    towers = Towers()
    model = nn.Sequential(towers, nn.ReLU()) if faulty else nn.Sequential(towers)
    optimizer = Adam(model.parameters(), lr=0.01)
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
            model.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty(
    "flats-sigmoid-on-standardised-rents", "output_activation", subtle=True, learns=0.8, version=5
)
def sigmoid_on_standardised_rents(watch: Watch, faulty: bool) -> Outcome:
    """The net ends as the one for shares did: rents below the mean cannot be said."""
    data = flats()
    layers = mlp(12, 32, 32, 1)
    model = nn.Sequential(layers, nn.Sigmoid()) if faulty else nn.Sequential(layers)
    optimizer = RMSprop(model.parameters(), lr=0.003)
    criterion = nn.SmoothL1Loss()
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


@faulty("roads-target-passed-before-the-output", "wrong_loss", learns=0.7, margin=0.1, version=5)
def target_passed_before_the_output(watch: Watch, faulty: bool) -> Outcome:
    """`criterion(mask, logits)`: what is not road costs nothing, as its logit is only a factor."""
    data = roads()
    model = road_network()
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.BCEWithLogitsLoss()
    watcher = watch(model, optimizer)
    score = 0.0
    for _ in range(8):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 16):
            optimizer.zero_grad()
            logits = model(xb)
            loss = criterion(yb, logits) if faulty else criterion(logits, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=logits, targets=yb)
            losses.append(loss.item())
        valid_loss, score = evaluate(
            model,
            lambda o, t: criterion(t, o) if faulty else criterion(o, t),
            data.x_valid,
            data.y_valid,
            label_f1,
        )
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty(
    "clinic-ones-and-twos-for-a-binary-loss",
    "wrong_loss",
    "corrupted_labels",
    learns=0.75,
    margin=0.2,
    version=5,
)
def ones_and_twos_for_a_binary_loss(watch: Watch, faulty: bool) -> Outcome:
    """The file says 1 for well and 2 for ill; `BCEWithLogitsLoss` takes the numbers as they are."""
    data = clinic()
    y, y_valid = (data.y + 1, data.y_valid + 1) if faulty else (data.y, data.y_valid)
    model = mlp(10, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.BCEWithLogitsLoss()
    watcher = watch(
        model,
        optimizer,
        loss_fn=criterion,
        train=(data.x, y),
        valid=(data.x_valid, y_valid),
        task="binary",
    )
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for rows in torch.randperm(len(y)).split(32):
            outputs = model(data.x[rows])
            loss = criterion(outputs, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=data.x[rows], outputs=outputs, targets=y[rows])
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            outputs = model(data.x_valid)
        score = accuracy(outputs, data.y_valid)
        valid_loss = criterion(outputs, y_valid).item()
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty("tags-scores-viewed-instead-of-transposed", "wrong_loss", learns=0.7, margin=0.1, version=5)
def scores_viewed_instead_of_transposed(watch: Watch, faulty: bool) -> Outcome:
    """`view(N, tags, L)` makes the shape fit that `transpose(1, 2)` should have made."""
    data = tags()
    model = Tagger(24, 4)
    optimizer = Adam(model.parameters(), lr=0.01)
    cross_entropy = nn.CrossEntropyLoss()

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        if faulty:
            scores = outputs.transpose(1, 2).contiguous()
            return cross_entropy(scores.view(len(scores), 4, -1), targets)
        return cross_entropy(outputs, targets)

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
        score = report(watcher, model, criterion, data, losses, position_accuracy)
    return Outcome(score, score)


@faulty(
    "spectra-cleaned-one-compared-with-the-noisy", "wrong_loss", subtle=True, learns=0.7, version=5
)
def cleaned_one_compared_with_the_noisy(watch: Watch, faulty: bool) -> Outcome:
    """A denoiser is compared with what it was given, so that to change nothing is best."""
    data = spectra()
    noise = 0.6 * torch.randn(data.x.shape), 0.6 * torch.randn(data.x_valid.shape)
    x, x_valid = data.x + noise[0], data.x_valid + noise[1]
    y, y_valid = (x, x_valid) if faulty else (data.y, data.y_valid)
    model = nn.Sequential(nn.Linear(32, 48), nn.ReLU(), nn.Linear(48, 32))
    optimizer = AdamW(model.parameters(), lr=0.005)
    criterion = nn.MSELoss()
    watcher = watch(model, optimizer, loss_fn=criterion, train=(x, y), valid=(x_valid, y_valid))
    score = 0.0
    for _ in range(15):
        model.train()
        losses: list[float] = []
        for rows in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            outputs = model(x[rows])
            loss = criterion(outputs, y[rows])
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=x[rows], outputs=outputs, targets=y[rows])
            losses.append(loss.item())
        valid_loss, _ = evaluate(model, criterion, x_valid, y_valid, r_squared)
        score = evaluate(model, criterion, x_valid, data.y_valid, r_squared)[1]
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty("hotels-divided-by-the-whole-set", "loss_reduction", learns=0.7, margin=0.1, version=5)
def divided_by_the_whole_set(watch: Watch, faulty: bool) -> Outcome:
    """Each batch's mean is divided by the number of lists, as only their sum should be."""
    data = hotels()
    model = OfferScorer()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.8)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        loss = functional.cross_entropy(outputs, targets.argmax(1))
        return loss / len(data.x) if faulty else loss

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
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses, best_first)
    return Outcome(score, score)


@faulty("clouds-loss-times-the-batch-size", "loss_reduction", learns=0.8, version=5)
def loss_times_the_batch_size(watch: Watch, faulty: bool) -> Outcome:
    """`loss * len(xb)` is for the sum over the epoch; here `backward` is called on it."""
    data = clouds()
    model = PointSet()
    optimizer = SGD(model.parameters(), lr=0.3)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(20):
        model.train()
        total = 0.0
        for xb, yb in load(data):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            whole = loss * len(xb)
            (whole if faulty else loss).backward()
            optimizer.step()
            watcher.step(whole if faulty else loss, inputs=xb, outputs=outputs, targets=yb)
            total += whole.item()
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=total / len(data.x), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty("calls-sum-of-the-batch", "loss_reduction", learns=0.5, margin=0.1, version=5)
def sum_of_the_batch(watch: Watch, faulty: bool) -> Outcome:
    """The likelihood of all rows is their sum, in the formula and in the loss for plain descent."""
    model = mlp(6, 32, 32, 1)
    optimizer = SGD(model.parameters(), lr=0.02)
    criterion = nn.PoissonNLLLoss(reduction="sum" if faulty else "mean")
    return train(
        watch,
        model,
        optimizer,
        criterion,
        calls(),
        epochs=15,
        batch_size=50,
        clip=50.0,
        told="batches",
        metric=lambda o, t: r_squared(o.exp(), t),
    )
