"""Hidden units of version 5 that start wrongly, never answer, or always answer the same."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.loop import r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    Bonds,
    Coder,
    GlyphNet,
    PointSet,
    Towers,
    evaluate,
    load,
    report,
    vowel_network,
)
from benchmarks.corpus.realistic_tasks import (
    calls,
    clouds,
    films,
    flats,
    glyphs,
    molecules,
    songs,
    spectra,
    vowels,
)
from benchmarks.corpus.training import bit_accuracy, start, train


@faulty("flats-every-weight-of-deviation-one", "bad_init", learns=0.85, margin=0.1, version=5)
def every_weight_of_deviation_one(watch: Watch, faulty: bool) -> Outcome:
    """`nn.init.normal_(weight)` on each layer: outputs start in the hundreds."""
    data = flats()
    model = mlp(12, 64, 64, 64, 1)
    for layer in model:
        if faulty and isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight)
    optimizer = Adam(model.parameters(), lr=0.003)
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


@faulty("molecules-all-weights-a-twentieth", "bad_init", learns=0.8, margin=0.1, version=5)
def all_weights_a_twentieth(watch: Watch, faulty: bool) -> Outcome:
    """`constant_(weight, 0.05)` "so that runs are alike": all units of a layer stay alike."""
    data = molecules()
    model = Bonds()
    for name, parameter in model.named_parameters():
        if faulty:
            nn.init.constant_(parameter, 0.05 if name.endswith("weight") else 0.0)
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.MSELoss()
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
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, r_squared)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty(
    "vowels-gain-of-a-fiftieth", "bad_init", "vanishing_gradient", learns=0.9, margin=0.1, version=5
)
def gain_of_a_fiftieth(watch: Watch, faulty: bool) -> Outcome:
    """`xavier_uniform_(weight, gain=0.02)` is for the last layer of a policy, not for all."""
    data = vowels()
    model = vowel_network()
    for layer in model:
        if isinstance(layer, nn.Conv1d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight, gain=0.02 if faulty else 1.4)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
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


@faulty("films-vectors-that-start-at-nought", "bad_init", learns=0.75, subtle=True, version=5)
def vectors_that_start_at_nought(watch: Watch, faulty: bool) -> Outcome:
    """Both tables are zeros: each has its gradient through the other, and stays nought."""
    data = films()
    model = Towers()
    if faulty:
        nn.init.zeros_(model.users.weight)
        nn.init.zeros_(model.items.weight)
    optimizer = Adam(model.parameters(), lr=0.02)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(8):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 64):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty(
    "clouds-bias-of-the-prior-in-every-layer",
    "dying_relu",
    "bad_init",
    learns=0.85,
    margin=0.1,
    version=5,
)
def bias_of_the_prior_in_every_layer(watch: Watch, faulty: bool) -> Outcome:
    """`model.apply` sets −4.6, which is for the last layer of a detector, wherever a bias is."""
    data = clouds()
    model = PointSet()

    def start_low(layer: nn.Module) -> None:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.bias, -4.6)

    if faulty:
        model.apply(start_low)
    else:
        start_low(model.head)
    optimizer = Adam(model.parameters(), lr=0.005)
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
    "calls-killed-by-the-first-large-errors", "dying_relu", "lr_too_high", learns=0.4, version=5
)
def killed_by_the_first_large_errors(watch: Watch, faulty: bool) -> Outcome:
    """Squared errors of counts up to forty, and a rate that suited counts about one."""
    data = calls()
    model = mlp(6, 32, 32, 1)
    optimizer = SGD(model.parameters(), lr=0.4 if faulty else 0.003)
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
            nn.utils.clip_grad_norm_(model.parameters(), 20.0)
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty("spectra-code-behind-a-relu", "dying_relu", subtle=True, learns=0.8, version=5)
def code_behind_a_relu(watch: Watch, faulty: bool) -> Outcome:
    """Another ReLU on the code, whose numbers start below nought and mostly stay there."""
    data = spectra()
    model = Coder()
    last = model.encoder[2]
    assert isinstance(last, nn.Linear)
    nn.init.constant_(last.bias, -0.3)
    if faulty:
        model.encoder.append(nn.ReLU())
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.9)
    criterion = nn.MSELoss()
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


@faulty(
    "vowels-logistic-units-driven-to-their-ends",
    "saturated_units",
    "bad_init",
    learns=0.85,
    margin=0.1,
    version=5,
)
def logistic_units_driven_to_their_ends(watch: Watch, faulty: bool) -> Outcome:
    """Hidden sigmoids whose weights were drawn from −12 to 12, as for a single input."""
    data = vowels()
    power = [torch.fft.rfft(x[:, 0]).abs()[:, 1:25] / 15 - 0.5 for x in (data.x, data.x_valid)]
    data = replace(data, x=power[0], x_valid=power[1])
    model = mlp(24, 32, 32, 32, 4, activation=nn.Sigmoid)
    for layer in model:
        if isinstance(layer, nn.Linear) and layer.out_features == 32:
            reach = 12.0 if faulty else 0.6
            nn.init.uniform_(layer.weight, -reach, reach)
            nn.init.uniform_(layer.bias, -reach, reach)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, criterion, data, epochs=15)


class TanhTowers(Towers):
    """Goes through a tanh before it is scaled to a score."""

    def __init__(self, width: int = 32) -> None:
        super().__init__(width=width)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * torch.tanh(super().forward(x))


@faulty(
    "films-products-of-long-vectors-into-tanh", "saturated_units", "bad_init", learns=0.7, version=5
)
def products_of_long_vectors_into_tanh(watch: Watch, faulty: bool) -> Outcome:
    """`nn.Embedding` draws from a normal of one; products of 32 columns are ±6, a tanh of it ±1."""
    data = films()
    model = TanhTowers()
    for table in (model.users, model.items):
        nn.init.normal_(table.weight, std=1.0 if faulty else 0.1)
    optimizer = SGD(model.parameters(), lr=0.6, momentum=0.8)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(6):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 32):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty(
    "songs-loudness-in-decibel-into-tanh",
    "saturated_units",
    "unnormalised_inputs",
    subtle=True,
    learns=0.9,
    margin=0.015,
    version=5,
)
def loudness_in_decibel_into_tanh(watch: Watch, faulty: bool) -> Outcome:
    """Bands between −60 and 0 decibel drive each tanh to one of its ends."""
    data = songs()
    if faulty:
        data = replace(data, x=10 * data.x - 30, x_valid=10 * data.x_valid - 30)
    model = mlp(24, 48, 5, activation=nn.Tanh)
    optimizer = AdamW(model.parameters(), lr=0.003)
    criterion = nn.BCEWithLogitsLoss()
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
        score = report(watcher, model, criterion, data, losses, bit_accuracy)
    return Outcome(score, score)


@faulty(
    "glyphs-adam-stops-its-units-at-a-tenth",
    "dying_relu",
    "lr_too_high",
    learns=0.85,
    margin=0.1,
    version=5,
)
def adam_stops_its_units_at_a_tenth(watch: Watch, faulty: bool) -> Outcome:
    """Adam's first steps, each as long as the rate, push most units below nought for good."""
    data = glyphs()
    model = GlyphNet()
    optimizer = Adam(model.parameters(), lr=0.1 if faulty else 0.003)
    criterion = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, criterion, data, epochs=6, told="batches")
