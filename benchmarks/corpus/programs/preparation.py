"""Examples of version 5 that come in a bad order, or are changed beyond their class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW
from torch.utils.data import DataLoader, Dataset, IterableDataset

from benchmarks.corpus.data import Data
from benchmarks.corpus.loop import accuracy
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    GlyphNet,
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
    clouds,
    gestures,
    glyphs,
    roads,
    tickets,
    vowels,
)
from benchmarks.corpus.training import label_f1, start, train


@faulty("vowels-one-folder-after-the-other", "no_shuffle", learns=0.85, margin=0.1, version=5)
def one_folder_after_the_other(watch: Watch, faulty: bool) -> Outcome:
    """A folder for each vowel, listed in order, and a loader whose `shuffle` was left out."""
    data = vowels()
    files = data.y.argsort(stable=True)
    data = replace(data, x=data.x[files], y=data.y[files])
    model = vowel_network()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(6):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, shuffle=not faulty):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


Pair = tuple[Tensor, Tensor]


class Stream(IterableDataset[Pair]):
    """Reads tickets department after department; through a buffer, of which one is drawn."""

    def __init__(self, data: Data, buffer: int) -> None:
        rows = data.y.argsort(stable=True)
        self.x, self.y, self.buffer = data.x[rows], data.y[rows], buffer

    def __iter__(self) -> Iterator[Pair]:
        held: list[Pair] = []
        for pair in zip(self.x, self.y, strict=True):
            held.append(pair)
            if len(held) >= self.buffer:
                yield held.pop(int(torch.randint(len(held), ())))
        while held:
            yield held.pop(int(torch.randint(len(held), ())))


@faulty("tickets-stream-with-a-small-buffer", "no_shuffle", learns=0.75, margin=0.05, version=5)
def stream_with_a_small_buffer(watch: Watch, faulty: bool) -> Outcome:
    """A buffer of eight shuffles only neighbours, and a department has two hundred and sixty."""
    data = tickets()
    loader = DataLoader(Stream(data, 8 if faulty else len(data.x)), batch_size=32)
    model = TicketReader()
    optimizer = Adam(model.parameters(), lr=0.025)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(5):
        model.train()
        losses: list[float] = []
        for xb, yb in loader:
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


@faulty("clouds-batch-after-batch-of-one-kind", "no_shuffle", subtle=True, learns=0.85, version=5)
def batch_after_batch_of_one_kind(watch: Watch, faulty: bool) -> Outcome:
    """The order of batches is drawn, that of rows is not: each batch has one kind of cloud."""
    data = clouds()
    rows = data.y.argsort(stable=True)
    data = replace(data, x=data.x[rows], y=data.y[rows])
    model = PointSet()
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        everyone = torch.arange(len(data.x)) if faulty else torch.randperm(len(data.x))
        parts = everyone.split(25)
        for part in torch.randperm(len(parts)).tolist():
            xb, yb = data.x[parts[part]], data.y[parts[part]]
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


class Turned(Dataset[Pair]):
    """Images that are mirrored and turned at random, with their masks or without."""

    def __init__(self, data: Data, alone: bool) -> None:
        self.data, self.alone = data, alone

    def __len__(self) -> int:
        return len(self.data.x)

    def __getitem__(self, row: int) -> Pair:
        image, mask = self.data.x[row], self.data.y[row]
        if torch.rand(()) < 0.5:
            image, mask = image.flip(2), mask if self.alone else mask.flip(2)
        if torch.rand(()) < 0.5:
            image, mask = image.rot90(1, (1, 2)), mask if self.alone else mask.rot90(1, (1, 2))
        return image, mask


@faulty(
    "roads-image-turned-without-its-mask", "bad_augmentation", learns=0.75, margin=0.2, version=5
)
def image_turned_without_its_mask(watch: Watch, faulty: bool) -> Outcome:
    """The transforms belong to the image alone; the mask stays as it was."""
    data = roads()
    loader = DataLoader(Turned(data, alone=faulty), batch_size=16, shuffle=True)
    model = road_network()
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "data")
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
        score = report(watcher, model, criterion, data, losses, label_f1)
    return Outcome(score, score)


def change_pitch(x: Tensor, least: float, most: float) -> Tensor:
    """Played faster or slower, each batch at another speed, and cut to the same length."""
    speed = least + (most - least) * torch.rand(()).item()
    played = functional.interpolate(x, scale_factor=1 / speed, mode="linear")[..., :80]
    return functional.pad(played, (0, 80 - played.shape[-1]), mode="replicate")


@faulty("vowels-played-at-any-speed", "bad_augmentation", subtle=True, learns=0.85, version=5)
def played_at_any_speed(watch: Watch, faulty: bool) -> Outcome:
    """At up to twice the speed or half of it one vowel's pitch becomes another's."""
    data = vowels()
    model = vowel_network()
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    least, most = (0.5, 2.0) if faulty else (0.95, 1.05)
    score = 0.0
    for _ in range(6):
        model.train()
        losses: list[float] = []
        for batch, yb in load(data):
            xb = change_pitch(batch, least, most)
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
    "gestures-mirrored-like-photographs", "bad_augmentation", learns=0.85, margin=0.1, version=5
)
def mirrored_like_photographs(watch: Watch, faulty: bool) -> Outcome:
    """Mirrored or with its axes exchanged, a stroke right goes up and a circle turns round."""

    def mirror(x: Tensor) -> Tensor:
        moved = x + 0.1 * torch.randn(len(x), 1, 2)
        if not faulty:
            return moved
        turned = torch.where(torch.rand(len(x), 1, 1) < 0.5, moved.flip(2), moved)
        side = torch.where(torch.rand(len(x), 1, 1) < 0.5, -1.0, 1.0)
        return torch.cat([turned[..., :1] * side, turned[..., 1:]], 2)

    model = PathReader()
    optimizer = AdamW(model.parameters(), lr=0.008)
    criterion = nn.CrossEntropyLoss()
    return train(
        watch, model, optimizer, criterion, gestures(), epochs=7, augment=mirror, told="batches"
    )


@faulty("glyphs-cropped-to-a-quarter", "bad_augmentation", subtle=True, learns=0.8, version=5)
def cropped_to_a_quarter(watch: Watch, faulty: bool) -> Outcome:
    """The crop for large photographs leaves a piece of half the side, mostly without its letter."""
    data = glyphs()
    model = GlyphNet()
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    side = 5 if faulty else 9
    score = 0.0
    for _ in range(9):
        model.train()
        losses: list[float] = []
        for batch, yb in load(data):
            top, left = torch.randint(11 - side, (2,)).tolist()
            piece = batch[..., top : top + side, left : left + side]
            xb = functional.interpolate(piece, (10, 10), mode="bilinear", align_corners=False)
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)
