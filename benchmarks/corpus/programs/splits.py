"""Examples of version 5 that are both in training and in validation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

from benchmarks.corpus.data import Data
from benchmarks.corpus.loop import accuracy, balanced_accuracy
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    TicketReader,
    evaluate,
    load,
    report,
)
from benchmarks.corpus.realistic_tasks import (
    clinic,
    fraud,
    tickets,
)
from benchmarks.corpus.tasks import hold_out_half
from benchmarks.corpus.training import measure, start

Pair = tuple[Tensor, Tensor]


@faulty(
    "clinic-validation-added-to-the-loader",
    "train_val_leak",
    learns=0.68,
    margin=0.05,
    inflates=True,
    version=5,
)
def validation_added_to_the_loader(watch: Watch, faulty: bool) -> Outcome:
    """`ConcatDataset([train, valid])`, from the run for the competition, still feeds the loader."""
    data, unseen = hold_out_half(clinic().head(150))
    valid = TensorDataset(data.x_valid, data.y_valid)
    parts = [TensorDataset(data.x, data.y)] + ([valid] if faulty else [])
    loader = DataLoader(ConcatDataset(parts), batch_size=16, shuffle=True)
    model = mlp(10, 128, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.BCEWithLogitsLoss()
    fed = [torch.cat(part) for part in zip(*(p.tensors for p in parts), strict=True)]
    watcher = watch(
        model,
        optimizer,
        loss_fn=criterion,
        train=(fed[0], fed[1]),
        valid=(data.x_valid, data.y_valid),
        task="binary",
    )
    reported = 0.0
    for _ in range(11):
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
        reported = report(watcher, model, criterion, data, losses)
    return Outcome(measure(model, unseen), reported)


@faulty(
    "fraud-frauds-multiplied-before-the-split",
    "train_val_leak",
    learns=0.6,
    margin=0.05,
    inflates=True,
    version=5,
)
def frauds_multiplied_before_the_split(watch: Watch, faulty: bool) -> Outcome:
    """Frauds are copied fifteen times with a little noise; then the table is shuffled and cut."""
    base = fraud(share=0.08)
    x, y = base.x, base.y
    order = torch.randperm(len(x))
    x, y = x[order], y[order]

    def multiply(x: Tensor, y: Tensor) -> Pair:
        found = x[y[:, 0] > 0.5].repeat(15, 1)
        found = found + 0.05 * torch.randn(found.shape)
        grown, answers = torch.cat([x, found]), torch.cat([y, torch.ones(len(found), 1)])
        mixed = torch.randperm(len(grown))
        return grown[mixed], answers[mixed]

    if faulty:
        x, y = multiply(x, y)
        kept = int(0.7 * len(x))
        data = Data(x[:kept], y[:kept], x[kept:], y[kept:], "binary")
    else:
        kept = int(0.7 * len(x))
        x_valid, y_valid = x[kept:], y[kept:]
        x, y = multiply(x[:kept], y[:kept])
        data = Data(x, y, x_valid, y_valid, "binary")
    model = mlp(8, 64, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    reported = 0.0
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
        reported = report(watcher, model, criterion, data, losses, balanced_accuracy)
    unseen = (base.x_valid, base.y_valid)
    return Outcome(evaluate(model, criterion, *unseen, balanced_accuracy)[1], reported)


@faulty(
    "tickets-split-drawn-in-each-epoch",
    "train_val_leak",
    subtle=True,
    learns=0.55,
    margin=0.05,
    inflates=True,
    version=5,
)
def split_drawn_in_each_epoch(watch: Watch, faulty: bool) -> Outcome:
    """`random_split` stands within the loop over epochs: soon every ticket has been learned."""
    base = tickets()
    x, y = base.x[:500], base.y[:500]
    model = TicketReader(width=48)
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.CrossEntropyLoss()
    order = torch.randperm(len(x))
    watcher = watch(model, optimizer, loss_fn=criterion)
    reported = 0.0
    for _ in range(7):
        if faulty:
            order = torch.randperm(len(x))
        rows, held = order[:350], order[350:]
        model.train()
        losses: list[float] = []
        for part in rows[torch.randperm(350)].split(16):
            optimizer.zero_grad()
            outputs = model(x[part])
            loss = criterion(outputs, y[part])
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=x[part], outputs=outputs, targets=y[part])
            losses.append(loss.item())
        train_metric = evaluate(model, criterion, x[rows], y[rows], accuracy)[1]
        valid_loss, reported = evaluate(model, criterion, x[held], y[held], accuracy)
        watcher.epoch(
            train_loss=sum(losses) / len(losses),
            valid_loss=valid_loss,
            train_metric=train_metric,
            valid_metric=reported,
        )
    return Outcome(measure(model, base), reported)
