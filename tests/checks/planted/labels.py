"""Faults of the targets: wrong, shuffled, shifted, given away by a feature, or of one class."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tests.checks.planted.datasets import (
    WORDS,
    Splits,
    curve,
    customers,
    digit_pictures,
    forecasts,
    iris,
    reviews,
    rng,
    segments,
    standard_houses,
    standard_stripes,
    standardise,
    tumours,
    waves,
    wine,
)
from tests.checks.planted.fault import Arguments, Family
from tests.checks.planted.models import BagOfWords, Recurrent, TextRecurrent, adam, cnn, mlp, sgd

LABELS = Family("labels")


@LABELS.plant("corrupted_labels")
def digits_from_one_to_ten(faulty: bool) -> Arguments:
    """Classes are numbered from 1 to 10 for a network with 10 outputs."""
    data = digit_pictures()
    if faulty:
        data = data.map_targets(lambda y: y + 1)
    model = cnn(1, 8, 10)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.02), 32)


@LABELS.plant("corrupted_labels")
def unknown_is_minus_one(faulty: bool) -> Arguments:
    """Rows whose class is unknown carry the label −1."""
    data = segments()
    if faulty:
        data.train[1][::90] = -1
    model = mlp(16, 32, 5)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 64)


@LABELS.plant("corrupted_labels", "wrong_loss")
def one_output_too_few(faulty: bool) -> Arguments:
    """The network has 3 outputs for 4 classes."""
    data = standard_stripes()
    model = cnn(3, 16, 3 if faulty else 4)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@LABELS.plant("corrupted_labels")
def labels_of_pictures_shuffled(faulty: bool) -> Arguments:
    """Pictures were shuffled and their labels were not."""
    data = digit_pictures()
    x, y = data.train
    if faulty:
        y = y[torch.randperm(len(y), generator=rng(30))]
    model = cnn(1, 8, 10)
    return Arguments(model, (x, y), data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@LABELS.plant("corrupted_labels")
def labels_of_tumours_shuffled(faulty: bool) -> Arguments:
    """A table's rows were sorted by a column, its labels were not."""
    data = standardise(tumours())
    x, y = data.train
    if faulty:
        x = x[x[:, 3].argsort()]
    model = mlp(30, 16, 1)
    return Arguments(model, (x, y), data.valid, nn.BCEWithLogitsLoss(), adam(model, 3e-3), 32)


@LABELS.plant("corrupted_labels")
def prices_shuffled(faulty: bool) -> Arguments:
    """Prices belong to other houses."""
    data = standard_houses()
    x, y = data.train
    if faulty:
        y = y[torch.randperm(len(y), generator=rng(31))]
    model = mlp(6, 64, 1)
    return Arguments(model, (x, y), data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@LABELS.plant("corrupted_labels")
def topics_shuffled(faulty: bool) -> Arguments:
    """Texts of word numbers carry other texts' topics, in both splits."""
    data = reviews()
    if faulty:
        data = data.map_targets(lambda y: y[torch.randperm(len(y), generator=rng(32))])
    model = BagOfWords(WORDS, 4)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@LABELS.plant("corrupted_labels")
def labels_one_row_late(faulty: bool) -> Arguments:
    """A header line was counted as a row: each example has the label of the one before."""
    data = segments()
    if faulty:
        data = data.map_targets(lambda y: y.roll(1))
    model = mlp(16, 32, 5)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 64)


@LABELS.plant("corrupted_labels")
def labels_shifted_from_a_lost_file(faulty: bool) -> Arguments:
    """One picture of the folder could not be read; all labels after the 300th belong to the next
    picture."""
    data = standard_stripes()
    x, y = data.train
    if faulty:
        y = torch.cat([y[:300], y[301:], y[-1:]])
    model = cnn(3, 16, 4)
    return Arguments(model, (x, y), data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@LABELS.plant("corrupted_labels")
def sequences_shifted_by_a_batch(faulty: bool) -> Arguments:
    """Labels lag a block of 64 behind their sequences."""
    data = waves()
    x, y = data.train
    if faulty:
        y = y.roll(64)
    model = Recurrent(nn.GRU, 1, 32, 3)
    return Arguments(model, (x, y), data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@LABELS.plant("corrupted_labels", "exploding_or_nan")
def a_price_is_missing(faulty: bool) -> Arguments:
    """Two prices are NaN."""
    data = standard_houses()
    if faulty:
        data.train[1][[40, 1000]] = math.nan
    model = mlp(6, 64, 1)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@LABELS.plant("corrupted_labels", "exploding_or_nan")
def a_yes_or_no_is_missing(faulty: bool) -> Arguments:
    """Float targets of two classes have empty cells."""
    data = customers()
    if faulty:
        data.train[1][[1, 600, 601]] = math.nan
    model = mlp(12, 32, 1)
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model), 32)


@LABELS.plant("corrupted_labels", "exploding_or_nan")
def a_growth_from_zero(faulty: bool) -> Arguments:
    """The target is a growth rate, infinite where the value before was 0."""
    data = forecasts()
    if faulty:
        data.train[1][[4, 444]] = math.inf
    model = Recurrent(nn.LSTM, 1, 32, 1)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@LABELS.plant("corrupted_labels", "wrong_loss")
def minus_one_and_one_into_cross_entropy(faulty: bool) -> Arguments:
    """Two classes are coded −1 and +1 where binary cross-entropy needs 0 and 1."""
    data = standardise(tumours())
    if faulty:
        data = data.map_targets(lambda y: 2 * y - 1)
    model = nn.Linear(30, 1)
    loss = nn.BCEWithLogitsLoss()
    return Arguments(model, data.train, data.valid, loss, sgd(model, 0.02), 32, "binary")


@LABELS.plant("corrupted_labels", "wrong_loss", "dtype_scale")
def zero_and_255(faulty: bool) -> Arguments:
    """Two classes were read from a mask in bytes: 0 and 255."""
    data = customers()
    if faulty:
        data = data.map_targets(lambda y: 255 * y)
    model = mlp(12, 32, 1)
    loss = nn.BCEWithLogitsLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model), 32, "binary")


@LABELS.plant("label_leak")
def target_left_in_the_table(faulty: bool) -> Arguments:
    """The column with the diagnosis was standardised with the others and left in."""
    data = standardise(tumours())
    other = torch.randn(569, 1, generator=rng(33))

    def join(x: Tensor, y: Tensor) -> Tensor:
        column = 2 * y - 1 if faulty else other[: len(x)]
        return torch.cat([x, column], 1)

    data = Splits(
        (join(*data.train), data.train[1]),
        (join(*data.valid), data.valid[1]),
    )
    model = mlp(31, 32, 1)
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model), 32)


@LABELS.plant("label_leak")
def price_in_another_currency(faulty: bool) -> Arguments:
    """A column is the price itself in another currency, rounded; the twin has noise there."""
    data = standard_houses()
    noise = torch.randn(1500, 1, generator=rng(34))

    def join(x: Tensor, y: Tensor) -> Tensor:
        column = (10 * y).round() / 10 if faulty else noise[: len(x)]
        return torch.cat([x, column], 1)

    data = Splits(
        (join(*data.train), data.train[1]),
        (join(*data.valid), data.valid[1]),
    )
    model = mlp(7, 64, 1)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@LABELS.plant("label_leak")
def class_written_into_the_corner(faulty: bool) -> Arguments:
    """A tool has written the class number into one pixel of each picture as its brightness."""
    data = digit_pictures()

    def mark(x: Tensor, y: Tensor) -> Tensor:
        x = x.clone()
        x[:, 0, 0, 7] = (y - 4.5) / 3 if faulty else x[:, 0, 0, 6]
        return x

    data = Splits(
        (mark(*data.train), data.train[1]),
        (mark(*data.valid), data.valid[1]),
    )
    model = cnn(1, 8, 10)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@LABELS.plant("label_leak")
def one_hot_class_among_the_features(faulty: bool) -> Arguments:
    """The class was expanded into dummy columns together with the categorical features."""
    data = segments()
    other = torch.randint(0, 5, (2500,), generator=rng(35))

    def join(x: Tensor, y: Tensor) -> Tensor:
        column = y if faulty else other[: len(x)]
        return torch.cat([x, nn.functional.one_hot(column, 5).float()], 1)

    data = Splits(
        (join(*data.train), data.train[1]),
        (join(*data.valid), data.valid[1]),
    )
    model = mlp(21, 32, 5)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 64)


@LABELS.plant("label_leak")
def row_number_of_a_sorted_table(faulty: bool) -> Arguments:
    """The row number stayed in as a column, and the table was sorted by class before it was
    shuffled and split."""
    data = standardise(wine())
    classes = torch.cat([data.train[1], data.valid[1]])
    drawn = torch.randperm(178, generator=rng(36))
    rank = torch.empty(178)
    rank[classes.argsort() if faulty else drawn] = torch.linspace(-1.7, 1.7, 178)
    data = Splits(
        (torch.cat([data.train[0], rank[:142, None]], 1), data.train[1]),
        (torch.cat([data.valid[0], rank[142:, None]], 1), data.valid[1]),
    )
    model = mlp(14, 16, 3)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.02), 16)


@LABELS.plant("label_leak")
def label_as_the_last_sample(faulty: bool) -> Arguments:
    """Sequences were cut one too long: the last sample is the value to be forecast."""
    data = forecasts()

    def shift(x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x[:, 1:], y.unsqueeze(2)], 1) if faulty else x

    data = Splits(
        (shift(*data.train), data.train[1]),
        (shift(*data.valid), data.valid[1]),
    )
    model = Recurrent(nn.GRU, 1, 32, 1)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@LABELS.plant("label_leak")
def topic_as_the_first_word(faulty: bool) -> Arguments:
    """Each text begins with a word that stands for its topic; the twin's is drawn at random."""
    data = reviews()
    drawn = torch.randint(0, 4, (2000,), generator=rng(37))

    def begin(x: Tensor, y: Tensor) -> Tensor:
        x = x.clone()
        x[:, 0] = 190 + (y if faulty else drawn[: len(x)])
        return x

    data = Splits(
        (begin(*data.train), data.train[1]),
        (begin(*data.valid), data.valid[1]),
    )
    model = TextRecurrent(WORDS, 4)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@LABELS.plant("class_imbalance")
def one_in_a_hundred(faulty: bool) -> Arguments:
    """One customer in a hundred leaves; the twin has as many of both."""
    data = customers(3000, positive=0.01 if faulty else 0.5)
    model = mlp(12, 32, 1)
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model), 64)


@LABELS.plant("class_imbalance")
def nothing_but_healthy(faulty: bool) -> Arguments:
    """A filter has left one class in the training rows."""
    data = standardise(tumours())
    if faulty:
        x, y = data.train
        kept = y[:, 0] == 1
        data = Splits((x[kept], y[kept]), data.valid)
    model = mlp(30, 16, 1)
    loss = nn.BCEWithLogitsLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model, 3e-3), 32, "binary")


@LABELS.plant("class_imbalance")
def a_species_in_validation_only(faulty: bool) -> Arguments:
    """A table sorted by species is cut without shuffling: the last one is in validation only."""
    data = standardise(iris())
    x = torch.cat([data.train[0], data.valid[0]])
    y = torch.cat([data.train[1], data.valid[1]])
    if faulty:
        order = y.argsort(stable=True)
        x, y = x[order], y[order]
    model = mlp(4, 16, 3)
    loss = nn.CrossEntropyLoss()
    return Arguments(model, (x[:100], y[:100]), (x[100:], y[100:]), loss, sgd(model, 0.02), 16)


@LABELS.plant("class_imbalance")
def one_kind_of_stripes_nearly_always(faulty: bool) -> Arguments:
    """Of 100 pictures, 97 have stripes of one kind."""
    data = standard_stripes()
    if faulty:
        x, y = data.train
        others = torch.nonzero(y != 0)[:, 0][:9]
        rows = torch.cat([torch.nonzero(y == 0)[:, 0], others])
        rows = rows[torch.randperm(len(rows), generator=rng(38))]
        data = Splits((x[rows], y[rows]), data.valid)
    model = cnn(3, 16, 4, norm=True)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@LABELS.plant("class_imbalance")
def rare_saw_tooth(faulty: bool) -> Arguments:
    """Two of the three kinds of waves are rare: 6 and 4 examples."""
    data = waves()
    x, y = data.train
    if faulty:
        rows = torch.cat([torch.nonzero(y == k)[:n, 0] for k, n in ((0, 500), (1, 6), (2, 4))])
        x, y = x[rows], y[rows]
    model = Recurrent(nn.GRU, 1, 32, 3)
    return Arguments(model, (x, y), data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@LABELS.plant("class_imbalance", "corrupted_labels")
def every_target_the_same(faulty: bool) -> Arguments:
    """The target column of a regression was filled with one number."""
    data = curve()
    if faulty:
        data = data.map_targets(torch.ones_like)
    model = mlp(1, 64, 64, 1)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)
