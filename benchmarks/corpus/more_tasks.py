"""Data sets of version 3, made the same each time; see data.py and tasks.py for earlier ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from sklearn import datasets
from torch import Tensor

from benchmarks.corpus.data import Data, random, split, standardise, standardise_targets


@cache
def hastie(count: int = 1600) -> Data:
    """Ten normal columns; is the point far from the origin? (Hastie et al., 2009); `(N, 1)`."""
    x, y = datasets.make_hastie_10_2(count, random_state=12)
    targets = torch.tensor(y > 0, dtype=torch.float32)[:, None]
    return standardise(split(torch.tensor(x, dtype=torch.float32), targets, "binary"))


@cache
def ribbon(noise: float = 0.1, count: int = 1000) -> Data:
    """Points of a ribbon bent to an S; how far along it they lie."""
    x, y = datasets.make_s_curve(count, noise=noise, random_state=14)
    targets = torch.tensor(y, dtype=torch.float32)[:, None]
    data = split(torch.tensor(x, dtype=torch.float32), targets, "regression")
    return standardise_targets(standardise(data))


@cache
def raw_phases(count: int = 1000) -> Data:
    """Friedman's (1991) phase angle of a circuit by columns up to 1,760, in radians."""
    x, y = datasets.make_friedman3(count, noise=0.05, random_state=15)
    targets = torch.tensor(y, dtype=torch.float32)[:, None]
    return split(torch.tensor(x, dtype=torch.float32), targets, "regression")


@cache
def phases() -> Data:
    return standardise_targets(standardise(raw_phases()))


@cache
def reviews(length: int = 14, count: int = 1500) -> Data:
    """Word numbers `(N, length)`, padded with 0 at the end; is the writer content? `(N, 1)`.

    Word 1 is "not", which turns the next word round; 2 to 9 praise, 10 to 17 blame.
    """
    source = random(211)
    x = torch.randint(2, 40, (count, length), generator=source)
    telling = torch.randint(2, 18, (count, length), generator=source)
    x = torch.where(torch.rand(count, length, generator=source) < 0.35, telling, x)
    x[torch.rand(count, length, generator=source) < 0.2] = 1
    long = torch.randint(6, length + 1, (count, 1), generator=source)
    x[torch.arange(length) >= long] = 0
    worth = ((x >= 2) & (x < 10)).float() - ((x >= 10) & (x < 18)).float()
    before = torch.cat([torch.zeros(count, 1, dtype=torch.long), x[:, :-1]], 1)
    worth = torch.where(before == 1, -worth, worth)
    total = worth.sum(1) + 0.2 * torch.randn(count, generator=source)
    return split(x, (total > 0).float()[:, None], "binary")


@cache
def orders(count: int = 2000) -> Data:
    """Shop, product and weekday as codes, then four columns; was it sent back? `(N, 1)`."""
    source = random(223)
    codes = torch.stack(
        [torch.randint(kinds, (count,), generator=source) for kinds in (12, 20, 7)], 1
    )
    numbers = torch.randn(count, 4, generator=source)
    habit = [1.2 * torch.randn(kinds, generator=source) for kinds in (12, 20, 7)]
    sure = sum((each[codes[:, column]] for column, each in enumerate(habit)), torch.zeros(count))
    sure = sure + numbers[:, 0] - 0.8 * numbers[:, 1] * numbers[:, 2]
    y = (torch.rand(count, generator=source) < torch.sigmoid(2 * sure)).float()[:, None]
    return split(torch.cat([codes.float(), numbers], 1), y, "binary")


@cache
def spots(noise: float = 0.3, count: int = 900) -> Data:
    """A soft spot somewhere in noise `(N, 1, 12, 12)`; its row and column from −1 to 1."""
    source = random(227)
    y = 2 * torch.rand(count, 2, generator=source) - 1
    place = 1.5 + 4 * (y + 1)
    axis = torch.arange(12.0)
    far = (axis[None, :, None] - place[:, 0, None, None]) ** 2
    far = far + (axis[None, None, :] - place[:, 1, None, None]) ** 2
    x = 1.5 * torch.exp(-far / 3) + noise * torch.randn(count, 12, 12, generator=source)
    return split(x[:, None], y, "regression")


@cache
def boxes(count: int = 1000) -> Data:
    """Images `(N, 1, 12, 12)`; is a square in them, and its top, left and side, from 0 to 1."""
    source = random(229)
    x = 0.4 * torch.randn(count, 1, 12, 12, generator=source)
    y = torch.zeros(count, 4)
    for row in range(count):
        if torch.rand((), generator=source) < 0.3:
            continue
        side = int(torch.randint(3, 7, (), generator=source))
        top, left = torch.randint(13 - side, (2,), generator=source).tolist()
        x[row, 0, top : top + side, left : left + side] += 1
        y[row] = torch.tensor([1, top / 12, left / 12, side / 12])
    return split(x, y, "regression")


@cache
def scenes(count: int = 500, noise: float = 0.4) -> Data:
    """Images `(N, 1, 12, 12)` of a square and a cross; what each pixel shows, 0 being neither."""
    source = random(233)
    y = torch.zeros(count, 12, 12, dtype=torch.long)
    places = torch.randint(0, 8, (count, 4), generator=source)
    for row, (top, left, high, far) in enumerate(places.tolist()):
        y[row, top : top + 4, left : left + 4] = 1
        y[row, high + 2, far : far + 5] = y[row, high : high + 5, far + 2] = 2
    level = torch.tensor([0.0, 1.0, 1.0])[y]
    x = level + noise * torch.randn(count, 12, 12, generator=source)
    return split(x[:, None], y, "multiclass")


@cache
def searches(offers: int = 6, count: int = 1200) -> Data:
    """Offers shown together `(N, offers, 5)` and which of them was chosen."""
    source = random(239)
    x = torch.randn(count, offers, 5, generator=source)
    worth = x[..., 0] - 0.8 * x[..., 1] ** 2 + x[..., 2] * x[..., 3]
    spread = -torch.log(-torch.log(torch.rand(count, offers, generator=source)))
    return split(x, (3 * worth + spread).argmax(1), "multiclass")


@cache
def machines(length: int = 16, count: int = 1000) -> Data:
    """Three sensors over time `(N, length, 3)`; how worn the machine is, standardised."""
    source = random(241)
    wear = torch.rand(count, 1, generator=source)
    time = torch.arange(float(length))
    phase = 2 * math.pi * torch.rand(count, 1, generator=source)
    heat = wear * time / length + 0.2 * torch.randn(count, length, generator=source)
    shake = (0.3 + wear) * torch.sin((0.6 + 0.6 * wear) * time + phase)
    load = torch.randn(count, length, generator=source)
    shake = shake + 0.2 * torch.randn(count, length, generator=source)
    return standardise_targets(split(torch.stack([heat, shake, load], 2), wear, "regression"))


@cache
def raw_claims(count: int = 1200) -> Data:
    """Six columns and what was claimed: mostly a few hundreds, now and then many thousands."""
    source = random(251)
    x = torch.randn(count, 6, generator=source)
    size = 6 + 0.8 * x[:, :1] + 0.6 * torch.sin(2 * x[:, 1:2]) + 0.3 * x[:, 2:3] * x[:, 3:4]
    y = torch.exp(size + 0.3 * torch.randn(count, 1, generator=source))
    return split(x, y, "regression")


@cache
def claims() -> Data:
    """Claims by their logarithm, standardised."""
    data = raw_claims()
    return standardise_targets(replace(data, y=data.y.log(), y_valid=data.y_valid.log()))


@cache
def melodies(length: int = 6, notes: int = 6, count: int = 1000) -> Data:
    """Notes `(N, length)` and their accompaniment: note plus the note two before, modulo notes."""
    source = random(257)
    x = torch.randint(notes, (count, length), generator=source)
    before = torch.cat([torch.zeros(count, 2, dtype=torch.long), x[:, :-2]], 1)
    return split(x, (x + before) % notes, "multiclass")


@cache
def leaves(count: int = 900) -> Data:
    """Coloured blobs `(N, 3, 10, 10)` on a grey ground; the class is the colour."""
    source = random(263)
    y = torch.randint(3, (count,), generator=source)
    colours = torch.tensor([[0.9, 0.35, 0.35], [0.4, 0.85, 0.4], [0.4, 0.4, 0.9]])
    x = 0.5 + 0.12 * torch.randn(count, 3, 10, 10, generator=source)
    places = torch.randint(6, (count, 2), generator=source)
    mixed = 0.35 * torch.randn(count, 3, generator=source)
    for row, (top, left) in enumerate(places.tolist()):
        tint = (colours[y[row]] + 0.4 * mixed[row])[:, None, None] - 0.5
        x[row, :, top : top + 4, left : left + 4] += tint
    x = 2 * (x - 0.5)
    return split(x, y, "multiclass")


@cache
def frames(count: int = 1000) -> Data:
    """Two photographs `(N, 2, 10, 10)` from 0 to 255; where did the thing go, of four ways?"""
    source = random(269)
    y = torch.randint(4, (count,), generator=source)
    ways = torch.tensor([[1, 0], [-1, 0], [0, 1], [0, -1]])
    place = torch.randint(2, 6, (count, 2), generator=source)
    later = place + ways[y]
    x = 100 + 12 * torch.randn(count, 2, 10, 10, generator=source)
    for row in range(count):
        for frame, (top, left) in enumerate((place[row].tolist(), later[row].tolist())):
            x[row, frame, top : top + 3, left : left + 3] += 70
    return split(x.clamp(0, 255).round(), y, "multiclass")


@cache
def fields(noise: float = 0.7, count: int = 500) -> Data:
    """Noisy smooth fields `(N, 1, 12, 12)` and the fields without the noise."""
    source = random(271)
    down, right = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    y = torch.zeros(count, 12, 12)
    for _ in range(2):
        rate = 0.5 * torch.rand(count, 2, 1, 1, generator=source) + 0.15
        phase = 2 * math.pi * torch.rand(count, 1, 1, generator=source)
        y = y + torch.sin(rate[:, 0] * down + rate[:, 1] * right + phase)
    x = y + noise * torch.randn(count, 12, 12, generator=source)
    return split(x[:, None], y[:, None], "regression")


@cache
def choices(users: int = 60, items: int = 40, count: int = 2400) -> Data:
    """A user and two items `(N, 3)`, int64; 1 where the first one was preferred, `(N, 1)`."""
    source = random(277)
    taste, kind = (torch.randn(many, 3, generator=source) for many in (users, items))
    x = torch.stack(
        [torch.randint(most, (count,), generator=source) for most in (users, items, items)], 1
    )
    gap = (taste[x[:, 0]] * (kind[x[:, 1]] - kind[x[:, 2]])).sum(1)
    y = (gap + 0.5 * torch.randn(count, generator=source) > 0).float()[:, None]
    return split(x, y, "binary")


@cache
def watched(users: int = 400, items: int = 20, count: int = 6000) -> Data:
    """Viewers in three kinds, of whom there are many, and films; the rating, standardised."""
    source = random(281)
    kinds = torch.randint(3, (users,), generator=source)
    table = torch.randn(3, items, generator=source)
    x = torch.stack([torch.randint(most, (count,), generator=source) for most in (users, items)], 1)
    y = table[kinds[x[:, 0]], x[:, 1]][:, None]
    return standardise_targets(
        split(x, y + 0.3 * torch.randn(count, 1, generator=source), "regression")
    )


def map_inputs(data: Data, change: Callable[[Tensor], Tensor]) -> Data:
    """Both parts' inputs, changed by a function."""
    return replace(data, x=change(data.x), x_valid=change(data.x_valid))


def codes_of(x: Tensor) -> tuple[Tensor, Tensor]:
    """The codes and the other columns of `orders`."""
    return x[:, :3].long(), x[:, 3:]
