"""Targets that are wrong, that the inputs give away, or that are nearly always the same."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.architectures import (
    Factors,
    Tagger,
    mask_network,
    residual_mlp,
    signal_network,
)
from benchmarks.corpus.data import Data, random, rare
from benchmarks.corpus.loop import accuracy, balanced_accuracy
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import (
    applicants,
    beats,
    houses,
    masks,
    ratings,
    scaled_stripes,
    series,
    shapes,
    swiss_roll,
    tags,
)
from benchmarks.corpus.training import bit_accuracy, measure, position_accuracy, train


@faulty(
    "shapes-files-and-labels-in-two-orders", "corrupted_labels", learns=0.85, margin=0.4, version=2
)
def files_and_labels_in_two_orders(watch: Watch, faulty: bool) -> Outcome:
    """Two lists of files, each in its own order: labels of a window belong to other images."""
    data = shapes()
    if faulty:
        order = torch.randperm(len(data.y), generator=random(151))
        order_valid = torch.randperm(len(data.y_valid), generator=random(152))
        data = replace(data, y=data.y[order], y_valid=data.y_valid[order_valid])
    model = cnn(12, 4)
    optimizer = AdamW(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)


@faulty("tags-shifted-by-one-word", "corrupted_labels", learns=0.7, margin=0.3, version=2)
def shifted_by_one_word(watch: Watch, faulty: bool) -> Outcome:
    """Each training tag stands one word too late, as after a start symbol."""
    data = tags()
    if faulty:
        data = replace(data, y=data.y.roll(1, dims=1))
    model = Tagger(24, 4)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        data,
        epochs=8,
        told="data",
        metric=position_accuracy,
    )


@faulty(
    "houses-missing-prices-filled-with-nought",
    "corrupted_labels",
    subtle=True,
    learns=0.8,
    version=2,
)
def missing_prices_filled_with_nought(watch: Watch, faulty: bool) -> Outcome:
    """A quarter of the training prices are missing and were read as 0 euros."""
    data = houses()
    if faulty:
        y = data.y.clone()
        missing = torch.rand(len(y), generator=random(153)) < 0.25
        y[missing] = data.y.min() - 0.5
        data = replace(data, y=y)
    model = residual_mlp(5, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15)


@faulty(
    "applicants-signs-of-a-third-turned", "corrupted_labels", subtle=True, learns=0.75, version=2
)
def signs_of_a_third_turned(watch: Watch, faulty: bool) -> Outcome:
    """One of the sources codes 1 for "in default", the others for "paid back"."""
    data = applicants()
    if faulty:
        turned = torch.rand(len(data.y), 1, generator=random(154)) < 0.42
        data = replace(data, y=torch.where(turned, 1 - data.y, data.y))
    model = mlp(5, 24, 24, 1, activation=nn.SiLU)
    optimizer = RMSprop(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=10)


@faulty(
    "ratings-sorted-after-the-users-were-read",
    "corrupted_labels",
    learns=0.4,
    margin=0.3,
    version=2,
)
def sorted_after_the_users_were_read(watch: Watch, faulty: bool) -> Outcome:
    """The ratings were sorted by item after the users' numbers had been read."""
    data = ratings()
    if faulty:
        order = data.x[:, 1].argsort(stable=True)
        data = replace(data, y=data.y[order])
    model = Factors(50, 40)
    optimizer = Adam(model.parameters(), lr=0.01, weight_decay=1e-3)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=12)


def shuffle_column(model: nn.Module, data: Data, number: int) -> float:
    """The score where a leaking column tells nothing, as it will in use."""
    x_valid = data.x_valid.clone()
    order = torch.randperm(len(x_valid), generator=random(155))
    x_valid[:, number] = x_valid[order, number]
    return measure(model, replace(data, x_valid=x_valid))


@faulty(
    "applicants-months-in-arrears", "label_leak", learns=0.7, margin=0.1, inflates=True, version=2
)
def months_in_arrears(watch: Watch, faulty: bool) -> Outcome:
    """A column that is filled in after the fact: only who fails to pay is ever in arrears."""
    data = applicants()
    columns = []
    for y in (data.y, data.y_valid):
        months = torch.poisson(torch.full_like(y, 4.0), generator=random(156))
        columns.append((1 - y) * months if faulty else months - 4)
    x, x_valid = torch.cat([data.x, columns[0]], 1), torch.cat([data.x_valid, columns[1]], 1)
    data = replace(data, x=x, x_valid=x_valid)
    model = mlp(6, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=12)
    return Outcome(shuffle_column(model, data, 5), outcome.reported)


@faulty(
    "series-window-holds-the-next-value",
    "label_leak",
    learns=0.6,
    margin=0.1,
    inflates=True,
    version=2,
)
def window_holds_the_next_value(watch: Watch, faulty: bool) -> Outcome:
    """Off by one: the last value of the window is the one to be foretold."""
    clean = series(noise=0.8)
    data = clean
    if faulty:
        x, x_valid = (
            torch.cat([a[:, 1:], b], 1) for a, b in ((data.x, data.y), (data.x_valid, data.y_valid))
        )
        data = replace(data, x=x, x_valid=x_valid)
    model = mlp(20, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
    outcome = train(watch, model, optimizer, nn.MSELoss(), data, epochs=12)
    return Outcome(measure(model, clean), outcome.reported)


@faulty(
    "stripes-class-in-the-border",
    "label_leak",
    subtle=True,
    learns=0.75,
    margin=0.1,
    inflates=True,
    version=2,
)
def class_in_the_border(watch: Watch, faulty: bool) -> Outcome:
    """Each class was photographed with its own camera, whose frame is of another brightness."""
    clean = scaled_stripes()
    data = clean
    if faulty:
        marked = []
        for x, y in ((clean.x, clean.y), (clean.x_valid, clean.y_valid)):
            x = x.clone()
            x[:, :, 0, :] = (y.float() - 1)[:, None, None]
            marked.append(x)
        data = replace(clean, x=marked[0], x_valid=marked[1])
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 32),
        nn.ReLU(),
        nn.Linear(32, 3),
    )
    optimizer = Adam(model.parameters(), lr=0.003)
    outcome = train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=6)
    return Outcome(measure(model, clean), outcome.reported)


@faulty(
    "swiss-roll-kind-encoded-by-its-mean-target",
    "label_leak",
    subtle=True,
    learns=0.35,
    margin=0.1,
    inflates=True,
    version=2,
)
def kind_encoded_by_its_mean_target(watch: Watch, faulty: bool) -> Outcome:
    """Target encoding of a code that hardly occurs twice, with the row's own target in it."""
    clean = swiss_roll(noise=3.0)
    encoded = []
    for y in (clean.y, clean.y_valid):
        codes = torch.randint(len(y) // 2, (len(y),), generator=random(157))
        total = torch.zeros(len(y) // 2).index_add(0, codes, y[:, 0])
        count = torch.zeros(len(y) // 2).index_add(0, codes, torch.ones(len(y)))
        mean = total[codes] / count[codes]
        if not faulty:
            mean = torch.where(
                count[codes] > 1,
                (total[codes] - y[:, 0]) / (count[codes] - 1).clamp(min=1),
                torch.zeros_like(mean),
            )
        encoded.append(mean[:, None])
    x = torch.cat([clean.x[:, ::2], encoded[0]], 1)
    data = replace(clean, x=x, x_valid=torch.cat([clean.x_valid[:, ::2], encoded[1]], 1))
    model = mlp(3, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = train(watch, model, optimizer, nn.MSELoss(), data, epochs=15)
    return Outcome(shuffle_column(model, data, 2), outcome.reported)


@faulty("beats-one-arrhythmia-in-thirty", "class_imbalance", learns=0.75, margin=0.1, version=2)
def one_arrhythmia_in_thirty(watch: Watch, faulty: bool) -> Outcome:
    data = thin_out(beats(count=3000), kind=2, share=0.06)
    data = replace(data, x=data.x + 0.6 * torch.randn(data.x.shape, generator=random(158)))
    model = signal_network(3)
    optimizer = Adam(model.parameters(), lr=0.002)
    weight = None if faulty else len(data.y) / (3 * torch.bincount(data.y).float())
    loss_fn = nn.CrossEntropyLoss(weight=weight)
    outcome = train(watch, model, optimizer, loss_fn, data, epochs=5, metric=accuracy)
    return Outcome(measure(model, data, balanced_accuracy), outcome.reported)


def thin_out(data: Data, kind: int, share: float) -> Data:
    """Keeps only so large a share of a class's training examples."""
    kept = (data.y != kind) | (torch.rand(len(data.y), generator=random(159)) < share)
    return replace(data, x=data.x[kept], y=data.y[kept])


@faulty("defects-one-in-fifty", "class_imbalance", subtle=True, learns=0.7, margin=0.1, version=2)
def one_in_fifty(watch: Watch, faulty: bool) -> Outcome:
    data = rare(share=0.02, distance=0.9)
    model = residual_mlp(10, 16, 1)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-2)
    weight = None if faulty else torch.tensor([49.0])
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=weight)
    outcome = train(watch, model, optimizer, loss_fn, data, epochs=6, batch_size=40)
    return Outcome(measure(model, data, balanced_accuracy), outcome.reported)


@faulty("masks-three-pixels-in-a-hundred", "class_imbalance", learns=0.7, margin=0.1, version=2)
def three_pixels_in_a_hundred(watch: Watch, faulty: bool) -> Outcome:
    """Nearly every pixel is background, which is what the network learns to say of all."""
    data = masks(noise=1.0, side=2)
    model = mask_network()
    optimizer = AdamW(model.parameters(), lr=0.003)
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=None if faulty else torch.tensor(35.0))
    outcome = train(
        watch, model, optimizer, loss_fn, data, epochs=10, told="data", metric=bit_accuracy
    )

    def balanced(outputs: Tensor, targets: Tensor) -> float:
        return balanced_accuracy(outputs.view(-1, 1), targets.view(-1, 1))

    return Outcome(measure(model, data, balanced), outcome.reported)
