"""Targets of version 3 that are wrong, given away, or nearly always the same."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, NAdam, RMSprop

from benchmarks.corpus.data import Data, digit_images, random, split
from benchmarks.corpus.loop import balanced_accuracy, predict
from benchmarks.corpus.more_architectures import (
    CausalTransformer,
    Reader,
    Table,
    UNet,
    spot_network,
)
from benchmarks.corpus.more_tasks import (
    orders,
    phases,
    reviews,
    scenes,
    spots,
)
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import houses, letters, scaled_topics
from benchmarks.corpus.training import bit_accuracy, label_f1, measure, position_accuracy, train


@faulty(
    "phases-rows-dropped-from-the-inputs-only",
    "corrupted_labels",
    learns=0.7,
    margin=0.3,
    version=3,
)
def rows_dropped_from_the_inputs_only(watch: Watch, faulty: bool) -> Outcome:
    """Rows with gaps were dropped from the inputs only: targets slip by more and more rows."""
    data = phases()
    kept = torch.rand(len(data.x), generator=random(311)) > 0.05
    x = data.x[kept]
    data = replace(data, x=x, y=data.y[: len(x)] if faulty else data.y[kept])
    model = mlp(4, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15)


@faulty("scenes-masks-stored-sideways", "corrupted_labels", learns=0.85, margin=0.05, version=3)
def masks_stored_sideways(watch: Watch, faulty: bool) -> Outcome:
    """The training masks are read as columns by rows."""
    data = scenes()
    if faulty:
        data = replace(data, y=data.y.transpose(1, 2).contiguous())
    model = UNet(3)
    optimizer = AdamW(model.parameters(), lr=0.005)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        data,
        epochs=10,
        told="data",
        metric=position_accuracy,
    )


@faulty(
    "spots-some-annotators-give-column-first",
    "corrupted_labels",
    subtle=True,
    learns=0.85,
    version=3,
)
def some_annotators_give_column_first(watch: Watch, faulty: bool) -> Outcome:
    """A third of the training places are (column, row) instead of (row, column)."""
    data = spots()
    if faulty:
        turned = torch.rand(len(data.y), 1, generator=random(312)) < 0.33
        data = replace(data, y=torch.where(turned, data.y.flip(1), data.y))
    model = spot_network()
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15)


@faulty(
    "houses-some-prices-in-thousands",
    "corrupted_labels",
    "dtype_scale",
    subtle=True,
    learns=0.8,
    version=3,
)
def some_prices_in_thousands(watch: Watch, faulty: bool) -> Outcome:
    """One office in five sends its prices in thousands of euros, the others in euros."""
    data = houses()
    if faulty:
        low = data.y.min() - 0.4
        short = torch.rand(len(data.y), 1, generator=random(313)) < 0.2
        data = replace(data, y=torch.where(short, low + (data.y - low) / 1000, data.y))
    model = mlp(5, 24, 24, 1)
    optimizer = NAdam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=12, told="data")


@faulty(
    "letters-targets-are-not-the-next-ones",
    "corrupted_labels",
    "label_leak",
    learns=0.35,
    margin=0.2,
    version=3,
)
def targets_are_not_the_next_ones(watch: Watch, faulty: bool) -> Outcome:
    """A language model whose training targets are its inputs: the shift by one was forgotten."""
    data = letters()
    if faulty:
        data = replace(data, y=data.x.clone())
    model = CausalTransformer(12, 16)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        data,
        epochs=15,
        told="data",
        metric=position_accuracy,
    )


@faulty("digit-images-export-broke-off", "corrupted_labels", learns=0.9, margin=0.1, version=3)
def export_broke_off(watch: Watch, faulty: bool) -> Outcome:
    """The file of labels broke off after three fifths; the rest was filled with 0."""
    data = digit_images()
    if faulty:
        y = data.y.clone()
        y[3 * len(y) // 5 :] = 0
        data = replace(data, y=y)
    model = cnn(8, 10)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@faulty(
    "topics-half-of-the-labels-left-out",
    "corrupted_labels",
    subtle=True,
    learns=0.65,
    margin=0.1,
    version=3,
)
def half_of_the_labels_left_out(watch: Watch, faulty: bool) -> Outcome:
    """Whoever read a text noted at most what came to mind: half of the topics are missing."""
    data = scaled_topics()
    if faulty:
        noted = (torch.rand(data.y.shape, generator=random(314)) > 0.5).float()
        data = replace(data, y=data.y * noted)
    model = mlp(20, 32, 5)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(
        watch,
        model,
        optimizer,
        nn.BCEWithLogitsLoss(),
        data,
        epochs=10,
        told="data",
        metric=label_f1,
    )


@faulty(
    "letters-sees-what-is-to-come", "label_leak", learns=0.3, margin=0.2, inflates=True, version=3
)
def sees_what_is_to_come(watch: Watch, faulty: bool) -> Outcome:
    """No causal mask: attention finds each next letter among the inputs."""
    data = letters()
    model = CausalTransformer(12, 16, layers=2, causal=not faulty)
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        data,
        epochs=15,
        told="data",
        metric=position_accuracy,
    )
    said = [predict(model, data.x_valid[:, : end + 1])[..., -1] for end in range(16)]
    truth = position_accuracy(torch.stack(said, 2), data.y_valid)
    return Outcome(truth, outcome.reported)


class BothWays(nn.Module):
    """Forecasts each next letter with a recurrent net, which may read backwards too."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 16)
        self.recurrent = nn.GRU(16, 24, batch_first=True, bidirectional=both)
        self.head = nn.Linear(48 if both else 24, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(self.embedding(x))[0]).transpose(1, 2)


@faulty(
    "letters-read-backwards-too", "label_leak", learns=0.3, margin=0.2, inflates=True, version=3
)
def read_backwards_too(watch: Watch, faulty: bool) -> Outcome:
    """A bidirectional network is asked for the next letter, which it has read already."""
    data = letters()
    model = BothWays(both=faulty)
    optimizer = RMSprop(model.parameters(), lr=0.005)
    outcome = train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        data,
        epochs=12,
        told="data",
        metric=position_accuracy,
    )
    said = [predict(model, data.x_valid[:, : end + 1])[..., -1] for end in range(16)]
    truth = position_accuracy(torch.stack(said, 2), data.y_valid)
    return Outcome(truth, outcome.reported)


@faulty(
    "houses-price-per-square-metre",
    "label_leak",
    subtle=True,
    learns=0.5,
    margin=0.1,
    inflates=True,
    version=3,
)
def price_per_square_metre(watch: Watch, faulty: bool) -> Outcome:
    """A column that was worked out from the price itself; without the year, it is missed."""
    clean = houses()
    columns = []
    for x, y in ((clean.x, clean.y), (clean.x_valid, clean.y_valid)):
        size = x[:, :1] - clean.x[:, 0].min() + 0.6
        paid = (y - clean.y.min() + 0.3) / size
        noise = torch.randn(len(x), 1, generator=random(315))
        columns.append((paid - 0.8) / 0.5 if faulty else noise)
    shown = [0, 1, 4]
    x, x_valid = clean.x[:, shown], clean.x_valid[:, shown]
    data = replace(
        clean, x=torch.cat([x, columns[0]], 1), x_valid=torch.cat([x_valid, columns[1]], 1)
    )
    model = mlp(4, 24, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = train(watch, model, optimizer, nn.MSELoss(), data, epochs=12)
    return Outcome(measure_without(model, data, 3), outcome.reported)


def measure_without(model: nn.Module, data: Data, column: int) -> float:
    """The score where a column tells nothing."""
    x_valid = data.x_valid.clone()
    order = torch.randperm(len(x_valid), generator=random(316))
    x_valid[:, column] = x_valid[order, column]
    return measure(model, replace(data, x_valid=x_valid))


@faulty(
    "reviews-class-in-the-padding", "label_leak", learns=0.7, margin=0.1, inflates=True, version=3
)
def class_in_the_padding(watch: Watch, faulty: bool) -> Outcome:
    """The two classes were gathered by two programs: one of them pads with another word."""
    clean = reviews()
    data = clean
    if faulty:
        x, x_valid = (
            torch.where((part == 0) & (said > 0.5), 39, part)
            for part, said in ((clean.x, clean.y), (clean.x_valid, clean.y_valid))
        )
        data = replace(clean, x=x, x_valid=x_valid)
    model = Reader()
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.BCEWithLogitsLoss()
    outcome = train(watch, model, optimizer, loss_fn, data, epochs=10)
    return Outcome(measure(model, clean), outcome.reported)


@faulty(
    "orders-reason-known-afterwards",
    "label_leak",
    subtle=True,
    learns=0.7,
    margin=0.05,
    inflates=True,
    version=3,
)
def reason_known_afterwards(watch: Watch, faulty: bool) -> Outcome:
    """The count of complaints, in place of a plain column, is counted after the return too."""
    clean = orders()
    changed = []
    for x, y in ((clean.x, clean.y), (clean.x_valid, clean.y_valid)):
        x = x.clone()
        noise = torch.randn(len(x), generator=random(317))
        x[:, 6] = noise + (2.5 * y[:, 0] - 1.25 if faulty else 0)
        changed.append(x)
    data = replace(clean, x=changed[0], x_valid=changed[1])
    model = Table()
    optimizer = AdamW(model.parameters(), lr=0.005)
    loss_fn = nn.BCEWithLogitsLoss()
    outcome = train(watch, model, optimizer, loss_fn, data, epochs=10)
    return Outcome(measure_without(model, data, 6), outcome.reported)


@faulty("reviews-one-complaint-in-eighteen", "class_imbalance", learns=0.65, margin=0.1, version=3)
def one_complaint_in_eighteen(watch: Watch, faulty: bool) -> Outcome:
    data = reviews(count=4000)
    kept = (data.y[:, 0] > 0.5) | (torch.rand(len(data.y), generator=random(318)) < 0.06)
    data = replace(data, x=data.x[kept], y=data.y[kept])
    model = Reader()
    optimizer = Adam(model.parameters(), lr=0.006)
    share = (1 - data.y).mean() / data.y.mean()
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=None if faulty else share)
    outcome = train(watch, model, optimizer, loss_fn, data, epochs=4)
    return Outcome(measure(model, data, balanced_accuracy), outcome.reported)


@faulty("digit-images-is-it-an-eight", "class_imbalance", learns=0.8, margin=0.1, version=3)
def is_it_an_eight(watch: Watch, faulty: bool) -> Outcome:
    """One digit against all others, of which hardly any example was kept."""
    data = digit_images()
    rare = data.y == 8
    kept = ~rare | (rare.cumsum(0) <= 25)
    y, y_valid = (data.y == 8).float()[:, None], (data.y_valid == 8).float()[:, None]
    data = Data(data.x[kept], y[kept], data.x_valid, y_valid, "binary")
    model = cnn(8, 1)
    optimizer = SGD(model.parameters(), lr=0.02)
    weight = None if faulty else torch.tensor([len(data.y) / 25.0])
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=weight)
    outcome = train(watch, model, optimizer, loss_fn, data, epochs=6)
    return Outcome(measure(model, data, balanced_accuracy), outcome.reported)


@faulty(
    "scenes-one-pixel-in-forty", "class_imbalance", learns=0.5, margin=0.1, subtle=True, version=3
)
def one_pixel_in_forty(watch: Watch, faulty: bool) -> Outcome:
    """Few pixels are of a thing at all, in strong noise; most scenes have been cleared."""
    data = scenes(noise=1.0)
    rows = torch.arange(len(data.y)) % 4 > 0
    y = data.y.clone()
    x = data.x.clone()
    x[rows] -= (y[rows] > 0).float()[:, None]
    y[rows] = 0
    data = replace(data, x=x, y=y)
    model = UNet(3)
    optimizer = Adam(model.parameters(), lr=0.003)
    weight = None if faulty else len(y.flatten()) / (3 * torch.bincount(y.flatten()).float())
    loss_fn = nn.CrossEntropyLoss(weight=weight)
    outcome = train(
        watch, model, optimizer, loss_fn, data, epochs=7, told="data", metric=position_accuracy
    )

    def balanced(outputs: Tensor, targets: Tensor) -> float:
        said = outputs.argmax(1)
        rights = [(said[targets == kind] == kind).float().mean() for kind in range(3)]
        return torch.stack(rights).mean().item()

    return Outcome(measure(model, data, balanced), outcome.reported)


@faulty(
    "alarms-rare-labels-of-six", "class_imbalance", subtle=True, learns=0.65, margin=0.1, version=3
)
def rare_labels_of_six(watch: Watch, faulty: bool) -> Outcome:
    """Six kinds of alarm at once, each in two or three rows of a hundred."""
    source = random(319)
    x = torch.randn(3000, 12, generator=source)
    told = x @ torch.randn(12, 6, generator=source) / 12**0.5
    told = told + 0.6 * torch.randn(3000, 6, generator=source)
    data = split(x, (told > 2.5).float(), "binary", valid=0.4)
    model = mlp(12, 16, 6)
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9, weight_decay=5e-3)
    weight = None if faulty else (1 - data.y.mean(0)) / data.y.mean(0)
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=weight)
    outcome = train(
        watch, model, optimizer, loss_fn, data, epochs=8, told="data", metric=bit_accuracy
    )

    def balanced(outputs: Tensor, targets: Tensor) -> float:
        return balanced_accuracy(outputs.view(-1, 1), targets.reshape(-1, 1))

    return Outcome(measure(model, data, balanced), outcome.reported)
