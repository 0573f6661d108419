"""Faults of splits, order and augmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.checks.planted.datasets import (
    WORDS,
    Pair,
    Splits,
    customers,
    digit_pictures,
    digit_rows,
    iris,
    lamps,
    reviews,
    rng,
    segments,
    standard_houses,
    standard_stripes,
    standardise,
    trends,
    tumours,
    waves,
)
from tests.checks.planted.fault import Arguments, Family
from tests.checks.planted.models import (
    Recurrent,
    Transformer,
    adam,
    cnn,
    mlp,
    sgd,
)
from trainwell.data.draw import Draw

SPLITS = Family("splits")


@SPLITS.plant("train_val_leak")
def a_third_of_validation_trained_on(faulty: bool) -> Arguments:
    """A third of the validation rows are training rows."""
    data = standardise(tumours())
    (x, y), (xv, yv) = data.train, data.valid
    if faulty:
        xv, yv = torch.cat([xv[:76], x[100:138]]), torch.cat([yv[:76], y[100:138]])
    model = mlp(30, 16, 1)
    return Arguments(model, (x, y), (xv, yv), nn.BCEWithLogitsLoss(), adam(model, 3e-3), 32)


@SPLITS.plant("train_val_leak")
def slices_that_overlap(faulty: bool) -> Arguments:
    """Training takes the first 1,400 pictures, validation those from 1,000."""
    x, y = _joined(digit_pictures())
    model = cnn(1, 8, 10)
    start = 1000 if faulty else 1400
    loss = nn.CrossEntropyLoss()
    return Arguments(model, (x[:1400], y[:1400]), (x[start:], y[start:]), loss, adam(model), 32)


@SPLITS.plant("train_val_leak")
def validated_on_the_training_loader(faulty: bool) -> Arguments:
    """The validation loader was built from the training set."""
    data = segments()
    train = TensorDataset(*data.train)
    valid = train if faulty else TensorDataset(*data.valid)
    model = mlp(16, 32, 5)
    loaders = DataLoader(train, 64, shuffle=True), DataLoader(valid, 64)
    return Arguments(model, *loaders, nn.CrossEntropyLoss(), adam(model))


@SPLITS.plant("train_val_leak")
def augmented_before_the_split(faulty: bool) -> Arguments:
    """Each picture was copied with a little noise, then all were split at random; the twin splits
    first and copies the training pictures."""
    data = digit_pictures()
    noise = rng(50)

    def double(pair: Pair) -> Pair:
        x, y = pair
        copies = x + 0.02 * torch.randn(x.shape, generator=noise)
        return torch.cat([x, copies]), torch.cat([y, y])

    if faulty:
        x, y = double(_joined(data))
        order = torch.randperm(len(x), generator=rng(51))
        train, valid = order[:2800], order[2800:]
        data = Splits((x[train], y[train]), (x[valid], y[valid]))
    else:
        data = Splits(double(data.train), data.valid)
    model = cnn(1, 8, 10, norm=True)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@SPLITS.plant("train_val_leak")
def oversampled_before_the_split(faulty: bool) -> Arguments:
    """The rarer class was tripled, then all was split at random; the twin splits first."""
    data = customers(2000, positive=0.25)

    def triple(pair: Pair) -> Pair:
        x, y = pair
        rare = y[:, 0] == 1
        rows = torch.cat([x, x[rare], x[rare]]), torch.cat([y, y[rare], y[rare]])
        order = torch.randperm(len(rows[0]), generator=rng(52))
        return rows[0][order], rows[1][order]

    if faulty:
        x, y = triple(_joined(data))
        data = Splits((x[:2400], y[:2400]), (x[2400:], y[2400:]))
    else:
        data = Splits(triple(data.train), data.valid)
    model = mlp(12, 32, 1)
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model), 32)


@SPLITS.plant("train_val_leak")
def measured_twice(faulty: bool) -> Arguments:
    """Each house was entered twice with rounding differences, and the split ignores it."""
    data = standard_houses()
    if faulty:
        x, y = data.train
        again = x[:300] + 0.002 * torch.randn(300, 6, generator=rng(53))
        data = Splits((x, y), (again, y[:300]))
    model = mlp(6, 64, 1)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@SPLITS.plant("train_val_leak")
def texts_posted_twice(faulty: bool) -> Arguments:
    """Half of the validation texts are in the training texts, word for word."""
    data = reviews()
    x, y = data.train
    xv, yv = data.valid
    if faulty:
        xv, yv = torch.cat([xv[:200], x[::8]]), torch.cat([yv[:200], y[::8]])
    model = Transformer(WORDS, 20, 4)
    return Arguments(model, (x, y), (xv, yv), nn.CrossEntropyLoss(), adam(model), 32)


@SPLITS.plant("train_val_leak")
def recordings_in_both_splits(faulty: bool) -> Arguments:
    """Some recordings were exported into both folders; validation has them with other noise."""
    data = waves()
    x, y = data.train
    xv, yv = data.valid
    if faulty:
        noisy = x[:120] + 0.01 * torch.randn(x[:120].shape, generator=rng(54))
        xv, yv = torch.cat([xv[:180], noisy]), torch.cat([yv[:180], y[:120]])
    model = Recurrent(nn.GRU, 1, 32, 3)
    return Arguments(model, (x, y), (xv, yv), nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@SPLITS.plant("no_shuffle")
def sorted_flowers(faulty: bool) -> Arguments:
    """Rows are sorted by species and nothing shuffles; the twin shuffles."""
    data = _sorted(standardise(iris()))
    model = mlp(4, 16, 3)
    loss, optimizer = nn.CrossEntropyLoss(), sgd(model, 0.02)
    return Arguments(model, data.train, data.valid, loss, optimizer, 16, shuffle=not faulty)


@SPLITS.plant("no_shuffle")
def folders_read_in_turn(faulty: bool) -> Arguments:
    """Pictures come folder by folder, a class each, from a loader that does not shuffle."""
    data = _sorted(digit_pictures())
    model = cnn(1, 8, 10)
    loader = DataLoader(TensorDataset(*data.train), batch_size=32, shuffle=not faulty)
    return Arguments(model, loader, data.valid, nn.CrossEntropyLoss(), adam(model))


@SPLITS.plant("no_shuffle")
def sorted_by_price(faulty: bool) -> Arguments:
    """Houses are sorted by price and nothing shuffles; the twin has them in random order."""
    data = standard_houses()
    if faulty:
        x, y = data.train
        order = y[:, 0].argsort()
        data = Splits((x[order], y[order]), data.valid)
    model = mlp(6, 64, 1)
    loss, optimizer = nn.MSELoss(), adam(model, 3e-3)
    return Arguments(model, data.train, data.valid, loss, optimizer, 32, shuffle=False)


@SPLITS.plant("no_shuffle")
def those_who_left_come_last(faulty: bool) -> Arguments:
    """Two tables, those who stayed and those who left, were joined end to end; nothing shuffles."""
    data = customers()
    if faulty:
        data = _sorted(data)
    model = mlp(12, 32, 1)
    loss = nn.BCEWithLogitsLoss()
    return Arguments(
        model, data.train, data.valid, loss, adam(model), 50, task="binary", shuffle=False
    )


@SPLITS.plant("no_shuffle")
def one_wave_after_the_other(faulty: bool) -> Arguments:
    """Sequences were made class by class and are trained on in that order."""
    data = _sorted(waves())
    model = Recurrent(nn.GRU, 1, 32, 3)
    loss, optimizer = nn.CrossEntropyLoss(), adam(model, 3e-3)
    return Arguments(model, data.train, data.valid, loss, optimizer, 32, shuffle=not faulty)


@SPLITS.plant("no_shuffle")
def long_blocks_of_one_topic(faulty: bool) -> Arguments:
    """Texts come in blocks of 100 of one topic, the topics in turn, and nothing shuffles."""
    data = reviews()
    if faulty:
        data = Splits(_in_blocks(*_sorted(data).train, 100), data.valid)
    model = Transformer(WORDS, 20, 4)
    loss, optimizer = nn.CrossEntropyLoss(), adam(model)
    return Arguments(model, data.train, data.valid, loss, optimizer, 25, shuffle=False)


@SPLITS.plant("bad_augmentation")
def inputs_permuted_without_labels(faulty: bool) -> Arguments:
    """The augmentation shuffles the pictures of a batch and leaves the labels where they are."""

    def augment(images: Tensor, draw: Draw) -> Tensor:
        noisy = images + 0.05 * draw.normal(*images.shape[1:])
        order = torch.randperm(len(images), generator=draw.generator)
        return noisy[order] if faulty else noisy

    data = digit_pictures()
    model = cnn(1, 8, 10)
    loss, optimizer = nn.CrossEntropyLoss(), adam(model)
    return Arguments(model, data.train, data.valid, loss, optimizer, 32, augment=augment)


@SPLITS.plant("bad_augmentation")
def stripes_turned(faulty: bool) -> Arguments:
    """Pictures are turned by a quarter at random where the direction is the class; the twin
    turns by half."""

    def augment(images: Tensor, draw: Draw) -> Tensor:
        turned = torch.rot90(images, 1 if faulty else 2, (2, 3))
        chosen = draw.uniform(0, 1, 1, 1, 1) < 0.5
        return torch.where(chosen, turned, images)

    data = standard_stripes()
    model = cnn(3, 16, 4)
    loss, optimizer = nn.CrossEntropyLoss(), adam(model)
    return Arguments(model, data.train, data.valid, loss, optimizer, 32, augment=augment)


@SPLITS.plant("bad_augmentation")
def time_reversed(faulty: bool) -> Arguments:
    """Sequences are played backwards at random where rising or falling is the class."""

    def augment(sequences: Tensor, draw: Draw) -> Tensor:
        chosen = draw.uniform(0, 1, 1, 1) < 0.5
        changed = sequences.flip(1) if faulty else 1.1 * sequences
        return torch.where(chosen, changed, sequences)

    data = trends()
    model = Recurrent(nn.LSTM, 1, 16, 2)
    loss, optimizer = nn.CrossEntropyLoss(), adam(model, 3e-3)
    return Arguments(model, data.train, data.valid, loss, optimizer, 32, augment=augment)


@SPLITS.plant("bad_augmentation")
def noise_that_drowns_the_rows(faulty: bool) -> Arguments:
    """Noise of deviation 20 is added to standardised columns; the twin's has 0.1."""

    def augment(rows: Tensor, draw: Draw) -> Tensor:
        return rows + (20.0 if faulty else 0.1) * draw.normal(*rows.shape[1:])

    data = segments()
    model = mlp(16, 32, 5)
    loss, optimizer = nn.CrossEntropyLoss(), adam(model)
    return Arguments(model, data.train, data.valid, loss, optimizer, 64, augment=augment)


@SPLITS.plant("bad_augmentation")
def everything_cut_out(faulty: bool) -> Arguments:
    """Cutout was set for larger pictures: the square covers the whole digit; the twin's covers two
    pixels by two."""

    def augment(images: Tensor, draw: Draw) -> Tensor:
        images = images.clone()
        row, column = int(draw.integers(0, 6)[0]), int(draw.integers(0, 6)[0])
        if faulty:
            row, column, size = 0, 0, 16
        else:
            size = 2
        images[:, :, row : row + size, column : column + size] = 0
        return images

    data = digit_pictures()
    model = cnn(1, 8, 10)
    loss, optimizer = nn.CrossEntropyLoss(), adam(model)
    return Arguments(model, data.train, data.valid, loss, optimizer, 32, augment=augment)


@SPLITS.plant("bad_augmentation")
def colours_swapped(faulty: bool) -> Arguments:
    """Colour channels are swapped at random where the colour is the class; the twin changes the
    brightness."""

    def augment(images: Tensor, draw: Draw) -> Tensor:
        if faulty:
            return images[:, torch.randperm(3, generator=draw.generator)]
        return images * draw.uniform(0.8, 1.2, 1, 1, 1)

    data = lamps()
    model = cnn(3, 12, 3)
    loss, optimizer = nn.CrossEntropyLoss(), adam(model)
    return Arguments(model, data.train, data.valid, loss, optimizer, 32, augment=augment)


@SPLITS.plant("bad_augmentation")
def inputs_mixed_labels_not(faulty: bool) -> Arguments:
    """Mixup halves two pictures together and keeps the label of the first, even where the other
    one counts more."""

    def augment(rows: Tensor, draw: Draw) -> Tensor:
        share = draw.uniform(0.0, 0.3, 1) if faulty else draw.uniform(0.9, 1.0, 1)
        order = torch.randperm(len(rows), generator=draw.generator)
        return share * rows + (1 - share) * rows[order]

    data = digit_rows()
    model = mlp(64, 64, 10)
    loss, optimizer = nn.CrossEntropyLoss(), adam(model)
    return Arguments(model, data.train, data.valid, loss, optimizer, 32, augment=augment)


def _joined(data: Splits) -> Pair:
    return torch.cat([data.train[0], data.valid[0]]), torch.cat([data.train[1], data.valid[1]])


def _sorted(data: Splits) -> Splits:
    x, y = data.train
    order = y.flatten().argsort(stable=True)
    return Splits((x[order], y[order]), data.valid)


def _in_blocks(x: Tensor, y: Tensor, size: int) -> Pair:
    """Examples sorted by class, rearranged into blocks of one class that take turns."""
    blocks = torch.arange(len(x)).split(size)
    count = len(blocks)
    turns = torch.cat([blocks[i] for start in range(4) for i in range(start, count, 4)])
    return x[turns], y[turns]
