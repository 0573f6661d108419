"""Healthy trainings of version 5 with a part that looks suspicious."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, AdamW

from benchmarks.corpus.loop import r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.realistic_architectures import (
    Bonds,
    evaluate,
    load,
    report,
)
from benchmarks.corpus.realistic_tasks import (
    best_first,
    films,
    hotels,
    molecules,
    songs,
    spectra,
    traffic,
    vowels,
)
from benchmarks.corpus.training import bit_accuracy, start, train


class Attentive(nn.Module):
    """Offers look at each other before they are scored."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(6, width), nn.GELU(), nn.Linear(width, width))
        self.look = nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        nn.init.zeros_(self.look.out_proj.weight)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        heard, _ = self.look(hidden, hidden, hidden, need_weights=False)
        return self.head(self.norm(hidden + heard))[..., 0]


@healthy("hotels-offers-look-at-each-other-from-nought", learns=0.7, version=5)
def offers_look_at_each_other_from_nought(watch: Watch, faulty: bool) -> Outcome:
    """The attention's last layer starts at nought, so that at first it says nothing."""
    data = hotels()
    model = Attentive()
    optimizer = AdamW(model.parameters(), lr=0.004)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, (2 * targets).softmax(1))

    watcher = start(watch, model, optimizer, criterion, data, "data")
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
        score = report(watcher, model, criterion, data, losses, best_first)
    return Outcome(score, score)


@healthy("molecules-four-rounds-of-one-layer", learns=0.75, version=5)
def four_rounds_of_one_layer(watch: Watch, faulty: bool) -> Outcome:
    """All rounds share one layer, whose gradient is the sum of four."""
    data = molecules()
    model = Bonds(rounds=1)
    model.message = nn.ModuleList([model.message[0]] * 4)
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.MSELoss()
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
            nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, r_squared)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


class Machine(nn.Module):
    """A factorisation machine (Rendle, 2010) over one-hot users and films."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.factor = nn.Embedding(110, 1), nn.Embedding(110, 6)
        nn.init.zeros_(self.linear.weight)
        nn.init.normal_(self.factor.weight, std=0.05)

    def forward(self, x: Tensor) -> Tensor:
        codes = x + torch.tensor([0, 60])
        seen = self.factor(codes)
        products = seen.sum(1).square() - seen.square().sum(1)
        return self.linear(codes).sum(1) + products.sum(1, keepdim=True) / 2


@healthy("films-factors-from-a-twentieth", learns=0.78, version=5)
def factors_from_a_twentieth(watch: Watch, faulty: bool) -> Outcome:
    """Tiny factors and zeros for the rest: for an epoch hardly anything seems to be learned."""
    data = films()
    model = Machine()
    optimizer = Adam(model.parameters(), lr=0.02)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(7):
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
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@healthy("spectra-code-mostly-nought", learns=0.75, version=5)
def code_mostly_nought(watch: Watch, faulty: bool) -> Outcome:
    """A wide code behind a ReLU, held small by its absolute value: sparse on purpose."""
    data = spectra()
    encoder, decoder = nn.Sequential(nn.Linear(32, 48), nn.ReLU()), nn.Linear(48, 32)
    model = nn.Sequential(encoder, decoder)
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.MSELoss()
    watcher = watch(model, optimizer)
    score = 0.0
    for _ in range(12):
        model.train()
        losses: list[float] = []
        for xb, _ in load(data):
            code = encoder(xb)
            loss = criterion(decoder(code), xb) + 0.01 * code.abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, r_squared)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


class Squeezed(nn.Module):
    """Weighs its bands by what the others say (Hu et al., 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(24, 6), nn.ReLU(), nn.Linear(6, 24), nn.Sigmoid())
        self.body = mlp(24, 48, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x * self.gate(x))


@healthy("songs-gates-between-open-and-shut", learns=0.9, version=5)
def gates_between_open_and_shut(watch: Watch, faulty: bool) -> Outcome:
    model = Squeezed()
    optimizer = AdamW(model.parameters(), lr=0.005)
    criterion = nn.BCEWithLogitsLoss()
    return train(
        watch,
        model,
        optimizer,
        criterion,
        songs(),
        epochs=8,
        metric=bit_accuracy,
        told="everything",
    )


class Forecast(nn.Module):
    """The last half-hour, plus what a net that starts at nought adds to it."""

    def __init__(self) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.Flatten(), *mlp(24, 32, 1))
        last = self.change[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        return 0.8 * x[:, -1, :1] + self.change(x)


@healthy("traffic-change-that-starts-at-nought", learns=0.7, version=5)
def change_that_starts_at_nought(watch: Watch, faulty: bool) -> Outcome:
    """A last layer of zeros: in the first step nothing before it has a gradient."""
    data = traffic()
    model = Forecast()
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.HuberLoss()
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


class Bands(nn.Module):
    """The first layer is a bank of sines whose pitches are all that is learned of it."""

    def __init__(self) -> None:
        super().__init__()
        self.pitch = nn.Parameter(torch.linspace(0.2, 1.6, 12))
        self.head = mlp(12, 24, 4)

    def forward(self, x: Tensor) -> Tensor:
        turns = self.pitch[:, None] * torch.arange(80.0)
        real, imaginary = x[:, 0] @ turns.cos().T, x[:, 0] @ turns.sin().T
        power = (real.square() + imaginary.square()) / 80
        return self.head(torch.log(power + 0.1))


@healthy("vowels-twelve-learned-pitches", learns=0.9, version=5)
def twelve_learned_pitches(watch: Watch, faulty: bool) -> Outcome:
    """Pitches move at a hundredth of the rate of the others, since a little changes much."""
    data = vowels()
    model = Bands()
    optimizer = Adam(
        [{"params": [model.pitch], "lr": 1e-4}, {"params": model.head.parameters()}], lr=0.01
    )
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
