"""Inputs of an unfit scale or stored as numbers that cannot hold them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.architectures import residual_mlp, signal_network
from benchmarks.corpus.data import standardise_targets
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import (
    applicants,
    beats,
    circuit,
    gaps,
    houses,
    raw_applicants,
    raw_circuit,
    raw_houses,
    scaled_stripes,
    shells,
    stripes,
)
from benchmarks.corpus.training import train


@faulty("applicants-income-in-its-own-units", "unnormalised_inputs", learns=0.75, version=2)
def income_in_its_own_units(watch: Watch, faulty: bool) -> Outcome:
    data = raw_applicants() if faulty else applicants()
    model = mlp(5, 32, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=12)


@faulty("circuit-ohms-and-farads", "unnormalised_inputs", learns=0.7, margin=0.1, version=2)
def ohms_and_farads(watch: Watch, faulty: bool) -> Outcome:
    data = standardise_targets(raw_circuit()) if faulty else circuit()
    model = mlp(4, 24, 1, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=20, told="batches")


@faulty("stripes-pixels-up-to-255", "unnormalised_inputs", learns=0.8, margin=0.1, version=2)
def pixels_up_to_255(watch: Watch, faulty: bool) -> Outcome:
    data = stripes() if faulty else scaled_stripes()
    model = photograph_network()
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


def photograph_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 3),
    )


@faulty(
    "houses-year-not-centred",
    "unnormalised_inputs",
    subtle=True,
    learns=0.8,
    margin=0.05,
    version=2,
)
def year_not_centred(watch: Watch, faulty: bool) -> Outcome:
    data = houses()
    if faulty:
        years = raw_houses()
        x, x_valid = data.x.clone(), data.x_valid.clone()
        x[:, 2], x_valid[:, 2] = years.x[:, 2], years.x_valid[:, 2]
        data = replace(data, x=x, x_valid=x_valid)
    model = mlp(5, 24, 24, 1)
    optimizer = AdamW(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15)


@faulty("stripes-whole-number-division", "dtype_scale", learns=0.8, margin=0.1, version=2)
def whole_number_division(watch: Watch, faulty: bool) -> Outcome:
    """Bytes divided by 255 with `//`: nearly all are 0."""
    data = stripes()
    x, x_valid = (
        (part.byte() // 255).float() if faulty else part.byte() / 255
        for part in (data.x, data.x_valid)
    )
    data = replace(data, x=x, x_valid=x_valid)
    model = photograph_network()
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12)


@faulty("gaps-times-of-day-in-single-precision", "dtype_scale", learns=0.75, margin=0.1, version=2)
def times_in_single_precision(watch: Watch, faulty: bool) -> Outcome:
    """Seconds since 1970, of which float32 keeps every 128th; differences are a minute."""
    data = gaps()
    start = 1.7e9
    parts: list[Tensor] = []
    for part in (data.x, data.x_valid):
        times = start + 60 * part.double()
        times = times.float().double() if faulty else times
        parts.append(((times - start) / 60).float())
    data = replace(data, x=parts[0], x_valid=parts[1])
    model = mlp(12, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=15)


@faulty("shells-wraps-around-in-a-byte", "dtype_scale", subtle=True, learns=0.8, version=2)
def wraps_around_in_a_byte(watch: Watch, faulty: bool) -> Outcome:
    """Quantised to signed bytes of 1/100: what is beyond ±1.28 comes out at the other end."""
    data = shells()
    if faulty:
        x, x_valid = (
            (100 * part).short().to(torch.int8).float() / 100 for part in (data.x, data.x_valid)
        )
        data = replace(data, x=x, x_valid=x_valid)
    model = residual_mlp(4, 32, 3)
    optimizer = AdamW(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=20)


@faulty("beats-divided-twice", "dtype_scale", "unnormalised_inputs", learns=0.75, version=2)
def divided_twice(watch: Watch, faulty: bool) -> Outcome:
    """The reader has divided by 255 already, and the transform does so again."""
    data = beats()
    divisor = 255.0 if faulty else 1.0
    data = replace(data, x=data.x / divisor, x_valid=data.x_valid / divisor)
    model = signal_network(3)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=15)
