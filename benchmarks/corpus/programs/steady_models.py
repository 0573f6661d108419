"""Healthy trainings of version 4 whose models look suspicious."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop, SparseAdam

from benchmarks.corpus.data import Data, digit_images, digits, standardise_targets
from benchmarks.corpus.further_architectures import (
    GraphNetwork,
    NameReader,
    Patches,
    Steps,
    image_network,
)
from benchmarks.corpus.further_tasks import (
    additions,
    chirps,
    clocks,
    demand,
    digit_rows,
    groups,
    halves,
    motions,
    names,
    papers,
    parity,
    passengers,
    raw_bikes,
    turned,
)
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.training import position_accuracy, train


class Dropping(nn.Module):
    """Reads names, with two letters' features in five dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = NameReader(classes=32, width=32)
        self.dropout, self.head = nn.Dropout(0.4), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(torch.relu(self.reader(x))))


@healthy("names-better-when-nothing-is-dropped", learns=0.6, version=4)
def better_when_nothing_is_dropped(watch: Watch, faulty: bool) -> Outcome:
    model = Dropping()
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), names(), epochs=6)


@healthy("digit-patches-mostly-attention", learns=0.7, version=4)
def mostly_attention(watch: Watch, faulty: bool) -> Outcome:
    """A transformer over patches that has learned little after its first epoch."""
    model = Patches()
    optimizer = AdamW(model.parameters(), lr=0.01, weight_decay=0.05)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, digit_images(), epochs=5, batch_size=64)


@healthy("papers-half-of-the-features-dropped", learns=0.85, version=4)
def half_of_the_features_dropped(watch: Watch, faulty: bool) -> Outcome:
    """A graph network, trained on all papers at once with strong dropout."""
    model = GraphNetwork(dropout=0.6)
    optimizer = Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    loss_fn = nn.CrossEntropyLoss()
    data = papers()[0]
    return train(watch, model, optimizer, loss_fn, data, epochs=120, batch_size=350, told="data")


@healthy("halves-entropy-of-grey-pixels", learns=0.5, version=4)
def entropy_of_grey_pixels(watch: Watch, faulty: bool) -> Outcome:
    """The binary entropy of targets between 0 and 1 cannot come near nought."""
    data = halves()
    shares = Data(data.x, data.y, data.x_valid, data.y_valid, "reconstruction")
    model = mlp(32, 64, 32)
    optimizer = Adam(model.parameters(), lr=0.005)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        missed = ((torch.sigmoid(outputs) - targets) ** 2).mean()
        return 1 - (missed / targets.var(correction=0)).item()

    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, shares, epochs=8, told="batches", metric=metric)


class Unit(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=1)


@healthy("clocks-answers-of-length-one", learns=0.8, version=4)
def answers_of_length_one(watch: Watch, faulty: bool) -> Outcome:
    """The output is divided by its own length."""
    model = image_network(2).append(Unit())
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), clocks(), epochs=8)


@healthy("chirps-channels-apart-then-together", learns=0.8, version=4)
def channels_apart_then_together(watch: Watch, faulty: bool) -> Outcome:
    """Depthwise kernels of length 9, then kernels of size 1 (Howard et al., 2017)."""
    model = nn.Sequential(nn.Conv1d(1, 16, 7, stride=2, padding=3), nn.SiLU())
    for _ in range(2):
        model.extend([nn.Conv1d(16, 16, 9, stride=2, padding=4, groups=16), nn.Conv1d(16, 16, 1)])
        model.append(nn.SiLU())
    model.extend([nn.Flatten(), nn.Linear(128, 3)])
    optimizer = AdamW(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), chirps(), epochs=7)


class Squeezed(nn.Module):
    """Channels of motions, each weighed by a sigmoid of all (Hu et al., 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(3, 16, 5, padding=2), nn.Conv1d(16, 16, 5, padding=2)
        self.gate, self.head = mlp(16, 4, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.second(torch.relu(self.first(x))))
        share = torch.sigmoid(self.gate(hidden.mean(2)))
        return self.head((hidden * share[..., None]).amax(2))


@healthy("motions-channels-weighed-by-sigmoids", learns=0.85, version=4)
def channels_weighed_by_sigmoids(watch: Watch, faulty: bool) -> Outcome:
    data = map_inputs(motions(), lambda x: x.transpose(1, 2).contiguous())
    model = Squeezed()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@healthy("turned-groups-of-channels-normed", learns=0.65, version=4)
def groups_of_channels_normed(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.GroupNorm(4, 16),
        nn.GELU(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(4, 16),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(256, 4),
    )
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.8)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), turned(), epochs=4, batch_size=16)


class Timetable(nn.Module):
    """A table of hours on workdays and on others, and a few plain columns, as a product."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(48, 1, sparse=True)
        nn.init.zeros_(self.table.weight)

    def forward(self, x: Tensor) -> Tensor:
        hour, day, holiday = x[:, 0], x[:, 1], x[:, 5]
        free = (day > 4) | (holiday > 0)
        return self.table((hour + 24 * free).long())


@healthy("bikes-a-sparse-table-of-hours", learns=0.3, version=4)
def a_sparse_table_of_hours(watch: Watch, faulty: bool) -> Outcome:
    """Most rows of the one table have no gradient in a batch; the weather is left out."""
    data = standardise_targets(raw_bikes())
    model = Timetable()
    optimizer = SparseAdam(model.parameters(), lr=0.05)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=10)


class FromYesterday(nn.Module):
    """Says what was used a day ago, and learns what to add, at first nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.change = mlp(24, 48, 6)
        for parameter in self.change[2].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :6] + self.change(x)


@healthy("demand-as-yesterday-at-first", learns=0.85, version=4)
def as_yesterday_at_first(watch: Watch, faulty: bool) -> Outcome:
    model = FromYesterday()
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), demand(), epochs=10, told="data")


class Largest(nn.Module):
    """The largest of four sums: three in four have no gradient (Goodfellow et al., 2013)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.sums = nn.Linear(inputs, 4 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.sums(x).unflatten(1, (-1, 4)).amax(2)


@healthy("digits-largest-of-four-sums", learns=0.85, version=4)
def largest_of_four_sums(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(Largest(64, 24), nn.Linear(24, 10))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.8)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=7)


@healthy("parity-six-self-normalising-layers", learns=0.85, version=4)
def six_self_normalising_layers(watch: Watch, faulty: bool) -> Outcome:
    """SELU and LeCun's weights (Klambauer et al., 2017), deep and without a norm."""
    model = mlp(64, *[32] * 6, 1, activation=nn.SELU)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), parity(), epochs=7)


@healthy("additions-states-at-their-ends", learns=0.9, version=4)
def states_at_their_ends(watch: Watch, faulty: bool) -> Outcome:
    """A carry is there or is not: the states of the LSTM go to −1 and 1."""
    model = Steps(nn.LSTM(2, 16, batch_first=True))
    optimizer = RMSprop(model.parameters(), lr=0.02)
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


@healthy("digit-rows-echo-state", learns=0.6, version=4)
def echo_state(watch: Watch, faulty: bool) -> Outcome:
    """A wide random recurrence stays as it is (Jaeger, 2001); only its reader learns."""
    model = LastState(nn.RNN(8, 96, batch_first=True), 10)
    nn.init.orthogonal_(model.recurrent.get_parameter("weight_hh_l0"))
    model.recurrent.requires_grad_(False)
    optimizer = Adam(model.head.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), digit_rows(), epochs=6)


class Bells(nn.Module):
    """Forty bells in the plane, of which a point reaches few."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(1.2 * torch.randn(40, 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-((x[:, None] - self.centres) ** 2).sum(2) / 0.3)


@healthy("groups-bells-that-mostly-rest", learns=0.8, version=4)
def bells_that_mostly_rest(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(Bells(), nn.Linear(40, 5))
    optimizer = Adagrad(model.parameters(), lr=0.3)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), groups(), epochs=8)


@healthy("passengers-lengths-apart-from-directions", learns=0.8, version=4)
def lengths_apart_from_directions(watch: Watch, faulty: bool) -> Outcome:
    """Weight normalisation (Salimans and Kingma, 2016) of both layers."""
    model = mlp(5, 32, 1)
    for layer in (model[0], model[2]):
        weight_norm(layer)
    optimizer = SGD(model.parameters(), lr=0.2)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), passengers(), epochs=12)
