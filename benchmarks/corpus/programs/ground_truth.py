"""Targets of version 4 that are wrong, known beforehand, or hardly ever of one kind."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.data import Data, random
from benchmarks.corpus.further_architectures import (
    NamePieces,
    cell_network,
    image_network,
    motion_network,
    sound_network,
)
from benchmarks.corpus.further_tasks import (
    bikes,
    cells,
    chirps,
    motions,
    names,
    passengers,
    raw_bikes,
    turned,
)
from benchmarks.corpus.loop import balanced_accuracy
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.training import label_f1, measure, train


@faulty("cells-masks-sorted-as-strings", "corrupted_labels", learns=0.8, margin=0.2, version=4)
def masks_sorted_as_strings(watch: Watch, faulty: bool) -> Outcome:
    """Images are sorted by number and masks by name, where 10 comes before 2."""
    data = cells()
    if faulty:
        by_name = sorted(range(len(data.y)), key=str)
        data = replace(data, y=data.y[by_name])
    model = cell_network()
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.BCEWithLogitsLoss(),
        data,
        epochs=6,
        batch_size=16,
        told="data",
        metric=label_f1,
    )


@faulty("names-labels-of-a-weary-clerk", "corrupted_labels", subtle=True, learns=0.65, version=4)
def labels_of_a_weary_clerk(watch: Watch, faulty: bool) -> Outcome:
    """For half of the names the clerk entered whatever language came first."""
    data = names()
    if faulty:
        guessed = torch.rand(len(data.y), generator=random(431)) < 0.5
        data = replace(data, y=torch.where(guessed, 0, data.y))
    model = NamePieces()
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@faulty(
    "passengers-unknown-means-dead",
    "corrupted_labels",
    subtle=True,
    learns=0.75,
    margin=0.1,
    version=4,
)
def unknown_means_dead(watch: Watch, faulty: bool) -> Outcome:
    """Of six survivors in ten nothing is written, which `fillna(0)` reads as death."""
    data = passengers()
    if faulty:
        told = (torch.rand(data.y.shape, generator=random(433)) > 0.6).float()
        data = replace(data, y=data.y * told)
    model = mlp(5, 24, 1)
    optimizer = RMSprop(model.parameters(), lr=0.005)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=12, metric=balanced_accuracy)


def measure_shuffled(model: nn.Module, data: Data, columns: list[int]) -> float:
    """The score where these columns tell nothing."""
    x_valid = data.x_valid.clone()
    rows = torch.randperm(len(x_valid), generator=random(434))
    x_valid[:, columns] = x_valid[rows][:, columns]
    return measure(model, replace(data, x_valid=x_valid))


def with_columns(data: Data, train_columns: Tensor, valid_columns: Tensor) -> Data:
    return replace(
        data,
        x=torch.cat([data.x, train_columns], 1),
        x_valid=torch.cat([data.x_valid, valid_columns], 1),
    )


@faulty(
    "passengers-number-of-the-lifeboat",
    "label_leak",
    learns=0.7,
    margin=0.1,
    inflates=True,
    version=4,
)
def number_of_the_lifeboat(watch: Watch, faulty: bool) -> Outcome:
    """The list of passengers says in which boat someone was saved, and 0 for none."""
    clean = passengers()
    boats: list[Tensor] = []
    for y in (clean.y, clean.y_valid):
        boat = 1 + torch.randint(16, y.shape, generator=random(435))
        found = torch.rand(y.shape, generator=random(436)) < 0.97
        boats.append(boat * (y > 0.5) * found / 8 if faulty else boat / 8 - 1)
    data = with_columns(clean, boats[0], boats[1])
    model = mlp(6, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=12)
    return Outcome(measure_shuffled(model, data, [5]), outcome.reported)


@faulty(
    "bikes-members-and-guests-as-columns",
    "label_leak",
    learns=0.4,
    margin=0.2,
    inflates=True,
    version=4,
)
def members_and_guests_as_columns(watch: Watch, faulty: bool) -> Outcome:
    """What is asked is how many bikes were hired; two of the columns add up to it."""
    clean = bikes()
    raw = raw_bikes()
    parts: list[Tensor] = []
    for y in (raw.y, raw.y_valid):
        share = 0.6 + 0.3 * torch.rand(y.shape, generator=random(437))
        both = torch.cat([share * y, (1 - share) * y], 1) / torch.tensor([80.0, 30.0])
        parts.append(both if faulty else torch.randn(len(y), 2, generator=random(438)))
    data = with_columns(clean, parts[0], parts[1])
    model = mlp(8, 64, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
    outcome = train(watch, model, optimizer, nn.MSELoss(), data, epochs=10)
    return Outcome(measure_shuffled(model, data, [6, 7]), outcome.reported)


@faulty(
    "turned-shade-of-the-lens",
    "label_leak",
    subtle=True,
    learns=0.6,
    margin=0.1,
    inflates=True,
    version=4,
)
def shade_of_the_lens(watch: Watch, faulty: bool) -> Outcome:
    """The lens darkens one edge of each photograph, which turns with it (Doersch et al., 2015)."""
    clean = turned()
    fall = torch.linspace(0.5, -0.5, 8)[:, None].expand(8, 8)
    shades = torch.stack([fall.rot90(many, (0, 1)) for many in range(4)])[:, None]
    data = clean
    if faulty:
        data = replace(clean, x=clean.x + shades[clean.y])
        data = replace(data, x_valid=clean.x_valid + shades[clean.y_valid])
    model = image_network(4, side=8)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    outcome = train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=5)
    return Outcome(measure(model, clean), outcome.reported)


def thin_out(data: Data, kind: int, kept: int) -> Data:
    """Only so many training examples of a class are left."""
    rows = (data.y.flatten() != kind) | ((data.y.flatten() == kind).cumsum(0) <= kept)
    return replace(data, x=data.x[rows], y=data.y[rows])


def balance(data: Data, kinds: int) -> Tensor:
    """A weight for each class, the rarer the greater."""
    return len(data.y) / (kinds * torch.bincount(data.y, minlength=kinds).float())


@faulty("motions-hardly-anyone-climbs", "class_imbalance", learns=0.7, margin=0.1, version=4)
def hardly_anyone_climbs(watch: Watch, faulty: bool) -> Outcome:
    data = map_inputs(motions(), lambda x: x.transpose(1, 2).contiguous())
    data = thin_out(data, 3, 8)
    model = motion_network()
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss(None if faulty else balance(data, 4))
    return train(watch, model, optimizer, loss_fn, data, epochs=8, metric=balanced_accuracy)


@faulty("names-one-foreign-name-in-thirty", "class_imbalance", learns=0.5, margin=0.05, version=4)
def one_foreign_name_in_thirty(watch: Watch, faulty: bool) -> Outcome:
    """Two of three languages are rare; the twin draws the rare ones more often."""
    data = thin_out(thin_out(names(count=2400), 1, 25), 2, 25)
    model = NamePieces()
    optimizer = AdamW(model.parameters(), lr=0.003)
    weight = balance(data, 3)[data.y]

    def draw(count: int) -> Tensor:
        return torch.multinomial(weight, count, replacement=True)

    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        data,
        epochs=7,
        metric=balanced_accuracy,
        order=torch.randperm if faulty else draw,
    )


@faulty("chirps-few-that-fall", "class_imbalance", subtle=True, learns=0.7, margin=0.05, version=4)
def few_that_fall(watch: Watch, faulty: bool) -> Outcome:
    data = thin_out(chirps(noise=0.7, count=1200), 1, 25)
    model = sound_network()
    optimizer = Adam(model.parameters(), lr=0.002)
    loss_fn = nn.CrossEntropyLoss(None if faulty else balance(data, 3))
    return train(watch, model, optimizer, loss_fn, data, epochs=6, metric=balanced_accuracy)
