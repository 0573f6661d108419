"""Batch normalisation and modes of version 5 that are not in use what they were in training."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.loop import accuracy, predict, r_squared
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    GlyphNet,
    TicketReader,
    evaluate,
    load,
    report,
)
from benchmarks.corpus.realistic_tasks import flats, gestures, glyphs, songs, tickets, traffic
from benchmarks.corpus.training import bit_accuracy, start


class TwoStreams(nn.Module):
    """Vehicles and rain are embedded apart; one normalisation may serve both."""

    def __init__(self, shares: bool) -> None:
        super().__init__()
        self.passed, self.rain = nn.Linear(12, 16), nn.Linear(12, 16)
        self.norm_passed = nn.BatchNorm1d(16)
        self.norm_rain = self.norm_passed if shares else nn.BatchNorm1d(16)
        self.head = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x: Tensor) -> Tensor:
        passed = torch.relu(self.norm_passed(self.passed(x[..., 0])))
        rain = torch.relu(self.norm_rain(self.rain(x[..., 1])))
        return self.head(torch.cat([passed, rain], 1))


@faulty(
    "traffic-one-norm-for-two-streams",
    "batchnorm_misuse",
    subtle=True,
    learns=0.7,
    margin=0.04,
    version=5,
)
def one_norm_for_two_streams(watch: Watch, faulty: bool) -> Outcome:
    """`self.norm` is called for both inputs: its statistics are a mixture that fits neither."""
    data = traffic()
    model = TwoStreams(shares=faulty)
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.MSELoss()
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


@faulty("gestures-micro-batches-of-two-and-norms", "batchnorm_misuse", learns=0.85, version=5)
def micro_batches_of_two_and_norms(watch: Watch, faulty: bool) -> Outcome:
    """Gradients of sixteen pairs are gathered to save memory; each pair has its own statistics."""
    data = gestures()
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(40, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 4),
    )
    optimizer = AdamW(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    size = 2 if faulty else 16
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(5):
        model.train()
        losses: list[float] = []
        gathered = 0
        for rows in torch.randperm(len(data.x)).split(size):
            xb, yb = data.x[rows], data.y[rows]
            outputs = model(xb)
            loss = criterion(outputs, yb)
            (loss * size / 32).backward()
            gathered += size
            losses.append(loss.item())
            if gathered >= 32:
                optimizer.step()
                optimizer.zero_grad()
                gathered = 0
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


def flat_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(12, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 1),
    )


@faulty("flats-served-without-the-buffers", "batchnorm_misuse", learns=0.85, margin=0.1, version=5)
def served_without_the_buffers(watch: Watch, faulty: bool) -> Outcome:
    """`named_parameters()` goes to the copy that serves; means and variances are buffers."""
    data = flats()
    model, served = flat_network(), flat_network()
    optimizer = Adam(model.parameters(), lr=0.006)
    criterion = nn.MSELoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(12):
        model.train()
        losses: list[float] = []
        for rows in torch.randperm(len(data.x)).split(32):
            optimizer.zero_grad()
            outputs = model(data.x[rows])
            loss = criterion(outputs, data.y[rows])
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=data.x[rows], outputs=outputs, targets=data.y[rows])
            losses.append(loss.item())
        kept = dict(model.named_parameters()) if faulty else model.state_dict()
        served.load_state_dict(kept, strict=False)
        valid_loss, score = evaluate(served, criterion, data.x_valid, data.y_valid, r_squared)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty("glyphs-batch-of-views-of-one", "batchnorm_misuse", "no_shuffle", learns=0.8, version=5)
def batch_of_views_of_one(watch: Watch, faulty: bool) -> Outcome:
    """Sixteen noisy views of a single glyph are a batch: what is its own is normalised away."""
    data = glyphs()
    model = GlyphNet()
    net = nn.Sequential(
        model.conv1,
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        model.conv2,
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        model.fc1,
        nn.BatchNorm1d(32),
        nn.ReLU(),
        model.fc2,
    )
    optimizer = SGD(net.parameters(), lr=0.02, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, net, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(6):
        net.train()
        losses: list[float] = []
        for _ in range(40):
            many = 1 if faulty else 16
            rows = torch.randint(len(data.x), (many,)).repeat_interleave(16 // many)
            xb, yb = data.x[rows] + 0.2 * torch.randn(16, 1, 10, 10), data.y[rows]
            optimizer.zero_grad()
            outputs = net(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, net, criterion, data, losses)
    return Outcome(score, score)


class Tickets(TicketReader):
    """With dropout before the head."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(24, 48)
        self.head = nn.Linear(48, 4)
        self.dropout = nn.Dropout(rate)

    def forward(self, x: Tensor) -> Tensor:
        vectors = self.dropout(self.embedding(x).mean(1))
        return self.head(self.dropout(torch.relu(self.hidden(vectors))))


@faulty(
    "tickets-training-mode-after-the-first-page",
    "eval_mode_bug",
    subtle=True,
    learns=0.75,
    version=5,
)
def training_mode_after_the_first_page(watch: Watch, faulty: bool) -> Outcome:
    """A helper within the loop over validation batches ends with `model.train()`."""
    data = tickets()
    model = Tickets(rate=0.5)
    optimizer = Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0

    @torch.no_grad()
    def answer(x: Tensor) -> Tensor:
        outputs = model(x)
        if faulty:
            model.train()
        return outputs

    for _ in range(8):
        model.train()
        total = 0.0
        for xb, yb in load(data):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            total += loss.item() * len(xb)
        model.eval()
        pages = torch.cat([answer(page) for page in data.x_valid.split(32)])
        score = accuracy(pages, data.y_valid)
        valid_loss = criterion(pages, data.y_valid).item()
        train_loss = total / len(data.x)
        watcher.epoch(train_loss=train_loss, valid_loss=valid_loss, valid_metric=score)
    return Outcome(score, score)


@faulty("songs-mode-of-the-phase-inverted", "eval_mode_bug", learns=0.9, version=5)
def mode_of_the_phase_inverted(watch: Watch, faulty: bool) -> Outcome:
    """`model.train(phase != "train")`: dropout works in validation and rests in training."""
    data = songs()
    model = nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Dropout(0.6), nn.Linear(64, 5))
    optimizer = AdamW(model.parameters(), lr=0.005)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(8):
        told: dict[str, float] = {}
        for phase in ("train", "valid"):
            model.train((phase == "train") != faulty)
            if phase == "train":
                losses: list[float] = []
                for xb, yb in load(data):
                    optimizer.zero_grad()
                    outputs = model(xb)
                    loss = criterion(outputs, yb)
                    loss.backward()
                    optimizer.step()
                    watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
                    losses.append(loss.item())
                told["train_loss"] = sum(losses) / len(losses)
            else:
                with torch.no_grad():
                    outputs = model(data.x_valid)
                score = bit_accuracy(outputs, data.y_valid)
                told["valid_loss"] = criterion(outputs, data.y_valid).item()
                told["valid_metric"] = score
        watcher.epoch(**told)
    return Outcome(score, score)


@faulty("traffic-traced-in-training-mode", "eval_mode_bug", learns=0.6, version=5)
def traced_in_training_mode(watch: Watch, faulty: bool) -> Outcome:
    """The traced copy that is validated has dropout for good, as it was on when traced."""
    data = traffic()
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(24, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 1)
    )
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.MSELoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
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
        if not faulty:
            model.eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(model, data.x_valid[:2], check_trace=False)
        outputs = predict(traced, data.x_valid)  # pyright: ignore[reportArgumentType]
        score = r_squared(outputs, data.y_valid)
        valid_loss = criterion(outputs, data.y_valid).item()
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)
