"""Healthy trainings of version 4 whose data look suspicious."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.data import Data, random, standardise, standardise_targets
from benchmarks.corpus.further_architectures import (
    NamePieces,
    Steps,
    cell_network,
    image_network,
    motion_network,
    sound_network,
)
from benchmarks.corpus.further_tasks import (
    additions,
    bikes,
    cells,
    chirps,
    clocks,
    demand,
    dots,
    groups,
    halves,
    motions,
    names,
    parity,
    passengers,
    raw_bikes,
    thermometers,
    xor,
)
from benchmarks.corpus.loop import balanced_accuracy
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.training import in_order, label_f1, position_accuracy, train


@healthy("names-of-uneven-languages-weighted", learns=0.6, version=4)
def names_of_uneven_languages_weighted(watch: Watch, faulty: bool) -> Outcome:
    data = names()
    kept = (data.y > 0) | (torch.rand(len(data.y), generator=random(461)) < 0.3)
    data = replace(data, x=data.x[kept], y=data.y[kept])
    model = NamePieces()
    optimizer = Adam(model.parameters(), lr=0.01)
    weight = len(data.y) / (3 * torch.bincount(data.y).float())
    loss_fn = nn.CrossEntropyLoss(weight)
    return train(watch, model, optimizer, loss_fn, data, epochs=8, metric=balanced_accuracy)


@healthy("passengers-most-die-and-it-is-learned", learns=0.8, version=4)
def most_die_and_it_is_learned(watch: Watch, faulty: bool) -> Outcome:
    """Seven in ten die, and the loss has no weights."""
    model = mlp(5, 24, 1)
    optimizer = AdamW(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), passengers(), epochs=10)


@healthy("bikes-hours-on-a-circle", learns=0.7, version=4)
def hours_on_a_circle(watch: Watch, faulty: bool) -> Outcome:
    """Hours and weekdays as sines and cosines, three turns of each."""
    raw, scaled = raw_bikes(), bikes()
    parts: list[Tensor] = []
    for plain, part in ((raw.x, scaled.x), (raw.x_valid, scaled.x_valid)):
        turns = 2 * math.pi * plain[:, :2] / torch.tensor([24.0, 7.0])
        waves = torch.cat([turns, 2 * turns, 3 * turns], 1)
        parts.append(torch.cat([waves.sin(), waves.cos(), part[:, 2:]], 1))
    data = replace(scaled, x=parts[0], x_valid=parts[1])
    model = mlp(16, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15)


@healthy("thermometers-a-line-is-enough", learns=0.95, version=4)
def a_line_is_enough(watch: Watch, faulty: bool) -> Outcome:
    """One weight and one bias, which are found at once; then the loss rests."""
    data = standardise_targets(standardise(thermometers()))
    model = nn.Linear(1, 1)
    optimizer = SGD(model.parameters(), lr=0.1)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=20, batch_size=16)


@healthy("chirps-drowned-in-noise", learns=0.6, version=4)
def drowned_in_noise(watch: Watch, faulty: bool) -> Outcome:
    model = sound_network()
    optimizer = AdamW(model.parameters(), lr=0.002, weight_decay=0.1)
    data = chirps(noise=1.4, count=1500)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=4)


@healthy("dots-rolled-about", learns=0.75, version=4)
def rolled_about(watch: Watch, faulty: bool) -> Outcome:
    """Each batch is rolled by some pixels, which leaves the number of dots as it is."""
    model = image_network(4)
    optimizer = Adam(model.parameters(), lr=0.005)

    def augment(x: Tensor) -> Tensor:
        down, right = torch.randint(12, (2,)).tolist()
        return x.roll((down, right), (2, 3))

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, dots(), epochs=10, augment=augment)


@healthy("names-smoothed-labels-of-a-third", learns=0.65, version=4)
def smoothed_labels_of_a_third(watch: Watch, faulty: bool) -> Outcome:
    """Smoothing of 0.3: the loss cannot fall below 0.6."""
    model = NamePieces()
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.3)
    return train(watch, model, optimizer, loss_fn, names(), epochs=8)


@healthy("halves-pixels-that-are-always-black", learns=0.6, version=4)
def pixels_that_are_always_black(watch: Watch, faulty: bool) -> Outcome:
    """Some inputs and some targets are 0 in nearly every digit."""
    model = mlp(32, 96, 32)
    optimizer = RMSprop(model.parameters(), lr=0.002)
    return train(watch, model, optimizer, nn.MSELoss(), halves(), epochs=10)


@healthy("cells-flipped-with-their-masks", learns=0.8, version=4)
def flipped_with_their_masks(watch: Watch, faulty: bool) -> Outcome:
    model = cell_network()
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.BCEWithLogitsLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        axes = [axis for axis in (2, 3) if torch.rand(()) < 0.5]
        optimizer.zero_grad()
        outputs = model(xb.flip(axes))
        loss = loss_fn(outputs, yb.flip(axes))
        loss.backward()
        optimizer.step()
        return loss, outputs.flip(axes)

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        cells(),
        epochs=7,
        batch_size=16,
        told="data",
        metric=label_f1,
        update=update,
    )


@healthy("clocks-mirrored-with-their-angles", learns=0.8, version=4)
def mirrored_with_their_angles(watch: Watch, faulty: bool) -> Outcome:
    """Mirrored from left to right: the cosine changes its sign."""
    model = image_network(2)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.MSELoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        if torch.rand(()) < 0.5:
            xb, yb = xb.flip(3), yb * torch.tensor([-1.0, 1.0])
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, clocks(), epochs=8, update=update, told="losses")


@healthy("demand-always-in-the-same-order", learns=0.85, version=4)
def always_in_the_same_order(watch: Watch, faulty: bool) -> Outcome:
    """No shuffling, of rows that lie in no order."""
    model = mlp(24, 48, 6)
    optimizer = AdamW(model.parameters(), lr=0.005)
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, demand(), epochs=10, order=in_order, told="data")


@healthy("groups-one-label-in-seven-wrong", learns=0.75, version=4)
def one_label_in_seven_wrong(watch: Watch, faulty: bool) -> Outcome:
    """Labels are wrong here and there, and a small net does not learn which."""
    data = groups()
    wrong = torch.rand(len(data.y), generator=random(462)) < 0.15
    drawn = torch.randint(5, (len(data.y),), generator=random(463))
    data = replace(data, y=torch.where(wrong, drawn, data.y))
    model = mlp(2, 12, 5)
    optimizer = Adam(model.parameters(), lr=0.02)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)


@healthy("names-short-ones-first", learns=0.65, version=4)
def short_ones_first(watch: Watch, faulty: bool) -> Outcome:
    """A curriculum: the first epochs show the shorter half of the names only."""
    data = names()
    rows = (data.x > 0).sum(1).argsort(stable=True)
    data = replace(data, x=data.x[rows], y=data.y[rows])
    model = NamePieces()
    optimizer = Adam(model.parameters(), lr=0.01)
    begun = 0

    def order(count: int) -> Tensor:
        nonlocal begun
        begun += 1
        return torch.randperm(count // 2 if begun < 4 else count)

    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10, order=order)


@healthy("parity-two-hundred-digits", learns=0.8, version=4)
def two_hundred_digits(watch: Watch, faulty: bool) -> Outcome:
    """Few examples, which are known by heart soon, and a decay that keeps the rest right."""
    model = mlp(64, 64, 1)
    optimizer = AdamW(model.parameters(), lr=0.005, weight_decay=0.3)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, parity().head(240), epochs=20, batch_size=20)


@healthy("bikes-logarithms-of-counts", learns=0.45, version=4)
def logarithms_of_counts(watch: Watch, faulty: bool) -> Outcome:
    """log(1 + count), not standardised: the loss starts above ten."""
    data = standardise(raw_bikes())
    data = replace(data, y=data.y.log1p(), y_valid=data.y_valid.log1p())
    model = mlp(6, 64, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15)


@healthy("xor-four-rows-over-and-over", learns=0.9, version=4)
def four_rows_over_and_over(watch: Watch, faulty: bool) -> Outcome:
    """The whole training set is the four corners, which is all there is to know."""
    known = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    asked = xor()
    answers = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    data = Data(known, answers, asked.x_valid, asked.y_valid, "binary")
    model = mlp(2, 8, 1, activation=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=0.05)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=100, batch_size=4)


@healthy("additions-known-to-the-last-bit", learns=0.95, version=4)
def known_to_the_last_bit(watch: Watch, faulty: bool) -> Outcome:
    """A rule without an exception: both losses go to nought."""
    model = Steps(nn.GRU(2, 24, batch_first=True))
    optimizer = Adam(model.parameters(), lr=0.02)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        additions(),
        epochs=12,
        told="data",
        metric=position_accuracy,
    )


@healthy("motions-noisier-when-trained", learns=0.85, version=4)
def noisier_when_trained(watch: Watch, faulty: bool) -> Outcome:
    """Noise and random strengths in training only: validation is the easier of the two."""
    data = map_inputs(motions(), lambda x: x.transpose(1, 2).contiguous())
    model = motion_network()
    optimizer = Adam(model.parameters(), lr=0.01)

    def augment(x: Tensor) -> Tensor:
        return x * (0.7 + 0.6 * torch.rand(len(x), 1, 1)) + 0.4 * torch.randn_like(x)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=9, augment=augment)
