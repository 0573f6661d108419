"""Targets of version 5 that are wrong, told by the inputs, or nearly always the same."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from benchmarks.corpus.data import Data, random
from benchmarks.corpus.loop import balanced_accuracy, r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    PathReader,
    TicketReader,
    evaluate,
    load,
    report,
    vowel_network,
)
from benchmarks.corpus.realistic_tasks import (
    calls,
    clinic,
    fraud,
    gestures,
    raw_clinic,
    tickets,
    traffic,
    vehicles,
    vowels,
)
from benchmarks.corpus.training import measure, start, train


@faulty(
    "tickets-sorted-by-length-without-labels",
    "corrupted_labels",
    learns=0.75,
    margin=0.3,
    version=5,
)
def sorted_by_length_without_labels(watch: Watch, faulty: bool) -> Outcome:
    """Texts are sorted by length to spare padding; the labels stay in the order of the file."""
    data = tickets()
    order = (data.x > 0).sum(1).argsort(stable=True)
    if faulty:
        data = replace(data, x=data.x[order])
    model = TicketReader()
    optimizer = Adam(model.parameters(), lr=0.003)
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


@faulty(
    "vowels-classes-numbered-as-they-come", "corrupted_labels", learns=0.9, margin=0.3, version=5
)
def classes_numbered_as_they_come(watch: Watch, faulty: bool) -> Outcome:
    """Each file numbers its classes by first appearance, and the two files begin differently."""
    data = vowels()
    if faulty:
        seen: dict[int, int] = {}
        numbers = [seen.setdefault(kind, len(seen)) for kind in [2, 0, 3, 1, *data.y.tolist()]]
        data = replace(data, y=torch.tensor(numbers[4:]))
    model = vowel_network()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=5)


@faulty("calls-ninety-nine-means-unknown", "corrupted_labels", learns=0.5, margin=0.1, version=5)
def ninety_nine_means_unknown(watch: Watch, faulty: bool) -> Outcome:
    """Hours in which nobody counted are filled with 99, which is taken for a count."""
    data = calls()
    unknown = torch.rand(data.y.shape, generator=random(541)) < 0.12
    if faulty:
        data = replace(data, y=torch.where(unknown, 99.0, data.y))
    model = mlp(6, 32, 32, 1)
    optimizer = AdamW(model.parameters(), lr=0.003)
    criterion = nn.PoissonNLLLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
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
        valid_loss, score = evaluate(
            model, criterion, data.x_valid, data.y_valid, lambda o, t: r_squared(o.exp(), t)
        )
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty(
    "clinic-diagnoses-slipped-by-a-row", "corrupted_labels", subtle=True, learns=0.75, version=5
)
def diagnoses_slipped_by_a_row(watch: Watch, faulty: bool) -> Outcome:
    """A cell was deleted in the table: from there on each patient has the next one's diagnosis."""
    data = clinic()
    if faulty:
        kept = int(0.35 * len(data.y))
        data = replace(data, y=torch.cat([data.y[:kept], data.y[kept:].roll(-1, 0)]))
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(15):
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


def with_laboratory(means_of_classes: bool) -> tuple[Data, Tensor]:
    """Clinic with six values of which most are missing; filled by the mean, or each class's.

    Also the validation inputs as they are when no class is known.
    """
    base, raw = clinic(), raw_clinic()
    parts: list[Tensor] = []
    values = torch.randn(len(base.x), 6, generator=random(543))
    missing = torch.rand(values.shape, generator=random(544)) < 0.6
    values = values + 0.5 * raw.y
    deviations = values.std(0)
    clean = torch.randn(len(base.x_valid), 6, generator=random(545)) + 0.5 * raw.y_valid
    absent = torch.rand(clean.shape, generator=random(546)) < 0.6
    mean = values.mean(0)
    for known, gone, y in ((values, missing, raw.y), (clean, absent, raw.y_valid)):
        filled = mean
        if means_of_classes:
            ill, well = (values[raw.y[:, 0] == kind].mean(0) for kind in (1, 0))
            filled = torch.where(y > 0.5, ill, well)
        parts.append((torch.where(gone, filled, known) - mean) / deviations)
    told = (torch.where(absent, mean, clean) - mean) / deviations
    data = replace(
        base,
        x=torch.cat([base.x, parts[0]], 1),
        x_valid=torch.cat([base.x_valid, parts[1]], 1),
    )
    return data, torch.cat([base.x_valid, told], 1)


@faulty(
    "clinic-gaps-filled-by-the-mean-of-the-class",
    "label_leak",
    subtle=True,
    learns=0.75,
    margin=0.08,
    inflates=True,
    version=5,
)
def gaps_filled_by_the_mean_of_the_class(watch: Watch, faulty: bool) -> Outcome:
    """`groupby(diagnosis).transform(mean)` fills the gaps, for whose filling one must know it."""
    data, clean = with_laboratory(means_of_classes=faulty)
    model = mlp(16, 48, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    reported = 0.0
    for _ in range(14):
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
        reported = report(watcher, model, criterion, data, losses)
    return Outcome(measure(model, replace(data, x_valid=clean)), reported)


@faulty(
    "traffic-mean-of-three-around-the-hour",
    "label_leak",
    learns=0.6,
    margin=0.1,
    inflates=True,
    version=5,
)
def mean_of_three_around_the_hour(watch: Watch, faulty: bool) -> Outcome:
    """The rolling mean is centred, so that the last one holds the half-hour that is asked."""
    base = traffic()
    passed, _ = vehicles()
    mean = functional.avg_pool1d(passed[None, None], 3, stride=1)[0, 0]
    count = len(base.x) + len(base.x_valid)
    past, centred = mean[9 : 9 + count], mean[10 : 10 + count]
    assert len(past) == len(centred) == count

    def add(column: Tensor) -> Data:
        parts = column.split([len(base.x), len(base.x_valid)])
        return replace(
            base,
            x=torch.cat([base.x.flatten(1), parts[0][:, None]], 1),
            x_valid=torch.cat([base.x_valid.flatten(1), parts[1][:, None]], 1),
        )

    data, clean = add(centred if faulty else past), add(past)
    model = mlp(25, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.MSELoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    reported = 0.0
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
        reported = report(watcher, model, criterion, data, losses)
    return Outcome(measure(model, clean), reported)


@faulty(
    "gestures-each-kind-on-its-own-screen",
    "label_leak",
    learns=0.85,
    margin=0.05,
    inflates=True,
    version=5,
)
def each_kind_on_its_own_screen(watch: Watch, faulty: bool) -> Outcome:
    """Each kind was recorded in one session, whose screen began its coordinates elsewhere."""
    clean = gestures()
    clean = replace(clean, x=clean.x + 0.6 * torch.randn(len(clean.x), 20, 2))
    clean = replace(clean, x_valid=clean.x_valid + 0.6 * torch.randn(len(clean.x_valid), 20, 2))
    data = clean
    if faulty:
        origin = torch.tensor([[0.8, 0.8], [-0.8, 0.8], [0.8, -0.8], [-0.8, -0.8]])[:, None]
        data = replace(clean, x=clean.x + origin[clean.y])
        data = replace(data, x_valid=clean.x_valid + origin[clean.y_valid])
    model = PathReader()
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=9)
    return Outcome(measure(model, clean), outcome.reported)


@faulty(
    "fraud-one-in-twenty-five-counts-once", "class_imbalance", learns=0.8, margin=0.1, version=5
)
def one_in_twenty_five_counts_once(watch: Watch, faulty: bool) -> Outcome:
    """To call every payment honest is right in 96 of 100 cases."""
    data = fraud()
    model = mlp(8, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    many = (1 - data.y).sum() / data.y.sum()
    criterion = nn.BCEWithLogitsLoss(pos_weight=None if faulty else many)
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
        score = report(watcher, model, criterion, data, losses, balanced_accuracy)
    return Outcome(score, score)


def thin_out(data: Data, kept: list[int]) -> Data:
    """So many training examples of each class."""
    rows = torch.cat([(data.y == kind).nonzero()[:many, 0] for kind, many in enumerate(kept)])
    return replace(data, x=data.x[rows], y=data.y[rows])


@faulty("tickets-nine-in-ten-ask-the-same", "class_imbalance", learns=0.6, margin=0.1, version=5)
def nine_in_ten_ask_the_same(watch: Watch, faulty: bool) -> Outcome:
    """Most tickets are for one department; a weighted sampler would draw all alike."""
    data = thin_out(tickets(), [250, 20, 20, 20])
    weights = 1 / torch.bincount(data.y).double()
    sampler = WeightedRandomSampler(weights[data.y].tolist(), len(data.y))
    examples = TensorDataset(data.x, data.y)
    loader = DataLoader(examples, 32, shuffle=faulty, sampler=None if faulty else sampler)
    model = TicketReader()
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(14):
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


@faulty("clinic-few-of-the-ill-were-kept", "class_imbalance", subtle=True, learns=0.7, version=5)
def few_of_the_ill_were_kept(watch: Watch, faulty: bool) -> Outcome:
    """One patient in thirteen of the study is ill, and counts as much as each of the others."""
    base = clinic()
    ill, ill_valid = base.y[:, 0] > 0.5, base.y_valid[:, 0] > 0.5
    rows = torch.cat([ill.nonzero()[:45, 0], (~ill).nonzero()[:, 0]])
    held = torch.cat([ill_valid.nonzero()[:19, 0], (~ill_valid).nonzero()[:, 0]])
    data = Data(base.x[rows], base.y[rows], base.x_valid[held], base.y_valid[held], "binary")
    many = (1 - data.y).sum() / data.y.sum()
    model = mlp(10, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.005)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = torch.where(targets > 0.5, 1.0 if faulty else many, 1.0)
        return functional.binary_cross_entropy_with_logits(outputs, targets, weight)

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
        score = report(watcher, model, criterion, data, losses, balanced_accuracy)
    return Outcome(measure(model, base, balanced_accuracy), score)
