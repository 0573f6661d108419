"""Healthy trainings whose data look suspicious: unscaled, noisy, padded, repeated, lopsided."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.architectures import (
    ResidualImage,
    Tagger,
    residual_mlp,
    segment_network,
    signal_network,
)
from benchmarks.corpus.data import Data, random, rare
from benchmarks.corpus.loop import balanced_accuracy
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.tasks import (
    beats,
    circuit,
    gaps,
    houses,
    iris,
    raw_applicants,
    raw_houses,
    scaled_stripes,
    segments,
    series,
    shapes,
    shells,
    spirals,
    stripes,
    swiss_roll,
    tags,
    topics,
)
from benchmarks.corpus.training import label_f1, position_accuracy, train


@healthy("stripes-bytes-into-a-normalising-layer", learns=0.8, version=2)
def bytes_into_a_normalising_layer(watch: Watch, faulty: bool) -> Outcome:
    """Pixels up to 255, which the first layer normalises."""
    model = nn.Sequential(nn.BatchNorm2d(3), ResidualImage(3, 3))
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.8)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), stripes(), epochs=8)


@healthy("applicants-raw-columns-normalised-within", learns=0.75, version=2)
def raw_columns_normalised_within(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(nn.BatchNorm1d(5, momentum=0.2, affine=False), residual_mlp(5, 16, 1))
    optimizer = AdamW(model.parameters(), lr=0.003)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, raw_applicants(), epochs=10)


@healthy("houses-prices-in-thousands", learns=0.8, version=2)
def prices_in_thousands(watch: Watch, faulty: bool) -> Outcome:
    """The absolute error of hundreds; the last bias starts at the median."""
    raw, data = raw_houses(), houses()
    data = Data(data.x, raw.y / 1000, data.x_valid, raw.y_valid / 1000, "regression")
    model = mlp(5, 48, 48, 1)
    model[-1].bias.data[:] = data.y.median()
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.L1Loss()
    return train(watch, model, optimizer, loss_fn, data, epochs=25, batch_size=24)


@healthy("shells-a-constant-and-a-copied-column", learns=0.8, version=2)
def a_constant_and_a_copied_column(watch: Watch, faulty: bool) -> Outcome:
    data = shells()

    def widen(x: Tensor) -> Tensor:
        return torch.cat([x, torch.zeros(len(x), 1), x[:, :1]], 1)

    data = replace(data, x=widen(data.x), x_valid=widen(data.x_valid))
    model = mlp(6, 32, 32, 3)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12)


@healthy("defects-one-in-thirty-plain-to-see", learns=0.85, version=2)
def one_in_thirty_plain_to_see(watch: Watch, faulty: bool) -> Outcome:
    data = rare(share=0.034, distance=2.6)
    model = mlp(10, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=6, metric=balanced_accuracy)


@healthy("tags-padded-to-one-length", learns=0.7, version=2)
def padded_to_one_length(watch: Watch, faulty: bool) -> Outcome:
    """Half of the positions are padding, which the loss leaves out."""
    data = tags()

    def pad(part: Tensor, value: int, seed: int) -> Tensor:
        length = torch.randint(4, 11, (len(part), 1), generator=random(seed))
        return torch.where(torch.arange(10) < length, part, value)

    data = Data(
        pad(data.x, 24, 181),
        pad(data.y, -100, 181),
        pad(data.x_valid, 24, 182),
        pad(data.y_valid, -100, 182),
        "multiclass",
    )

    def metric(outputs: Tensor, targets: Tensor) -> float:
        told = targets >= 0
        return (outputs.argmax(1) == targets)[told].float().mean().item()

    model = Tagger(25, 4)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        data,
        epochs=10,
        told="batches",
        metric=metric,
    )


@healthy("shells-some-labels-wrong-and-smoothed", learns=0.75, version=2)
def some_labels_wrong_and_smoothed(watch: Watch, faulty: bool) -> Outcome:
    """One in twelve training labels is wrong; smoothing keeps the loss above 0.5."""
    data = shells()
    wrong = torch.rand(len(data.y), generator=random(183)) < 0.08
    data = replace(data, y=torch.where(wrong, (data.y + 1) % 3, data.y))
    model = mlp(4, 24, 3)
    optimizer = AdamW(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1)
    return train(watch, model, optimizer, loss_fn, data, epochs=12)


@healthy("iris-known-by-heart-and-well", learns=0.85, version=2)
def known_by_heart_and_well(watch: Watch, faulty: bool) -> Outcome:
    """A hundred clean examples, ten times as many weights, and no harm done."""
    model = mlp(4, 32, 32, 3, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.5)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), iris(), epochs=30, batch_size=15)


@healthy("segments-signals-turned-about", learns=0.8, version=2)
def signals_turned_about(watch: Watch, faulty: bool) -> Outcome:
    """Signals are mirrored in value, and rising becomes falling in the targets too."""
    model = segment_network()
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        turned = torch.rand(len(xb), 1) < 0.5
        xb = torch.where(turned[..., None], -xb, xb)
        yb = torch.where(turned, 2 - yb, yb)
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        segments(),
        epochs=12,
        told="losses",
        metric=position_accuracy,
        update=update,
    )


@healthy("series-mostly-noise", learns=0.3, version=2)
def mostly_noise(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Linear(20, 1)
    optimizer = SGD(model.parameters(), lr=0.01)
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, series(noise=1.2), epochs=12)


@healthy("circuit-some-readings-far-off", learns=0.8, version=2)
def some_readings_far_off(watch: Watch, faulty: bool) -> Outcome:
    """One in thirty targets is a slip of the pen; Huber's loss bears it."""
    data = circuit()
    far = torch.rand(len(data.y), 1, generator=random(184)) < 0.03
    data = replace(data, y=data.y + far * 15.0)
    model = mlp(4, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.HuberLoss(), data, epochs=12)


@healthy("topics-counts-as-they-are", learns=0.6, version=2)
def counts_as_they_are(watch: Watch, faulty: bool) -> Outcome:
    """Word counts from 0 to 12, never below 0."""
    model = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 5))
    optimizer = AdamW(model.parameters(), lr=0.005)
    return train(
        watch,
        model,
        optimizer,
        nn.BCEWithLogitsLoss(),
        topics(),
        epochs=12,
        told="data",
        metric=label_f1,
    )


@healthy("shapes-pieces-painted-over", learns=0.8, version=2)
def pieces_painted_over(watch: Watch, faulty: bool) -> Outcome:
    """A square of each training image is erased; validation images are whole and easier."""
    model = cnn(12, 4)
    optimizer = Adam(model.parameters(), lr=0.005)

    def augment(x: Tensor) -> Tensor:
        x = x.clone()
        for image, (top, left) in zip(x, torch.randint(9, (len(x), 2)).tolist(), strict=True):
            image[:, top : top + 4, left : left + 4] = 0
        return x

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, shapes(), epochs=10, augment=augment)


@healthy("stripes-flipped-both-ways", learns=0.8, version=2)
def flipped_both_ways(watch: Watch, faulty: bool) -> Outcome:
    """Turning by 180° keeps each direction; colours are changed as well."""
    model = ResidualImage(3, 3)
    optimizer = Adam(model.parameters(), lr=0.005)

    def augment(x: Tensor) -> Tensor:
        x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(2, 3), x)
        return x * (0.7 + 0.6 * torch.rand(len(x), 3, 1, 1)) + 0.3 * torch.randn(len(x), 3, 1, 1)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, scaled_stripes(), epochs=14, augment=augment)


@healthy("gaps-levels-of-a-quarter", learns=0.8, version=2)
def levels_of_a_quarter(watch: Watch, faulty: bool) -> Outcome:
    """Readings were stored in steps of 1/4: many rows share their values."""
    data = gaps()
    data = replace(data, x=(4 * data.x).round() / 4, x_valid=(4 * data.x_valid).round() / 4)
    model = mlp(12, 32, 32, 1, activation=nn.ELU)
    optimizer = AdamW(model.parameters(), lr=0.003, weight_decay=0.1)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=15)


@healthy("beats-rows-repeated-within-training", learns=0.85, version=2)
def rows_repeated_within_training(watch: Watch, faulty: bool) -> Outcome:
    """The training part alone was enlarged, after the split, by copies of a third."""
    data = beats()
    third = len(data.x) // 3
    data = replace(
        data, x=torch.cat([data.x, data.x[:third]]), y=torch.cat([data.y, data.y[:third]])
    )
    model = signal_network(3)
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@healthy("swiss-roll-columns-of-three-scales", learns=0.8, version=2)
def columns_of_three_scales(watch: Watch, faulty: bool) -> Outcome:
    """From 0.3 to 3: unequal, but within what a network bears."""
    data = swiss_roll()
    scale = torch.tensor([0.5, 3.0, 1.0])
    data = replace(data, x=data.x * scale, x_valid=data.x_valid * scale)
    model = mlp(3, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15)


@healthy("spirals-first-without-noise", learns=0.85, version=2)
def first_without_noise(watch: Watch, faulty: bool) -> Outcome:
    """A curriculum the other way round: noise is added more and more, so the loss goes up."""
    model = mlp(2, 48, 48, 3)
    optimizer = Adam(model.parameters(), lr=0.01)
    seen = 0

    def augment(x: Tensor) -> Tensor:
        nonlocal seen
        seen += 1
        return x + min(0.12, 0.0004 * seen) * torch.randn_like(x)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, spirals(), epochs=20, augment=augment)
