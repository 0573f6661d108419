"""Inputs and targets of version 4 in unlike units, in the wrong type, or scaled once too often."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW

from benchmarks.corpus.data import standardise, standardise_targets
from benchmarks.corpus.further_architectures import image_network, motion_network, sound_network
from benchmarks.corpus.further_tasks import (
    chirps,
    clocks,
    demand,
    groups,
    motions,
    passengers,
    raw_bikes,
    raw_passengers,
    thermometers,
    turned,
)
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.training import train


@faulty(
    "thermometers-degrees-as-they-are", "unnormalised_inputs", learns=0.9, margin=0.2, version=4
)
def degrees_as_they_are(watch: Watch, faulty: bool) -> Outcome:
    """A first linear regression: inputs up to 160 make the usual rate far too high."""
    data = thermometers()
    if not faulty:
        data = standardise(data)
    model = nn.Linear(1, 1)
    optimizer = SGD(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=30, batch_size=16)


@faulty("passengers-fares-as-they-are", "unnormalised_inputs", subtle=True, learns=0.75, version=4)
def fares_as_they_are(watch: Watch, faulty: bool) -> Outcome:
    """Fares up to some hundreds and ages up to 80, beside sex as 0 and 1."""
    data = raw_passengers() if faulty else passengers()
    model = mlp(5, 24, 1)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=12)


@faulty(
    "bikes-hours-and-humidity-as-they-are",
    "unnormalised_inputs",
    learns=0.4,
    margin=0.03,
    version=4,
)
def hours_and_humidity_as_they_are(watch: Watch, faulty: bool) -> Outcome:
    data = standardise_targets(raw_bikes() if faulty else standardise(raw_bikes()))
    model = mlp(6, 64, 64, 1, activation=nn.Tanh)
    optimizer = Adagrad(model.parameters(), lr=0.03)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=12, told="data")


@faulty("motions-gravity-not-taken-off", "unnormalised_inputs", learns=0.8, version=4)
def gravity_not_taken_off(watch: Watch, faulty: bool) -> Outcome:
    """Milli-g with gravity in them: the third axis is about 1,000, give or take a few."""
    data = map_inputs(motions(), lambda x: x.transpose(1, 2).contiguous())
    offset = torch.tensor([0.0, 0.0, 1000.0])[:, None]
    if faulty:
        data = map_inputs(data, lambda x: 20 * x + offset)
    model = motion_network()
    optimizer = AdamW(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=7)


@faulty(
    "chirps-samples-of-sixteen-bits", "dtype_scale", "unnormalised_inputs", learns=0.8, version=4
)
def samples_of_sixteen_bits(watch: Watch, faulty: bool) -> Outcome:
    """A sound file is read as int16 and made float without a division by 32,768."""
    data = chirps()
    most = data.x.abs().max()

    def read(x: Tensor) -> Tensor:
        samples = (32767 * x / most).clamp(-32768, 32767).to(torch.int16)
        return samples.float() if faulty else samples.float() * most / 32768

    model = sound_network()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, map_inputs(data, read), epochs=6)


@faulty(
    "turned-floats-are-not-divided",
    "dtype_scale",
    "unnormalised_inputs",
    learns=0.6,
    margin=0.1,
    version=4,
)
def floats_are_not_divided(watch: Watch, faulty: bool) -> Outcome:
    """`ToTensor` divides bytes by 255, which training images are no more after a filter."""
    data = turned()
    grey = replace(data, x=127.5 * (data.x + 1), x_valid=(data.x_valid + 1) / 2)
    if not faulty:
        grey = replace(grey, x=grey.x / 255)
    model = image_network(4, side=8)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, grey, epochs=5)


@faulty("clocks-targets-made-whole-numbers", "dtype_scale", learns=0.8, version=4)
def targets_made_whole_numbers(watch: Watch, faulty: bool) -> Outcome:
    """`torch.LongTensor(angles)`, as for classes: cosine and sine are cut to −1, 0 or 1."""
    data = clocks()
    if faulty:
        data = replace(data, y=data.y.long().float())
    model = image_network(2)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=7, told="data")


@faulty("groups-kept-as-signed-bytes", "dtype_scale", subtle=True, learns=0.75, version=4)
def kept_as_signed_bytes(watch: Watch, faulty: bool) -> Outcome:
    """Coordinates are stored as int8 to save memory, and lose what is behind the point."""
    data = groups()
    if faulty:
        data = map_inputs(data, lambda x: x.to(torch.int8).float())
    model = mlp(2, 32, 5)
    optimizer = AdamW(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)


@faulty("demand-validated-in-other-units", "dtype_scale", learns=0.7, margin=0.2, version=4)
def validated_in_other_units(watch: Watch, faulty: bool) -> Outcome:
    """Training data are in megawatts, validation data in tens of kilowatts."""
    data = demand()
    if faulty:
        data = replace(data, x_valid=100 * data.x_valid)
    model = mlp(24, 48, 6, activation=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=10)
