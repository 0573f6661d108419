"""Data sets of version 5, made the same each time; see data.py and tasks.py for earlier ones."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from benchmarks.corpus.data import (
    Data,
    as_reconstruction,
    random,
    split,
    standardise,
    standardise_targets,
)


@cache
def raw_clinic(count: int = 1400) -> Data:
    """Age, smoker, pressure, sugar, mass, pulse, NaN where not measured; is one ill, `(N, 1)`."""
    source = random(501)
    draws = torch.randn(count, 5, generator=source)
    age = 50 + 15 * draws[:, 0]
    smoker = (torch.rand(count, generator=source) < 0.3).float()
    pressure = 125 + 14 * draws[:, 1]
    sugar = 95 + 25 * draws[:, 2].abs()
    mass = 26 + 4.5 * draws[:, 3]
    pulse = 72 + 10 * draws[:, 4]
    sure = draws[:, 0] + 0.9 * draws[:, 1] + 1.8 * (sugar > 120).float() + 1.5 * smoker
    sure = sure + 0.6 * draws[:, 3] ** 2 - 1.7
    y = (torch.rand(count, generator=source) < torch.sigmoid(2.5 * sure)).float()[:, None]
    x = torch.stack([age, smoker, pressure, sugar, mass, pulse], 1)
    missing = torch.rand(count, 6, generator=source) < 0.1
    missing[:, :2] = False
    return split(x.masked_fill(missing, math.nan), y, "binary")


@cache
def clinic() -> Data:
    """Standardised, means where nothing was measured, and four columns that say where."""
    data = raw_clinic()
    mean = data.x.nanmean(0)
    deviation = (data.x - mean).square().nanmean(0).sqrt()

    def fill(x: Tensor) -> Tensor:
        known = ((x - mean) / deviation).nan_to_num(0.0)
        return torch.cat([known, x[:, 2:].isnan().float()], 1)

    return replace(data, x=fill(data.x), x_valid=fill(data.x_valid))


@cache
def vehicles(count: int = 1400) -> tuple[Tensor, Tensor]:
    """How many vehicles passed in each half-hour, and how much it rained, over a month."""
    source = random(503)
    time = torch.arange(float(count))
    rain = torch.nn.functional.avg_pool1d(
        torch.randn(1, 1, count + 10, generator=source), 11, stride=1
    )[0, 0]
    rain = (3 * rain).clamp(min=0)
    level, shocks = [0.0], (0.35 * torch.randn(count, generator=source)).tolist()
    for shock in shocks[1:]:
        level.append(0.8 * level[-1] + shock)
    passed = 1.2 * torch.sin(time * math.pi / 24) + 0.6 * torch.sin(time * math.pi / 12)
    return passed - 0.8 * rain + torch.tensor(level), rain


@cache
def traffic(window: int = 12) -> Data:
    """Vehicles and rain of the last half-hours `(N, 12, 2)`; vehicles in the next one.

    The last three tenths of the time are for validation.
    """
    passed, rain = vehicles()
    both = torch.stack([passed, rain], 1)
    x = both.unfold(0, window, 1)[:-1].transpose(1, 2).contiguous()
    y = passed[window:, None]
    kept = int(0.7 * len(x))
    data = Data(x[:kept], y[:kept], x[kept:], y[kept:], "regression")
    return standardise_targets(data)


@cache
def tickets(length: int = 12, words: int = 60, count: int = 1500) -> Data:
    """Word numbers `(N, length)` from 1, padded with 0; which of four departments is asked."""
    source = random(505)
    y = torch.randint(4, (count,), generator=source)
    likely = 1 + 6.0 * (torch.rand(4, words, generator=source) < 0.15)
    x = 1 + torch.multinomial(likely[y], length, replacement=True, generator=source)
    long = torch.randint(5, length + 1, (count, 1), generator=source)
    return split(torch.where(torch.arange(length) < long, x, 0), y, "multiclass")


@cache
def glyphs(noise: float = 0.35, count: int = 1200) -> Data:
    """Images `(N, 1, 10, 10)` of one of the letters L, T, X, O and H, somewhere in noise."""
    source = random(507)
    drawn = torch.zeros(5, 6, 6)
    drawn[0, :, 0] = drawn[0, 5] = 1
    drawn[1, 0] = drawn[1, :, 2:4] = 1
    drawn[2] = torch.maximum(torch.eye(6), torch.eye(6).flip(1))
    drawn[3, 0] = drawn[3, 5] = drawn[3, :, 0] = drawn[3, :, 5] = 1
    drawn[4, :, 0] = drawn[4, :, 5] = drawn[4, 2:4] = 1
    y = torch.randint(5, (count,), generator=source)
    x = noise * torch.randn(count, 1, 10, 10, generator=source) - 0.2
    places = torch.randint(5, (count, 2), generator=source).tolist()
    for row, (top, left) in enumerate(places):
        x[row, 0, top : top + 6, left : left + 6] += drawn[y[row]]
    return split(x, y, "multiclass")


@cache
def vowels(noise: float = 0.4, count: int = 1000) -> Data:
    """Sounds `(N, 1, 80)` of four vowels, each of two pitches, of any loudness."""
    source = random(509)
    y = torch.randint(4, (count,), generator=source)
    low = torch.tensor([0.25, 0.25, 0.45, 0.45])[y] + 0.02 * torch.randn(count, generator=source)
    high = torch.tensor([0.9, 1.4, 0.9, 1.4])[y] + 0.04 * torch.randn(count, generator=source)
    phases = 2 * math.pi * torch.rand(count, 2, generator=source)
    time = torch.arange(80.0)
    x = torch.sin(low[:, None] * time + phases[:, :1])
    x = x + 0.8 * torch.sin(high[:, None] * time + phases[:, 1:])
    x = x * (0.6 + 0.8 * torch.rand(count, 1, generator=source))
    return split((x + noise * torch.randn(count, 80, generator=source))[:, None], y, "multiclass")


@cache
def clouds(points: int = 16, count: int = 1000) -> Data:
    """Sets of points `(N, points, 2)` that lie on a ring, in a disc, on a cross or in two heaps."""
    source = random(511)
    y = torch.randint(4, (count,), generator=source)
    angle = 2 * math.pi * torch.rand(count, points, generator=source)
    far = torch.rand(count, points, generator=source)
    turn = torch.stack([angle.cos(), angle.sin()], 2)
    side = (torch.rand(count, points, 1, generator=source) < 0.5).float()
    line = 2.4 * far[..., None] - 1.2
    cross = torch.cat([line * side, line * (1 - side)], 2)
    heaps = torch.cat([2 * side - 1, 0 * side], 2)
    heaps = heaps + 0.25 * torch.randn(count, points, 2, generator=source)
    x = torch.stack([turn, 1.2 * far.sqrt()[..., None] * turn, cross, heaps], 1)
    x = x[torch.arange(count), y] + 0.12 * torch.randn(count, points, 2, generator=source)
    return split(x, y, "multiclass")


@cache
def molecules(atoms: int = 7, count: int = 1000) -> Data:
    """Graphs `(N, atoms, 4 + atoms)`: what each atom is, of four, and whom it is bound to.

    Asked is an energy to which each bond between two kinds adds its own part.
    """
    source = random(513)
    kind = torch.randint(4, (count, atoms), generator=source)
    bound = (torch.rand(count, atoms, atoms, generator=source) < 0.35).float().triu(1)
    bound = bound + bound.transpose(1, 2)
    table = torch.randn(4, 4, generator=source)
    table = table + table.T
    energy = (bound * table[kind[:, :, None], kind[:, None]]).sum((1, 2))[:, None] / 2
    energy = energy + 0.3 * torch.randn(count, 1, generator=source)
    x = torch.cat([torch.nn.functional.one_hot(kind, 4).float(), bound], 2)
    return standardise_targets(split(x, energy, "regression"))


@cache
def films(users: int = 60, items: int = 50, count: int = 3000) -> Data:
    """A user and a film `(N, 2)`, int64; did they watch it, `(N, 1)`; a third did."""
    source = random(515)
    taste, kind = (torch.randn(many, 2, generator=source) for many in (users, items))
    fame = 0.7 * torch.randn(items, generator=source)
    x = torch.stack([torch.randint(many, (count,), generator=source) for many in (users, items)], 1)
    sure = 1.6 * (taste[x[:, 0]] * kind[x[:, 1]]).sum(1) + fame[x[:, 1]] - 1.0
    y = torch.rand(count, generator=source) < torch.sigmoid(2 * sure)
    return split(x, y.float()[:, None], "binary")


@cache
def calls(count: int = 1200) -> Data:
    """Six columns and how many calls came in the hour, `(N, 1)`: five or so, seldom thirty."""
    source = random(517)
    x = torch.randn(count, 6, generator=source)
    rate = 1.4 + 0.6 * x[:, :1] - 0.4 * x[:, 1:2] * x[:, 2:3] + 0.4 * torch.cos(2 * x[:, 3:4])
    return split(x, torch.poisson(rate.clamp(max=3.5).exp(), generator=source), "regression")


@cache
def lifetimes(count: int = 1000) -> Data:
    """Six columns; how many years a pump ran, and 1 if it broke or 0 if it still runs."""
    source = random(519)
    x = torch.randn(count, 6, generator=source)
    risk = 1.2 * x[:, 0] + 0.8 * x[:, 1] * x[:, 2] - 0.8 * x[:, 3]
    broke = -torch.log(torch.rand(count, generator=source)) * torch.exp(-risk)
    seen = 0.2 + 3 * torch.rand(count, generator=source)
    y = torch.stack([torch.minimum(broke, seen), (broke <= seen).float()], 1)
    return split(x, y, "regression")


def concordance(outputs: Tensor, targets: Tensor) -> float:
    """Share of comparable pairs whose risks are in the order of their ends (Harrell, 1982)."""
    risk, time, broke = outputs[:, 0], targets[:, 0], targets[:, 1]
    comparable = (time[:, None] < time[None]) & (broke[:, None] > 0)
    return (risk[:, None] > risk[None])[comparable].float().mean().item()


@cache
def songs(bands: int = 24, count: int = 1200) -> Data:
    """Loudness of each band `(N, bands)`, standardised; which of five moods it has, `(N, 5)`."""
    source = random(521)
    moods = (torch.rand(count, 5, generator=source) < 0.35).float()
    shape = torch.randn(5, bands, generator=source)
    x = moods @ shape + 0.9 * torch.randn(count, bands, generator=source)
    return standardise(split(x, moods, "binary"))


@cache
def roads(noise: float = 0.6, count: int = 450) -> Data:
    """Noisy images `(N, 1, 12, 12)` crossed by a road; which pixels are road, of 0 and 1."""
    source = random(523)
    axis = torch.arange(12.0) - 5.5
    angle = math.pi * torch.rand(count, 1, 1, generator=source)
    shift = 4 * torch.rand(count, 1, 1, generator=source) - 2
    across = axis[None, :, None] * angle.cos() + axis[None, None] * angle.sin() - shift
    y = (across.abs() < 1.3).float()
    x = y + noise * torch.randn(count, 12, 12, generator=source)
    return split(x[:, None], y[:, None], "binary")


@cache
def hotels(offers: int = 5, count: int = 900) -> Data:
    """Offers `(N, 5, 6)` and how well guests liked each, `(N, 5)`."""
    source = random(525)
    x = torch.randn(count, offers, 6, generator=source)
    liked = x[..., 0] - 0.7 * x[..., 1].abs() + 0.8 * x[..., 2] * x[..., 3]
    liked = liked + 0.2 * torch.randn(count, offers, generator=source)
    return split(x, liked, "regression")


def best_first(outputs: Tensor, targets: Tensor) -> float:
    """Share of lists whose best offer has the highest score."""
    return (outputs.argmax(1) == targets.argmax(1)).float().mean().item()


@cache
def spectra(noise: float = 0.1, count: int = 1000) -> Data:
    """Spectra `(N, 32)` of four substances, each of its own peaks, to be reproduced."""
    source = random(527)
    axis = torch.arange(32.0)
    place = torch.tensor([4.0, 11.0, 18.0, 26.0])
    peaks = torch.exp(-((axis[None] - place[:, None]) ** 2) / 8)
    peaks = peaks + 0.6 * peaks.roll((1, 5), (0, 1))
    amount = 2 * torch.rand(count, 4, generator=source)
    x = amount @ peaks - (torch.ones(4) @ peaks)
    x = x + noise * torch.randn(count, 32, generator=source)
    return as_reconstruction(split(x, x, "reconstruction"))


@cache
def raw_flats(count: int = 1300) -> Data:
    """Area in m², year, metres to the tram, storey, district as a code; the rent in euros."""
    source = random(529)
    draws = torch.rand(count, 4, generator=source)
    area = 25 + 110 * draws[:, 0] ** 1.4
    year = 1900 + 120 * draws[:, 1]
    tram = 2500 * draws[:, 2] ** 2
    storey = (7 * draws[:, 3]).floor()
    district = torch.randint(8, (count,), generator=source)
    level = torch.tensor([8.0, 9.0, 10.0, 11.0, 12.0, 13.5, 15.0, 18.0])
    level = level[torch.randperm(8, generator=source)][district]
    rent = area * level * (0.8 + 0.4 * torch.exp(-tram / 600)) * (1 + ((year - 1960) / 150) ** 2)
    rent = (rent + 15 * storey) * (1 + 0.07 * torch.randn(count, generator=source))
    x = torch.stack([area, year, tram, storey, district.float()], 1)
    return split(x, rent[:, None], "regression")


@cache
def flats() -> Data:
    """Four standardised columns and a column for each district `(N, 12)`; standardised rents."""
    data = raw_flats()
    mean, deviation = data.x[:, :4].mean(0), data.x[:, :4].std(0)

    def encode(x: Tensor) -> Tensor:
        district = torch.nn.functional.one_hot(x[:, 4].long(), 8).float()
        return torch.cat([(x[:, :4] - mean) / deviation, district], 1)

    return standardise_targets(replace(data, x=encode(data.x), x_valid=encode(data.x_valid)))


@cache
def fraud(share: float = 0.04, count: int = 3000) -> Data:
    """Eight columns of a payment, standardised; is it a fraud, `(N, 1)`, as one in 25 is."""
    source = random(531)
    y = (torch.rand(count, 1, generator=source) < share).float()
    x = torch.randn(count, 8, generator=source)
    x[:, :3] += 1.2 * y
    x[:, 3:5] *= 1 + y
    return standardise(split(x, y, "binary", valid=0.5))


@cache
def gestures(length: int = 20, noise: float = 0.25, count: int = 1000) -> Data:
    """Paths of a finger `(N, 20, 2)`: strokes right and up, circles left and right."""
    source = random(533)
    y = torch.randint(4, (count,), generator=source)
    time = torch.linspace(0, 1, length)
    angle = 2 * math.pi * (time + torch.rand(count, 1, generator=source))
    flat = (2 * time - 1).expand(count, length)
    still = torch.zeros(count, length)
    right, up = torch.stack([flat, still], 2), torch.stack([still, flat], 2)
    turn = 0.7 * torch.stack([angle.cos(), angle.sin()], 2)
    paths = torch.stack([right, up, turn, turn * torch.tensor([1.0, -1.0])], 1)
    x = paths[torch.arange(count), y] + 0.3 * torch.randn(count, 1, 2, generator=source)
    return split(x + noise * torch.randn(count, length, 2, generator=source), y, "multiclass")
