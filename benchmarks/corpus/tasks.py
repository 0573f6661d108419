"""More small data sets, made or embedded, the same each time; see data.py for the first ones."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import torch
from sklearn import datasets
from torch import Tensor

from benchmarks.corpus.data import (
    Data,
    Task,
    as_reconstruction,
    random,
    split,
    standardise,
    standardise_targets,
)


@cache
def raw_iris() -> Data:
    """150 irises of three kinds, four columns in centimetres."""
    x, y = datasets.load_iris(return_X_y=True)
    return split(torch.tensor(x, dtype=torch.float32), torch.tensor(y), "multiclass")


@cache
def iris() -> Data:
    return standardise(raw_iris())


@cache
def spirals(classes: int = 3, noise: float = 0.06, count: int = 1200, turns: float = 0.8) -> Data:
    """Spiral arms about the origin, one for each class; `(N, 2)`."""
    source = random(61)
    y = torch.randint(classes, (count,), generator=source)
    radius = 0.1 + 0.9 * torch.rand(count, generator=source)
    angle = 2 * math.pi * (turns * radius + y / classes)
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    return standardise(split(x + noise * torch.randn(count, 2, generator=source), y, "multiclass"))


@cache
def shapes(noise: float = 0.3, count: int = 1200) -> Data:
    """Squares, frames, crosses and diamonds somewhere in noise; images `(N, 1, 12, 12)`."""
    source = random(67)
    y = torch.randint(4, (count,), generator=source)
    corner = torch.randint(7, (count, 2), generator=source)
    x = noise * torch.randn(count, 1, 12, 12, generator=source)
    drawn = _drawings()
    for row, (top, left) in enumerate(corner.tolist()):
        x[row, 0, top : top + 6, left : left + 6] += drawn[int(y[row])]
    return split(x, y, "multiclass")


def _drawings() -> list[Tensor]:
    square = torch.ones(6, 6)
    frame = torch.ones(6, 6)
    frame[1:5, 1:5] = 0
    cross = torch.eye(6) + torch.eye(6).flip(1)
    far = (torch.arange(6) - 2.5).abs()
    diamond = ((far[:, None] + far[None]) < 3.1).float()
    return [0.8 * square, frame, cross, diamond]


@cache
def stripes(count: int = 1000) -> Data:
    """Photographs of stripes: level, upright or slanted; `(N, 3, 10, 10)` from 0 to 255."""
    source = random(71)
    y = torch.randint(3, (count,), generator=source)
    angle = torch.tensor([0.0, math.pi / 2, math.pi / 4])[y]
    angle = angle + 0.15 * torch.randn(count, generator=source)
    phase = 2 * math.pi * torch.rand(count, generator=source)
    down, right = torch.meshgrid(torch.arange(10.0), torch.arange(10.0), indexing="ij")
    along = angle.cos()[:, None, None] * down + angle.sin()[:, None, None] * right
    grey = torch.sin(1.6 * along + phase[:, None, None])[:, None]
    colour = 0.3 + 0.7 * torch.rand(count, 3, 1, 1, generator=source)
    x = 120 + 50 * colour * grey + 30 * torch.randn(count, 3, 10, 10, generator=source)
    return split(x.clamp(0, 255), y, "multiclass")


@cache
def scaled_stripes() -> Data:
    data = stripes()
    return replace(data, x=(data.x - 120) / 60, x_valid=(data.x_valid - 120) / 60)


@cache
def segments(length: int = 32, count: int = 700) -> Data:
    """Signals that rise, fall or rest for a while: `(N, 1, length)`, a class `(N, length)`."""
    source = random(73)
    y = torch.randint(3, (count, length // 8), generator=source).repeat_interleave(8, 1)
    slope = torch.tensor([-0.5, 0.0, 0.5])[y]
    x = slope.cumsum(1) + 0.25 * torch.randn(count, length, generator=source)
    return split((x - x.mean(1, keepdim=True))[:, None], y, "multiclass")


@cache
def masks(noise: float = 0.5, count: int = 500, side: int = 4) -> Data:
    """Noisy images `(N, 1, 12, 12)` with a bright square; targets: where it is, of 0 and 1."""
    source = random(79)
    y = torch.zeros(count, 1, 12, 12)
    for row, (top, left) in enumerate(
        torch.randint(13 - side, (count, 2), generator=source).tolist()
    ):
        y[row, 0, top : top + side, left : left + side] = 1
    x = y + noise * torch.randn(count, 1, 12, 12, generator=source)
    return split(x, y, "binary")


@cache
def tags(length: int = 10, words: int = 24, kinds: int = 4, count: int = 900) -> Data:
    """Word numbers and their tags, both `(N, length)`: a tag follows from a word and the last."""
    source = random(83)
    x = torch.randint(words, (count, length), generator=source)
    table = torch.randint(kinds, (words, 3), generator=source)
    before = torch.cat([torch.zeros(count, 1, dtype=torch.long), x[:, :-1] % 3], 1)
    return split(x, table[x, before], "multiclass")


@cache
def letters(length: int = 16, alphabet: int = 12, count: int = 500) -> Data:
    """Text of a language whose next letter hangs on the last two; targets: the next letters."""
    source = random(89)
    likely = torch.randn(alphabet, alphabet, alphabet, generator=source).mul(2.5).softmax(2)
    text = torch.randint(alphabet, (count, 2), generator=source)
    for _ in range(length - 1):
        chances = likely[text[:, -2], text[:, -1]]
        text = torch.cat([text, torch.multinomial(chances, 1, generator=source)], 1)
    return split(text[:, :-1], text[:, 1:], "multiclass")


@cache
def adding(length: int = 12, count: int = 1200) -> Data:
    """Hochreiter and Schmidhuber's (1997) sum of two marked numbers; `(N, length, 2)`."""
    source = random(97)
    numbers = torch.rand(count, length, generator=source)
    marked = torch.rand(count, length, generator=source).topk(2).indices
    marks = torch.zeros(count, length).scatter(1, marked, 1.0)
    y = (numbers * marks).sum(1, keepdim=True)
    return standardise_targets(split(torch.stack([numbers, marks], 2), y, "regression"))


@cache
def series(window: int = 20, noise: float = 0.3, count: int = 1200) -> Data:
    """A seasonal series with memory: `window` values, of which the next one is asked."""
    source = random(101)
    values = [0.0, 0.0]
    shocks = noise * torch.randn(count + window, generator=source)
    for step, shock in enumerate(shocks.tolist()):
        values.append(0.6 * values[-1] - 0.3 * values[-2] + math.sin(0.5 * step) + shock)
    windows = torch.tensor(values).unfold(0, window + 1, 1)
    return split(windows[:, :-1], windows[:, -1:], "regression")


@cache
def pairs(count: int = 1500, kinds: int = 6) -> Data:
    """Two noisy pictures of a thing, or of two; `(N, 2, 16)`; 1 where it is the same thing."""
    source = random(103)
    things = 1.5 * torch.randn(kinds, 16, generator=source)
    first = torch.randint(kinds, (count,), generator=source)
    same = torch.rand(count, generator=source) < 0.5
    other = (first + torch.randint(1, kinds, (count,), generator=source)) % kinds
    shown = torch.stack([first, torch.where(same, first, other)], 1)
    x = things[shown] + torch.randn(count, 2, 16, generator=source)
    return split(x, same.float()[:, None], "binary")


@cache
def ratings(users: int = 50, items: int = 40, count: int = 2400) -> Data:
    """Who rated what, `(N, 2)`, int64; and how, standardised."""
    source = random(107)
    taste = torch.randn(users, 3, generator=source)
    kind = torch.randn(items, 3, generator=source)
    x = torch.stack([torch.randint(most, (count,), generator=source) for most in (users, items)], 1)
    y = (taste[x[:, 0]] * kind[x[:, 1]]).sum(1, keepdim=True)
    y = y + 0.4 * torch.randn(count, 1, generator=source)
    return standardise_targets(split(x, y, "regression"))


@cache
def counts(count: int = 1000) -> Data:
    """How many came, a Poisson variable, by six columns; targets `(N, 1)`."""
    source = random(109)
    x = torch.randn(count, 6, generator=source)
    rate = torch.exp(1.2 + 0.7 * x[:, :1] - 0.5 * x[:, 1:2] + 0.3 * torch.sin(3 * x[:, 2:3]))
    return split(x, torch.poisson(rate, generator=source), "regression")


@cache
def topics(count: int = 1200) -> Data:
    """Word counts `(N, 20)` of texts that are about some of five topics, `(N, 5)` of 0 and 1."""
    x, y = datasets.make_multilabel_classification(
        count, 20, n_classes=5, n_labels=2, length=40, random_state=7
    )
    return split(
        torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32), "binary"
    )


@cache
def scaled_topics() -> Data:
    return standardise(topics())


@cache
def raw_houses(count: int = 900) -> Data:
    """Area in m², rooms, year, metres from the centre, floor; and the price in euros."""
    source = random(113)
    draws = torch.rand(count, 5, generator=source)
    area = 30 + 170 * draws[:, 0] ** 1.5
    rooms = (area / 28 + 2 * draws[:, 1]).round()
    year = 1900 + 120 * draws[:, 2]
    distance = 15_000 * draws[:, 3]
    floor = (8 * draws[:, 4]).floor()
    price = area * (2500 + 2500 * torch.exp(-distance / 4000) + 8 * (year - 1900))
    price = price * (1 + 0.08 * torch.randn(count, generator=source))
    x = torch.stack([area, rooms, year, distance, floor], 1)
    return split(x, price[:, None], "regression")


@cache
def houses() -> Data:
    return standardise_targets(standardise(raw_houses()))


@cache
def raw_applicants(count: int = 1500) -> Data:
    """Income, age, share of debts, loans, years at work; did they pay back, `(N, 1)`."""
    source = random(127)
    income = 1e4 * torch.exp(1 + 0.5 * torch.randn(count, generator=source))
    age = 20 + 50 * torch.rand(count, generator=source)
    debts = torch.rand(count, generator=source)
    loans = torch.poisson(torch.full((count,), 2.0), generator=source)
    work = (age - 18) * torch.rand(count, generator=source)
    sure = 3 * (income / 2.7e4).log() - 4 * (debts - 0.5) - 0.5 * (loans - 2)
    sure = sure + 1.5 * torch.sin(age / 6)
    y = (torch.rand(count, generator=source) < torch.sigmoid(2 * sure)).float()[:, None]
    return split(torch.stack([income, age, debts, loans, work], 1), y, "binary")


@cache
def applicants() -> Data:
    return standardise(raw_applicants())


@cache
def shells(classes: int = 3, count: int = 1200, columns: int = 4) -> Data:
    """A normal cloud whose shells about the origin are the classes."""
    x, y = datasets.make_gaussian_quantiles(
        n_samples=count, n_features=columns, n_classes=classes, random_state=8
    )
    return standardise(split(torch.tensor(x, dtype=torch.float32), torch.tensor(y), "multiclass"))


@cache
def swiss_roll(noise: float = 0.1, count: int = 1000) -> Data:
    """Points of a rolled sheet; how far along the roll they lie."""
    x, y = datasets.make_swiss_roll(count, noise=noise, random_state=9)
    targets = torch.tensor(y, dtype=torch.float32)[:, None]
    data = split(torch.tensor(x, dtype=torch.float32), targets, "regression")
    return standardise_targets(standardise(data))


@cache
def raw_circuit(count: int = 1000) -> Data:
    """Friedman's (1991) impedance of a circuit: columns up to 1,760, targets up to 1,700."""
    x, y = datasets.make_friedman2(count, noise=20.0, random_state=10)
    targets = torch.tensor(y, dtype=torch.float32)[:, None]
    return split(torch.tensor(x, dtype=torch.float32), targets, "regression")


@cache
def circuit() -> Data:
    return standardise_targets(standardise(raw_circuit()))


@cache
def beats(length: int = 48, count: int = 900) -> Data:
    """Heart beats `(N, length, 1)`: even, with one missing, or with one early."""
    source = random(131)
    y = torch.randint(3, (count,), generator=source)
    time = torch.arange(float(length))
    x = 0.2 * torch.randn(count, length, generator=source)
    start = 6 * torch.rand(count, generator=source)
    for beat in range(5):
        centre = start + 9 * beat + 2
        centre = torch.where((y == 2) & (beat == 2), centre - 4, centre)
        height = torch.where((y == 1) & (beat == 2), 0.0, 1.5)
        bump = torch.exp(-((time[None] - centre[:, None]) ** 2) / 1.5)
        x = x + height[:, None] * bump
    return split(x[..., None], y, "multiclass")


@cache
def sensors(count: int = 1200, noise: float = 0.1) -> Data:
    """24 sensors that say in their own ways where three hidden numbers are; to be reproduced."""
    source = random(137)
    hidden = torch.randn(count, 3, generator=source)
    seen = torch.tanh(hidden @ torch.randn(3, 32, generator=source))
    x = seen @ torch.randn(32, 24, generator=source) / 4
    x = x + noise * torch.randn(count, 24, generator=source)
    return as_reconstruction(split(x, x, "reconstruction"))


@cache
def bitmaps(count: int = 900) -> Data:
    """Black and white drawings `(N, 144)` of 0 and 1, to be reproduced."""
    data = shapes(noise=0.0, count=count)
    x, x_valid = ((part.flatten(1) > 0.5).float() for part in (data.x, data.x_valid))
    return Data(x, x, x_valid, x_valid, "reconstruction")


@cache
def gaps(count: int = 1000, columns: int = 12) -> Data:
    """Which of two readings is greater, hidden in others; `(N, 1)` of 0 and 1."""
    source = random(139)
    x = torch.randn(count, columns, generator=source)
    told = x[:, 0] * x[:, 1] + 0.7 * x[:, 2]
    return split(x, (told > 0).float()[:, None], "binary")


def with_task(data: Data, task: Task) -> Data:
    return replace(data, task=task)


def take_every_class_apart(data: Data) -> Data:
    """The training examples in the order of their classes or targets."""
    order = data.y.flatten().argsort(stable=True)
    return replace(data, x=data.x[order], y=data.y[order])


def hold_out_half(data: Data) -> tuple[Data, Data]:
    """The same with half of the validation set, and with the other half, for the truth."""
    half = len(data.x_valid) // 2
    valid = replace(data, x_valid=data.x_valid[:half], y_valid=data.y_valid[:half])
    return valid, replace(data, x_valid=data.x_valid[half:], y_valid=data.y_valid[half:])
