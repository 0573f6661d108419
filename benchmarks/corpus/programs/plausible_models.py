"""Healthy trainings of version 5 whose models look suspicious."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence
from torch.optim import SGD, Adam

from benchmarks.corpus.loop import accuracy
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.realistic_architectures import (
    GlyphNet,
    PointSet,
    evaluate,
    load,
    report,
    vowel_network,
)
from benchmarks.corpus.realistic_tasks import (
    clinic,
    clouds,
    flats,
    glyphs,
    roads,
    spectra,
    tickets,
    vowels,
)
from benchmarks.corpus.training import label_f1, start, train


class TiedCoder(nn.Module):
    """An autoencoder whose decoder has the encoder's weights, transposed."""

    def __init__(self, code: int = 6) -> None:
        super().__init__()
        self.down = nn.Linear(32, code)
        self.shift = nn.Parameter(torch.zeros(32))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(self.down(x), self.down.weight.T, self.shift)


@healthy("spectra-decoder-shares-the-encoders-weights", learns=0.85, version=5)
def decoder_shares_the_encoders_weights(watch: Watch, faulty: bool) -> Outcome:
    data = spectra()
    model = TiedCoder()
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


@healthy("glyphs-head-on-kernels-that-stay", learns=0.85, version=5)
def head_on_kernels_that_stay(watch: Watch, faulty: bool) -> Outcome:
    """Kernels of a net that numbered the letters otherwise are kept; only the head is tuned."""
    data = glyphs()
    model = GlyphNet()
    criterion = nn.CrossEntropyLoss()
    first = Adam(model.parameters(), lr=0.005)
    for _ in range(4):
        for xb, yb in load(data):
            first.zero_grad()
            criterion(model(xb), (yb * 2) % 5).backward()
            first.step()
    model.requires_grad_(False)
    model.fc2 = nn.Linear(32, 5)
    optimizer = Adam(model.fc2.parameters(), lr=0.02)
    watcher = watch(
        model,
        optimizer,
        loss_fn=criterion,
        train=(data.x, data.y),
        valid=(data.x_valid, data.y_valid),
        task="multiclass",
    )
    score = 0.0
    for _ in range(5):
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


@healthy("vowels-one-unit-in-eight-answers", learns=0.9, version=5)
def one_unit_in_eight_answers(watch: Watch, faulty: bool) -> Outcome:
    """Of 64 units only the strongest eight of a row are kept (Makhzani and Frey, 2014)."""

    class Strongest(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            least = x.topk(8, 1).values[:, -1:]
            return torch.relu(x) * (x >= least)

    body = vowel_network(64)
    model = nn.Sequential(body, Strongest(), nn.Linear(64, 4))
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), vowels(), epochs=6)


@healthy("clouds-strongest-point-of-each-unit", learns=0.85, version=5)
def strongest_point_of_each_unit(watch: Watch, faulty: bool) -> Outcome:
    """A maximum over the points: most of them get no gradient."""
    data = clouds()
    model = PointSet(width=48, pool="max")
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.8)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(10):
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


class PackedTickets(nn.Module):
    """Reads each ticket to its own end with a packed LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(61, 24, padding_idx=0)
        self.recurrent = nn.LSTM(24, 24, batch_first=True)
        self.head = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x > 0).sum(1)
        packed = pack_padded_sequence(
            self.embedding(x), lengths, batch_first=True, enforce_sorted=False
        )
        _, (state, _) = self.recurrent(packed)
        return self.head(state[-1])


@healthy("tickets-packed-to-their-own-ends", learns=0.7, version=5)
def packed_to_their_own_ends(watch: Watch, faulty: bool) -> Outcome:
    """A row of the embedding, that of the padding, is nought and stays so."""
    model = PackedTickets()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), tickets(), epochs=6)


@healthy("clinic-half-of-the-units-dropped", learns=0.75, version=5)
def half_of_the_units_dropped(watch: Watch, faulty: bool) -> Outcome:
    """Dropout makes the training loss the higher one all the time."""
    data = clinic()
    model = nn.Sequential(
        nn.Linear(10, 64),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(32, 1),
    )
    optimizer = Adam(model.parameters(), lr=0.005)
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


class RoadUNet(nn.Module):
    """Halves the image once, and brings the fine features across."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.GroupNorm(2, width), nn.SiLU()
        )
        self.coarse = nn.Sequential(
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.SiLU(),
            nn.Upsample(scale_factor=2),
        )
        self.head = nn.Conv2d(3 * width, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        return self.head(torch.cat([fine, self.coarse(fine)], 1))


@healthy("roads-overlap-plus-entropy", learns=0.75, version=5)
def overlap_plus_entropy(watch: Watch, faulty: bool) -> Outcome:
    """The soft Dice loss and the cross entropy are added; the sum starts above 1.2."""
    data = roads()
    model = RoadUNet()
    optimizer = Adam(model.parameters(), lr=0.008)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        share = torch.sigmoid(outputs)
        overlap = 2 * (share * targets).sum() / (share.sum() + targets.sum())
        return 1 - overlap + functional.binary_cross_entropy_with_logits(outputs, targets)

    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(7):
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
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, label_f1)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@healthy("flats-five-members-in-one-model", learns=0.85, version=5)
def five_members_in_one_model(watch: Watch, faulty: bool) -> Outcome:
    """The mean of five small nets, each of which is trained through the mean."""

    class Members(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.members = nn.ModuleList(mlp(12, 16, 1, activation=nn.Tanh) for _ in range(5))

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([member(x) for member in self.members]).mean(0)

    model = Members()
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), flats(), epochs=10)
