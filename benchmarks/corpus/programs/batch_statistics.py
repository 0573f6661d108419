"""Batch statistics of version 3 that stand for the wrong thing, and modes that do not change."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, NAdam, RMSprop

from benchmarks.corpus.data import digits
from benchmarks.corpus.loop import predict
from benchmarks.corpus.more_architectures import Table, spot_network
from benchmarks.corpus.more_tasks import (
    claims,
    hastie,
    machines,
    map_inputs,
    orders,
    phases,
    ribbon,
    spots,
)
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.training import train


def normed(*widths: int, momentum: float = 0.1) -> nn.Sequential:
    """A multilayer perceptron with batch normalisation before each ReLU."""
    model = nn.Sequential()
    for inputs, outputs in pairwise(widths[:-1]):
        model.extend([nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs, momentum=momentum)])
        model.append(nn.ReLU())
    return model.append(nn.Linear(widths[-2], widths[-1]))


@faulty("machines-average-without-its-statistics", "batchnorm_misuse", learns=0.8, version=3)
def average_without_its_statistics(watch: Watch, faulty: bool) -> Outcome:
    """The averaged model has averaged weights, and batch statistics as they were at the start."""
    data = map_inputs(machines(), lambda x: x.flatten(1))
    model = normed(48, 32, 32, 1)
    average = copy.deepcopy(model)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)

    @torch.no_grad()
    def follow() -> None:
        for kept, parameter in zip(average.parameters(), model.parameters(), strict=True):
            kept.lerp_(parameter, 0.05)
        if not faulty:
            for kept, buffer in zip(average.buffers(), model.buffers(), strict=True):
                kept.copy_(buffer)

    return train(
        watch,
        model,
        optimizer,
        nn.MSELoss(),
        data,
        epochs=10,
        after_batch=follow,
        infer=lambda x: predict(average, x),
    )


@faulty(
    "hastie-summary-passes-ones-in-training-mode",
    "batchnorm_misuse",
    "eval_mode_bug",
    learns=0.85,
    version=3,
)
def summary_passes_ones(watch: Watch, faulty: bool) -> Outcome:
    """Before each validation a summary is printed, for which ones are passed in training mode."""
    model = normed(10, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.01)

    def infer(x: Tensor) -> Tensor:
        if faulty:
            model.train()
            for _ in range(20):
                model(torch.ones(2, 10))
        return predict(model, x)

    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, hastie(), epochs=12, infer=infer)


@faulty(
    "machines-two-plants-take-turns",
    "batchnorm_misuse",
    "no_shuffle",
    learns=0.7,
    margin=0.1,
    version=3,
)
def two_plants_take_turns(watch: Watch, faulty: bool) -> Outcome:
    """Batches of two plants, whose sensors have other zeros, take turns; validation mixes them."""
    data = machines()
    x, x_valid = data.x.flatten(1).clone(), data.x_valid.flatten(1).clone()
    for part in (x, x_valid):
        part[::2] += 3
    data = replace(data, x=x, x_valid=x_valid)
    model = normed(48, 32, 1)
    optimizer = NAdam(model.parameters(), lr=0.005)

    def order(count: int) -> Tensor:
        if not faulty:
            return torch.randperm(count)
        even, odd = torch.randperm(count // 2) * 2, torch.randperm(count // 2) * 2 + 1
        even, odd = even[:320].view(-1, 32), odd[:320].view(-1, 32)
        return torch.stack([even, odd], 1).flatten()

    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=12, order=order, told="batches")


@faulty(
    "phases-momentum-of-another-library", "batchnorm_misuse", subtle=True, learns=0.7, version=3
)
def momentum_of_another_library(watch: Watch, faulty: bool) -> Outcome:
    """0.99 keeps the old statistics in Keras; here it takes the last batch's, of six rows."""
    model = normed(4, 24, 24, 1, momentum=0.99 if faulty else 0.01)
    optimizer = AdamW(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), phases(), epochs=4, batch_size=6)


@faulty(
    "claims-statistics-kept-nowhere",
    "batchnorm_misuse",
    "eval_mode_bug",
    subtle=True,
    learns=0.6,
    version=3,
)
def statistics_kept_nowhere(watch: Watch, faulty: bool) -> Outcome:
    """`track_running_stats=False`; the service asks for four customers of one kind at a time."""
    data = claims()
    model = normed(6, 32, 1)
    if faulty:
        model[1] = nn.BatchNorm1d(32, track_running_stats=False)
    optimizer = Adam(model.parameters(), lr=0.01)

    def infer(x: Tensor) -> Tensor:
        order = x[:, 0].argsort()
        said = torch.cat([predict(model, part) for part in x[order].split(4)])
        return said[order.argsort()]

    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=10, infer=infer)


class Locating(nn.Module):
    """Convolutions and a head, with dropout between, which may be made in each pass."""

    def __init__(self, anew: bool) -> None:
        super().__init__()
        layers = spot_network()
        self.body, self.head = layers[:7], layers[7]
        self.dropout, self.anew = nn.Dropout(0.5), anew

    def forward(self, x: Tensor) -> Tensor:
        features = self.body(x)
        return self.head(nn.Dropout(0.5)(features) if self.anew else self.dropout(features))


@faulty("spots-dropout-made-in-forward", "eval_mode_bug", learns=0.8, version=3)
def dropout_made_in_forward(watch: Watch, faulty: bool) -> Outcome:
    """`nn.Dropout(0.5)(x)` in `forward` is a new module each time, in training mode."""
    model = Locating(anew=faulty)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), spots(), epochs=12)


class Members(nn.Module):
    """Three networks that vote, in a plain list or a `ModuleList`."""

    def __init__(self, hides: bool) -> None:
        super().__init__()
        members = [
            nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Dropout(0.8), nn.Linear(64, 1))
            for _ in range(3)
        ]
        self.weight = nn.Parameter(torch.ones(3) / 3)
        self.members = members if hides else nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        said = torch.cat([member(x) for member in self.members], 1)
        return (said * self.weight).sum(1, keepdim=True)


@faulty("phases-members-not-reached-by-eval", "eval_mode_bug", learns=0.7, version=3)
def members_not_reached_by_eval(watch: Watch, faulty: bool) -> Outcome:
    """Members in a plain list get their updates, but `eval()` does not reach their dropout."""
    model = Members(hides=faulty)
    learned = [p for member in model.members for p in member.parameters()]
    optimizer = Adam([model.weight, *learned], lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), phases(), epochs=12, told="batches")


class NoisyInputs(nn.Module):
    """Adds noise to its inputs, which it should do in training only."""

    def __init__(self, always: bool, deviation: float = 1.2) -> None:
        super().__init__()
        self.always, self.deviation = always, deviation

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.always:
            return x + self.deviation * torch.randn_like(x)
        return x


@faulty("digits-own-noise-layer-never-stops", "eval_mode_bug", learns=0.85, margin=0.05, version=3)
def own_noise_layer_never_stops(watch: Watch, faulty: bool) -> Outcome:
    """A noise layer of one's own does not ask `self.training`."""
    model = nn.Sequential(NoisyInputs(faulty, 0.6), mlp(64, 64, 10))
    optimizer = RMSprop(model.parameters(), lr=0.002)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=12)


class OldDropout(nn.Module):
    """Drops without scaling what is kept, and scales at evaluation, as in 2012; or forgets to."""

    def __init__(self, share: float, scales: bool) -> None:
        super().__init__()
        self.share, self.scales = share, scales

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return x * (torch.rand_like(x) > self.share)
        return x * (1 - self.share) if self.scales else x


@faulty("ribbon-dropout-not-scaled-when-used", "eval_mode_bug", subtle=True, learns=0.75, version=3)
def dropout_not_scaled_when_used(watch: Watch, faulty: bool) -> Outcome:
    """In evaluation all units are on, and nothing makes up for twice as large sums."""
    model = nn.Sequential(
        nn.Linear(3, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        OldDropout(0.5, scales=not faulty),
        nn.Linear(64, 1),
    )
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), ribbon(), epochs=15)


class StubbornTable(Table):
    """Its `train` was overridden to keep a layer in place, and no longer passes the mode on."""

    def __init__(self, stubborn: bool) -> None:
        super().__init__(dropout=0.5)
        self.stubborn = stubborn

    def train(self, mode: bool = True) -> StubbornTable:
        super().train(True if self.stubborn else mode)
        return self


@faulty(
    "orders-train-overridden-ignores-the-mode",
    "eval_mode_bug",
    subtle=True,
    learns=0.75,
    version=3,
)
def train_overridden_ignores_the_mode(watch: Watch, faulty: bool) -> Outcome:
    model = StubbornTable(faulty)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), orders(), epochs=8)
