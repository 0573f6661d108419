"""Examples that come in a bad order, are bent out of shape, or are in both splits."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.data import (
    Data,
    arrows,
    clusters,
    diabetes,
    digit_images,
    digits,
    friedman,
    moons,
    noisy_linear,
    random,
)
from benchmarks.corpus.loop import fit, score, start_watcher, validate
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty


def sort_by_target(data: Data) -> Data:
    order = data.y.flatten().argsort(stable=True)
    return replace(data, x=data.x[order], y=data.y[order])


@faulty("digits-sorted-by-class", "no_shuffle", learns=0.9)
def sorted_by_class(watch: Watch, faulty: bool) -> Outcome:
    data = sort_by_target(digits())
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, data, epochs=8, shuffle=not faulty)


@faulty("moons-one-moon-after-the-other", "no_shuffle", learns=0.9)
def one_moon_after_the_other(watch: Watch, faulty: bool) -> Outcome:
    data = sort_by_target(moons())
    model = mlp(2, 32, 1)
    optimizer = SGD(model.parameters(), lr=0.5)
    loss_fn = nn.BCEWithLogitsLoss()
    return fit(watch, model, optimizer, loss_fn, data, epochs=15, batch_size=16, shuffle=not faulty)


@faulty("friedman-sorted-by-target", "no_shuffle", learns=0.8)
def sorted_by_target(watch: Watch, faulty: bool) -> Outcome:
    data = sort_by_target(friedman())
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(
        watch, model, optimizer, nn.MSELoss(), data, epochs=15, shuffle=not faulty, told="batches"
    )


@faulty("digits-batches-of-one-class", "no_shuffle", subtle=True, learns=0.8)
def batches_of_one_class(watch: Watch, faulty: bool) -> Outcome:
    data = sort_by_target(digits())
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.2)
    loss_fn = nn.CrossEntropyLoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data)
    chunks = list(torch.arange(len(data.x)).split(32))
    for _ in range(8):
        model.train()
        losses = []
        if not faulty:
            chunks = list(torch.randperm(len(data.x)).split(32))
        for place in torch.randperm(len(chunks)).tolist():
            xb, yb = data.x[chunks[place]], data.y[chunks[place]]
            optimizer.zero_grad()
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.detach())
        reported = validate(watcher, model, loss_fn, data, losses)
    return Outcome(reported, reported)


def flip_at_random(x: Tensor) -> Tensor:
    flipped = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
    return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, flipped.transpose(2, 3), flipped)


@faulty("arrows-flipped-and-turned", "bad_augmentation", learns=0.8, margin=0.2)
def flipped_and_turned(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(12, 4)
    optimizer = Adam(model.parameters(), lr=0.005)
    augment = flip_at_random if faulty else None
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, arrows(), epochs=12, augment=augment)


@faulty("friedman-noise-larger-than-the-signal", "bad_augmentation", learns=0.8, margin=0.1)
def noise_larger_than_the_signal(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    deviation = 3.0 if faulty else 0.02

    def jitter(x: Tensor) -> Tensor:
        return x + deviation * torch.randn_like(x)

    return fit(watch, model, optimizer, nn.MSELoss(), friedman(), epochs=20, augment=jitter)


@faulty("digit-images-mostly-erased", "bad_augmentation", learns=0.9, margin=0.05)
def mostly_erased(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(8, 10)
    optimizer = Adam(model.parameters(), lr=0.003)
    side = 7 if faulty else 2

    def erase(x: Tensor) -> Tensor:
        x = x.clone()
        for image in x:
            top, left = torch.randint(8 - side + 1, (2,)).tolist()
            image[:, top : top + side, left : left + side] = -1
        return x

    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, digit_images(), epochs=10, augment=erase)


@faulty(
    "digits-mixed-but-not-their-labels", "bad_augmentation", subtle=True, learns=0.9, margin=0.04
)
def mixed_but_not_their_labels(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 64, 10)
    optimizer = Adam(model.parameters(), lr=0.003)

    def mix(x: Tensor) -> Tensor:
        share = 0.5 * torch.rand(len(x), 1)
        return share * x + (1 - share) * x[torch.randperm(len(x))]

    loss_fn = nn.CrossEntropyLoss()
    augment = mix if faulty else None
    return fit(watch, model, optimizer, loss_fn, digits(), epochs=6, augment=augment)


@faulty("digit-images-upside-down-too", "bad_augmentation", subtle=True, learns=0.9)
def upside_down_too(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(8, 10)
    optimizer = Adam(model.parameters(), lr=0.005)

    def turn(x: Tensor) -> Tensor:
        x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(2), x)
        return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)

    loss_fn = nn.CrossEntropyLoss()
    augment = turn if faulty else None
    return fit(watch, model, optimizer, loss_fn, digit_images(), epochs=8, augment=augment)


def part_in_two(data: Data) -> tuple[Data, Data]:
    """A validation and a test set out of the validation set."""
    half = len(data.x_valid) // 2
    valid = replace(data, x_valid=data.x_valid[:half], y_valid=data.y_valid[:half])
    return valid, replace(data, x_valid=data.x_valid[half:], y_valid=data.y_valid[half:])


@faulty("clusters-validated-on-training-rows", "train_val_leak", learns=0.5, inflates=True)
def validated_on_training_rows(watch: Watch, faulty: bool) -> Outcome:
    data, test = part_in_two(clusters(flipped=0.3))
    if faulty:
        data = replace(data, x_valid=data.x[:225], y_valid=data.y[:225])
    model = mlp(20, 64, 4)
    optimizer = AdamW(model.parameters(), lr=0.005, weight_decay=0.1)
    outcome = fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)
    return Outcome(score(model, test), outcome.reported)


@faulty("diabetes-oversampled-before-the-split", "train_val_leak", learns=0.1, inflates=True)
def oversampled_before_the_split(watch: Watch, faulty: bool) -> Outcome:
    data, test = part_in_two(diabetes())
    if faulty:
        x, y = torch.cat([data.x, data.x_valid]), torch.cat([data.y, data.y_valid])
        rows = torch.randint(len(x), (2 * len(x),), generator=random(51))
        kept = int(0.8 * len(rows))
        data = replace(
            data, x=x[rows[:kept]], y=y[rows[:kept]], x_valid=x[rows[kept:]], y_valid=y[rows[kept:]]
        )
    model = mlp(10, 48, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = fit(watch, model, optimizer, nn.MSELoss(), data, epochs=15, batch_size=16)
    return Outcome(score(model, test), outcome.reported)


@faulty(
    "clusters-jittered-before-the-split", "train_val_leak", subtle=True, learns=0.5, inflates=True
)
def jittered_before_the_split(watch: Watch, faulty: bool) -> Outcome:
    data, test = part_in_two(clusters(flipped=0.3, count=3000))
    data = data.head(700)
    if faulty:
        x_valid = data.x[:450] + 0.02 * torch.randn(450, 20, generator=random(52))
        data = replace(data, x_valid=x_valid, y_valid=data.y[:450])
    model = mlp(20, 48, 4)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=3e-3)
    outcome = fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)
    return Outcome(score(model, test), outcome.reported)


@faulty("linear-trained-on-everything", "train_val_leak", learns=0.2, inflates=True)
def trained_on_everything(watch: Watch, faulty: bool) -> Outcome:
    data, test = part_in_two(noisy_linear(noise=1.0))
    if faulty:
        data = replace(
            data, x=torch.cat([data.x, data.x_valid]), y=torch.cat([data.y, data.y_valid])
        )
    model = mlp(8, 128, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = fit(watch, model, optimizer, nn.MSELoss(), data, epochs=12)
    return Outcome(score(model, test), outcome.reported)
