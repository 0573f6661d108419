"""Inputs of version 3 in unfit units, or in numbers that cannot hold them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop

from benchmarks.corpus.architectures import Factors
from benchmarks.corpus.data import standardise_targets
from benchmarks.corpus.more_architectures import Chooser, frame_network, spot_network
from benchmarks.corpus.more_tasks import (
    claims,
    frames,
    hastie,
    leaves,
    machines,
    map_inputs,
    orders,
    phases,
    raw_phases,
    searches,
    spots,
    watched,
)
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.training import train


@faulty(
    "orders-a-time-stamp-among-columns", "unnormalised_inputs", learns=0.65, margin=0.05, version=3
)
def a_time_stamp_among_columns(watch: Watch, faulty: bool) -> Outcome:
    """Seconds since 1970, about 1.7 · 10⁹, beside columns of about 1."""
    data = orders()
    source = torch.Generator().manual_seed(341)

    def widen(x: Tensor) -> Tensor:
        when = torch.rand(len(x), 1, generator=source)
        return torch.cat([x[:, 3:], 1.7e9 + 3e7 * when if faulty else when], 1)

    data = replace(data, x=widen(data.x), x_valid=widen(data.x_valid))
    model = mlp(5, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=10)


@faulty(
    "machines-pressure-in-pascal",
    "unnormalised_inputs",
    "saturated_units",
    learns=0.75,
    margin=0.1,
    version=3,
)
def pressure_in_pascal(watch: Watch, faulty: bool) -> Outcome:
    """One sensor speaks in pascal about 101,325, the others in units about 1."""
    data = machines()
    if faulty:
        factor, level = torch.tensor([1.0, 1.0, 900.0]), torch.tensor([0.0, 0.0, 101_325.0])
        data = map_inputs(data, lambda x: x * factor + level)
    model = LastState(nn.LSTM(3, 16, batch_first=True), 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=8, told="data")


@faulty(
    "spots-pixels-from-nought-to-255", "unnormalised_inputs", learns=0.85, margin=0.05, version=3
)
def pixels_from_nought_to_255(watch: Watch, faulty: bool) -> Outcome:
    """Grey levels go into a regression as they are read."""
    data = spots()
    if faulty:
        data = map_inputs(data, lambda x: (60 * (x + 1.5)).clamp(0, 255))
    model = spot_network()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=12, told="batches")


@faulty(
    "searches-counts-of-clicks-as-they-are",
    "unnormalised_inputs",
    learns=0.6,
    margin=0.05,
    subtle=True,
    version=3,
)
def counts_of_clicks_as_they_are(watch: Watch, faulty: bool) -> Outcome:
    """An offer's clicks so far, up to a million, where their logarithm would do."""
    data = searches()

    def count(x: Tensor) -> Tensor:
        clicks = torch.exp(6 + 2.5 * x[..., 4:])
        return torch.cat([x[..., :4], clicks if faulty else x[..., 4:]], 2)

    data = map_inputs(data, count)
    model = Chooser()
    optimizer = RMSprop(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)


@faulty(
    "hastie-degrees-of-kelvin",
    "unnormalised_inputs",
    subtle=True,
    learns=0.8,
    margin=0.1,
    version=3,
)
def degrees_of_kelvin(watch: Watch, faulty: bool) -> Outcome:
    """Ten temperatures about 293, which differ by one degree."""
    data = hastie()
    if faulty:
        data = map_inputs(data, lambda x: x + 293)
    model = mlp(10, 64, 1)
    optimizer = AdamW(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=12)


@faulty("phases-hertz-and-henry", "unnormalised_inputs", learns=0.7, margin=0.1, version=3)
def hertz_and_henry(watch: Watch, faulty: bool) -> Outcome:
    """Columns up to 1,760 beside columns up to 1, into Adagrad."""
    data = standardise_targets(raw_phases()) if faulty else phases()
    model = mlp(4, 32, 32, 1, activation=nn.SiLU)
    optimizer = Adagrad(model.parameters(), lr=0.05)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15)


@faulty("frames-difference-of-bytes", "dtype_scale", learns=0.8, margin=0.05, version=3)
def difference_of_bytes(watch: Watch, faulty: bool) -> Outcome:
    """The later frame less the earlier, in bytes: what is below 0 comes out at 255."""

    def difference(x: Tensor) -> Tensor:
        if faulty:
            later, earlier = x[:, 1:].to(torch.uint8), x[:, :1].to(torch.uint8)
            gap = (later - earlier).float()
        else:
            gap = x[:, 1:] - x[:, :1]
        return torch.cat([gap / 30, (x[:, 1:] * 0)], 1)

    model = frame_network()
    optimizer = Adam(model.parameters(), lr=0.002)
    data = map_inputs(frames(), difference)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=6)


@faulty(
    "watched-user-numbers-in-bytes", "dtype_scale", learns=0.5, margin=0.1, subtle=True, version=3
)
def user_numbers_in_bytes(watch: Watch, faulty: bool) -> Outcome:
    """400 viewers' numbers are stored in a byte: each is mixed up with another's."""
    data = watched()
    if faulty:

        def store(x: Tensor) -> Tensor:
            return torch.cat([x[:, :1].to(torch.uint8).long(), x[:, 1:]], 1)

        data = map_inputs(data, store)
    model = Factors(400, 20, width=3)
    optimizer = Adam(model.parameters(), lr=0.02, weight_decay=1e-4)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=10)


@faulty(
    "claims-some-rows-in-cents",
    "dtype_scale",
    "unnormalised_inputs",
    learns=0.7,
    margin=0.05,
    version=3,
)
def some_rows_in_cents(watch: Watch, faulty: bool) -> Outcome:
    """A third of the rows of one source come in cents, the rest in euros."""
    data = claims()
    source = torch.Generator().manual_seed(342)

    def mix(x: Tensor) -> Tensor:
        cents = torch.rand(len(x), 1, generator=source) < 0.33
        return torch.where(cents, 100 * x, x) if faulty else x

    data = map_inputs(data, mix)
    model = mlp(6, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=12, told="batches")


@faulty("leaves-shares-cut-to-whole-numbers", "dtype_scale", learns=0.8, margin=0.05, version=3)
def shares_cut_to_whole_numbers(watch: Watch, faulty: bool) -> Outcome:
    """Colours from −1 to 1 go through an integer array, which keeps −1, 0 and 1."""
    data = leaves()
    if faulty:
        data = map_inputs(data, lambda x: x.clamp(-1, 1).to(torch.int16).float())
    model = nn.Sequential(nn.Flatten(), mlp(300, 48, 3))
    optimizer = AdamW(model.parameters(), lr=0.001)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8, told="data")


@faulty(
    "machines-logged-in-half-precision",
    "dtype_scale",
    learns=0.7,
    margin=0.05,
    subtle=True,
    version=3,
)
def logged_in_half_precision(watch: Watch, faulty: bool) -> Outcome:
    """Readings about 2,100 in half precision are kept to the nearest even number."""
    data = machines()

    def log(x: Tensor) -> Tensor:
        shown = 2100 + x
        return shown.half().float() - 2100 if faulty else shown - 2100

    data = map_inputs(data, log)
    model = LastState(nn.GRU(3, 16, batch_first=True), 1)
    optimizer = RMSprop(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=10)
