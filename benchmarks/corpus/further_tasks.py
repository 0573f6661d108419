"""Data sets of version 4, made the same each time; see data.py and tasks.py for earlier ones."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import torch
from sklearn import datasets
from torch import Tensor

from benchmarks.corpus.data import (
    Data,
    digit_images,
    digits,
    random,
    raw_wine,
    split,
    standardise,
    standardise_targets,
)


@cache
def names(length: int = 8, letters: int = 16, count: int = 1200) -> Data:
    """Names of three languages, letter by letter `(N, length)` from 1, padded with 0."""
    source = random(401)
    y = torch.randint(3, (count,), generator=source)
    likely = torch.randn(3, letters, letters, generator=source).mul(1.3).softmax(2)
    x = torch.randint(letters, (count, 1), generator=source)
    for _ in range(length - 1):
        drawn = torch.multinomial(likely[y, x[:, -1]], 1, generator=source)
        x = torch.cat([x, drawn], 1)
    long = torch.randint(5, length + 1, (count, 1), generator=source)
    return split(torch.where(torch.arange(length) < long, x + 1, 0), y, "multiclass")


@cache
def raw_bikes(count: int = 1400) -> Data:
    """Hour, weekday, degrees, humidity, wind, holiday; and how many bikes were hired."""
    source = random(403)
    hour = torch.randint(24, (count,), generator=source).float()
    day = torch.randint(7, (count,), generator=source).float()
    degrees = 12 + 9 * torch.randn(count, generator=source)
    humidity = 30 + 70 * torch.rand(count, generator=source)
    wind = 30 * torch.rand(count, generator=source) ** 2
    holiday = (torch.rand(count, generator=source) < 0.05).float()
    free = ((day > 4) | (holiday > 0)).float()
    rush = torch.exp(-((hour - 8) ** 2) / 10) + torch.exp(-((hour - 18) ** 2) / 14)
    idle = torch.exp(-((hour - 13) ** 2) / 30)
    hired = 40 + 500 * ((1 - free) * rush + 0.7 * free * idle)
    hired = hired * torch.sigmoid((degrees - 5) / 6) * (1.2 - humidity / 200 - wind / 80)
    hired = (hired + 20 * torch.randn(count, generator=source)).clamp(min=0).round()
    x = torch.stack([hour, day, degrees, humidity, wind, holiday], 1)
    return split(x, hired[:, None], "regression")


@cache
def bikes() -> Data:
    return standardise_targets(standardise(raw_bikes()))


@cache
def raw_passengers(count: int = 1200) -> Data:
    """Class, sex, age, fare, family; did the passenger live, `(N, 1)`."""
    source = random(405)
    level = torch.multinomial(torch.tensor([0.25, 0.2, 0.55]), count, True, generator=source) + 1.0
    woman = (torch.rand(count, generator=source) < 0.4).float()
    age = (30 + 14 * torch.randn(count, generator=source)).clamp(1, 80)
    fare = 150 / level**2 * torch.exp(0.5 * torch.randn(count, generator=source))
    family = torch.poisson(torch.full((count,), 1.0), generator=source)
    sure = 2.6 * woman - 1.1 * (level - 2) + 2.0 * (age < 12).float() - 0.5 * (family - 1)
    sure = sure - 1.2 - 2.0 * woman * (level > 2).float()
    y = (torch.rand(count, generator=source) < torch.sigmoid(2 * sure)).float()[:, None]
    return split(torch.stack([level, woman, age, fare, family], 1), y, "binary")


@cache
def passengers() -> Data:
    return standardise(raw_passengers())


@cache
def xor(noise: float = 0.2, count: int = 600) -> Data:
    """Two bits, noisy, and whether they differ, `(N, 1)`."""
    source = random(407)
    bits = torch.randint(2, (count, 2), generator=source).float()
    y = (bits[:, :1] != bits[:, 1:]).float()
    return split(bits + noise * torch.randn(count, 2, generator=source), y, "binary")


@cache
def clocks(noise: float = 0.2, count: int = 900) -> Data:
    """Images `(N, 1, 12, 12)` of a clock's hand; the cosine and sine of its angle."""
    source = random(409)
    angle = 2 * math.pi * torch.rand(count, 1, 1, generator=source)
    axis = torch.arange(12.0) - 5.5
    down, right = axis[None, :, None], axis[None, None, :]
    along = angle.cos() * right + angle.sin() * down
    across = angle.cos() * down - angle.sin() * right
    hand = torch.exp(-(across**2)) * (along > -0.5) * (along < 5)
    x = hand[:, None] + noise * torch.randn(count, 1, 12, 12, generator=source)
    return split(x, torch.cat([angle.cos(), angle.sin()], 1)[..., 0], "regression")


@cache
def dots(noise: float = 0.15, count: int = 1000) -> Data:
    """Images `(N, 1, 12, 12)` with one to four bright dots; how many, less one."""
    source = random(411)
    y = torch.randint(4, (count,), generator=source)
    x = noise * torch.randn(count, 1, 12, 12, generator=source)
    for row, many in enumerate(y.tolist()):
        for cell in torch.randperm(16, generator=source)[: many + 1].tolist():
            top, left = 3 * (cell // 4), 3 * (cell % 4)
            x[row, 0, top : top + 2, left : left + 2] += 1
    return split(x, y, "multiclass")


@cache
def motions(length: int = 32, count: int = 900) -> Data:
    """Accelerations `(N, length, 3)` of someone who sits, walks, runs or climbs."""
    source = random(413)
    y = torch.randint(4, (count,), generator=source)
    rate = torch.tensor([0.3, 0.7, 1.2, 0.7])[y] * (1 + 0.1 * torch.randn(count, generator=source))
    height = torch.tensor([0.1, 0.8, 1.2, 0.8])[y]
    phase = 2 * math.pi * torch.rand(count, generator=source)
    beat = rate[:, None] * torch.arange(float(length)) + phase[:, None]
    lean = torch.where(y == 3, 0.5, 0.0)[:, None]
    x = torch.stack([height[:, None] * beat.sin(), lean + 0.4 * beat.cos(), beat.mul(2).sin()], 2)
    return split(x + 0.5 * torch.randn(count, length, 3, generator=source), y, "multiclass")


@cache
def chirps(noise: float = 0.5, count: int = 900) -> Data:
    """Sounds `(N, 1, 64)` whose pitch rises, falls or stays."""
    source = random(415)
    y = torch.randint(3, (count,), generator=source)
    slope = torch.tensor([0.9, -0.9, 0.0])[y][:, None]
    time = torch.linspace(-1, 1, 64)
    pitch = 0.8 + 0.15 * torch.randn(count, 1, generator=source)
    phase = 2 * math.pi * torch.rand(count, 1, generator=source)
    x = torch.sin(32 * (pitch * time + 0.35 * slope * time**2) + phase)
    x = x + noise * torch.randn(count, 64, generator=source)
    return split(x[:, None], y, "multiclass")


@cache
def additions(length: int = 8, count: int = 900) -> Data:
    """Two binary numbers, low bits first, `(N, length, 2)`; the bits of their sum."""
    source = random(417)
    x = torch.randint(2, (count, length, 2), generator=source)
    places = 2 ** torch.arange(length)
    total = (x * places[:, None]).sum((1, 2))
    return split(x.float(), (total[:, None] // places) % 2, "multiclass")


@cache
def cells(noise: float = 0.4, count: int = 400) -> Data:
    """Images `(N, 1, 16, 16)` of a few round cells; which pixels are theirs, of 0 and 1."""
    source = random(419)
    axis = torch.arange(16.0)
    y = torch.zeros(count, 16, 16)
    for _ in range(3):
        centre = 2 + 12 * torch.rand(count, 2, 1, 1, generator=source)
        radius = 1.2 + 1.8 * torch.rand(count, 1, 1, generator=source)
        far = (axis[:, None] - centre[:, 0]) ** 2 + (axis[None] - centre[:, 1]) ** 2
        y = torch.maximum(y, (far < radius**2).float())
    x = y + noise * torch.randn(count, 16, 16, generator=source)
    return split(x[:, None], y[:, None], "binary")


@cache
def demand(past: int = 24, ahead: int = 6, count: int = 900) -> Data:
    """What was used in each of the last hours `(N, past)` and will be in the next `ahead`."""
    source = random(421)
    start = torch.randint(24, (count, 1), generator=source)
    time = start + torch.arange(float(past + ahead))
    level = 0.7 * torch.randn(count, 1, generator=source)
    swing = 1 + 0.3 * torch.randn(count, 1, generator=source)
    use = level + swing * (torch.sin(time * math.pi / 12) + 0.5 * torch.sin(time * math.pi / 6))
    use = use + 0.25 * torch.randn(count, past + ahead, generator=source)
    return split(use[:, :past], use[:, past:], "regression")


@cache
def papers(count: int = 500) -> tuple[Data, Tensor, Tensor]:
    """Numbers of papers `(N, 1)` and their fields; the papers' words, and who cites whom."""
    source = random(423)
    y = torch.randint(4, (count,), generator=source)
    words = torch.randn(4, 16, generator=source)[y] + 2.5 * torch.randn(count, 16, generator=source)
    near = torch.where(y[:, None] == y[None], 0.05, 0.006)
    cites = (torch.rand(count, count, generator=source) < near).float().triu(1)
    cites = cites + cites.T + torch.eye(count)
    degree = cites.sum(1).rsqrt()
    data = split(torch.arange(count)[:, None], y, "multiclass")
    return data, words, degree[:, None] * cites * degree[None]


@cache
def digit_rows() -> Data:
    """Digits as eight rows of eight, one after another, `(N, 8, 8)`."""
    data = digit_images()
    return replace(data, x=data.x[:, 0], x_valid=data.x_valid[:, 0])


@cache
def parity() -> Data:
    """Digits as vectors; is the digit odd, `(N, 1)`."""
    data = digits()
    y, y_valid = ((part % 2).float()[:, None] for part in (data.y, data.y_valid))
    return replace(data, y=y, y_valid=y_valid, task="binary")


@cache
def halves() -> Data:
    """The upper half of a digit `(N, 32)`, and its lower half."""
    data = digits()
    x, y, x_valid, y_valid = (*data.x.split(32, 1), *data.x_valid.split(32, 1))
    return Data(x, y, x_valid, y_valid, "regression")


@cache
def turned() -> Data:
    """Digit images turned by quarters; by how many."""
    data = digit_images()
    source = random(425)
    parts: list[Tensor] = []
    for x in (data.x, data.x_valid):
        y = torch.randint(4, (len(x),), generator=source)
        x = torch.stack([one.rot90(int(many), (1, 2)) for one, many in zip(x, y, strict=True)])
        parts += [x, y]
    return Data(parts[0], parts[1], parts[2], parts[3], "multiclass")


@cache
def thermometers(count: int = 400) -> Data:
    """Degrees Celsius from −40 to 160 and Fahrenheit."""
    source = random(427)
    x = 200 * torch.rand(count, 1, generator=source) - 40
    y = 32 + 1.8 * x + 3 * torch.randn(count, 1, generator=source)
    return split(x, y, "regression")


@cache
def groups(count: int = 1200) -> Data:
    """Five round clouds in a plane, which touch."""
    x, y = datasets.make_blobs(count, 2, centers=5, cluster_std=1.6, random_state=17)[:2]
    return standardise(split(torch.tensor(x, dtype=torch.float32), torch.tensor(y), "multiclass"))


@cache
def alcohol() -> Data:
    """How strong a wine is, by its other twelve columns, all standardised."""
    data = standardise(raw_wine())
    return Data(
        data.x[:, 1:], data.x[:, :1], data.x_valid[:, 1:], data.x_valid[:, :1], "regression"
    )
