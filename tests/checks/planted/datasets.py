"""The data of the programs: scikit-learn's sets and seeded synthetic ones, split at random."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Splits:
    """Training and validation examples, each `(inputs, targets)`."""

    train: Pair
    valid: Pair

    def map_inputs(self, change: Callable[[Tensor], Tensor]) -> Splits:
        """The same with all inputs changed."""
        (x, y), (xv, yv) = self.train, self.valid
        return Splits((change(x), y), (change(xv), yv))

    def map_targets(self, change: Callable[[Tensor], Tensor]) -> Splits:
        """The same with all targets changed."""
        (x, y), (xv, yv) = self.train, self.valid
        return Splits((x, change(y)), (xv, change(yv)))


def rng(seed: int = 0) -> Generator:
    """Random numbers of their own."""
    return Generator().manual_seed(seed)


def split(inputs: Tensor, targets: Tensor, seed: int = 0) -> Splits:
    """Four fifths to train on and one to validate, drawn at random."""
    order = torch.randperm(len(inputs), generator=rng(seed))
    cut = len(inputs) * 4 // 5
    first, rest = order[:cut], order[cut:]
    return Splits((inputs[first], targets[first]), (inputs[rest], targets[rest]))


def standardise(splits: Splits) -> Splits:
    """Each column with the training split's mean and deviation."""
    x = splits.train[0]
    mean, deviation = x.mean(0), x.std(0)
    deviation[deviation == 0] = 1
    return splits.map_inputs(lambda values: (values - mean) / deviation)


def standardise_values(splits: Splits) -> Splits:
    """All values with one mean and one deviation, as for pictures."""
    mean, deviation = splits.train[0].mean(), splits.train[0].std()
    return splits.map_inputs(lambda values: (values - mean) / deviation)


def standardise_targets(splits: Splits) -> Splits:
    """Targets with the training split's mean and deviation."""
    mean, deviation = splits.train[1].mean(0), splits.train[1].std(0)
    return splits.map_targets(lambda values: (values - mean) / deviation)


def wine() -> Splits:
    """178 wines, 13 measurements as measured, 3 growers."""
    from sklearn.datasets import load_wine

    return _from_sklearn(load_wine(), torch.long)


def iris() -> Splits:
    """150 flowers, 4 measurements in cm, 3 species."""
    from sklearn.datasets import load_iris

    return _from_sklearn(load_iris(), torch.long)


def tumours() -> Splits:
    """569 tumours, 30 measurements as measured, 2 classes as floats `(N, 1)`."""
    from sklearn.datasets import load_breast_cancer

    return _from_sklearn(load_breast_cancer(), torch.float).map_targets(lambda y: y.unsqueeze(1))


def diabetes() -> Splits:
    """442 patients, 10 measurements as measured, progression after a year `(N, 1)`."""
    from sklearn.datasets import load_diabetes

    patients = _from_sklearn(load_diabetes(scaled=False), torch.float)
    return patients.map_targets(lambda y: y.unsqueeze(1))


def digits() -> Splits:
    """1,797 pictures `(1, 8, 8)` of values 0 to 16, 10 classes."""
    from sklearn.datasets import load_digits

    return _from_sklearn(load_digits(), torch.long).map_inputs(lambda x: x.view(-1, 1, 8, 8))


def digit_rows() -> Splits:
    """The same pictures as rows `(64,)`, standardised with one mean and deviation."""
    return standardise_values(digits().map_inputs(lambda x: x.flatten(1)))


def digit_pictures() -> Splits:
    """The same pictures `(1, 8, 8)`, standardised with one mean and deviation."""
    return standardise_values(digits())


def _from_sklearn(bunch: Any, kind: torch.dtype) -> Splits:
    inputs = torch.tensor(bunch.data, dtype=torch.float32)
    return split(inputs, torch.tensor(bunch.target, dtype=kind))


def customers(count: int = 2000, positive: float = 0.5, seed: int = 1) -> Splits:
    """Customers with 12 standardised columns who leave or stay, as floats `(N, 1)`."""
    inputs = torch.randn(count, 12, generator=rng(seed))
    weights = torch.tensor([1.5, -1.0, 0.8, 0.6, 0, 0, 0.5, 0, 0, 0, -0.7, 0])
    score = inputs @ weights + inputs[:, 0] * inputs[:, 3]
    score = score + 0.7 * torch.randn(count, generator=rng(seed + 1))
    threshold = score.quantile(1 - positive)
    return split(inputs, (score > threshold).float().unsqueeze(1), seed)


def segments(count: int = 2500, seed: int = 2) -> Splits:
    """Points around 5 centres in 16 dimensions that overlap a little, 5 classes."""
    centres = 1.2 * torch.randn(5, 16, generator=rng(seed))
    numbers = torch.randint(0, 5, (count,), generator=rng(seed + 1))
    inputs = centres[numbers] + torch.randn(count, 16, generator=rng(seed + 2))
    return standardise(split(inputs, numbers, seed))


def houses(count: int = 1500, seed: int = 3) -> Splits:
    """Houses: area, rooms, age, distance, floor, garden; price in thousands `(N, 1)`."""
    noise = torch.rand(count, 6, generator=rng(seed))
    area = 30 + 220 * noise[:, 0].square()
    rooms = (area / 30 + 2 * noise[:, 1]).round()
    age, distance = 100 * noise[:, 2], 30 * noise[:, 3]
    floor, garden = (8 * noise[:, 4]).floor(), 400 * (noise[:, 5] - 0.5).clamp(min=0)
    price = 2.2 * area + 12 * rooms - 0.8 * age - 4 * distance + 0.15 * garden + 120
    price = price + 20 * torch.randn(count, generator=rng(seed + 1))
    inputs = torch.stack([area, rooms, age, distance, floor, garden], 1)
    return split(inputs, price.unsqueeze(1), seed)


def standard_houses() -> Splits:
    """Houses with inputs and prices standardised."""
    return standardise_targets(standardise(houses()))


def curve(count: int = 800, seed: int = 4) -> Splits:
    """A noisy sine over one input, targets `(N, 1)` within about ±1.5."""
    x = 6 * torch.rand(count, 1, generator=rng(seed)) - 3
    noise = 0.1 * torch.randn(count, 1, generator=rng(seed + 1))
    return split(x / 1.73, 1.4 * (1.5 * x).sin() + noise, seed)


def moons(count: int = 1000, seed: int = 5) -> Splits:
    """Two interleaved half circles, class numbers."""
    from sklearn.datasets import make_moons

    points, numbers = make_moons(count, noise=0.15, random_state=seed)
    return standardise(split(torch.tensor(points).float(), torch.tensor(numbers), seed))


def waves(count: int = 1500, length: int = 32, seed: int = 6) -> Splits:
    """Sequences `(T, 1)`: sine, square or saw-tooth, any phase, 3 classes."""
    numbers = torch.randint(0, 3, (count,), generator=rng(seed))
    phase, pace = torch.rand(2, count, 1, generator=rng(seed + 1)).unbind()
    turn = ((1.5 + pace) * torch.linspace(0, 1, length) + phase).remainder(1.0)
    sine = (2 * math.pi * turn).sin()
    kinds = torch.stack([1.4 * sine, sine.sign(), 1.7 * (2 * turn - 1)])
    values = kinds[numbers, torch.arange(count)]
    values = values + 0.1 * torch.randn(count, length, generator=rng(seed + 2))
    return split(values.unsqueeze(2), numbers, seed)


def trends(count: int = 1200, length: int = 24, seed: int = 7) -> Splits:
    """Noisy sequences `(T, 1)` that rise or fall, class numbers."""
    numbers = torch.randint(0, 2, (count,), generator=rng(seed))
    slope = (2.0 * numbers - 1) * (0.5 + torch.rand(count, generator=rng(seed + 1)))
    values = slope.unsqueeze(1) * torch.linspace(-1.5, 1.5, length)
    values = values + 0.3 * torch.randn(count, length, generator=rng(seed + 2))
    return split(values.unsqueeze(2), numbers, seed)


def forecasts(count: int = 1200, length: int = 24, seed: int = 8) -> Splits:
    """Noisy waves `(T, 1)` and their next value `(N, 1)`."""
    phase, pace = torch.rand(2, count, 1, generator=rng(seed)).unbind()
    turn = (2 + 2 * pace) * torch.linspace(0, 1, length + 1) + phase
    values = 1.4 * (2 * math.pi * turn).sin()
    values = values + 0.1 * torch.randn(count, length + 1, generator=rng(seed + 1))
    return split(values[:, :-1].unsqueeze(2), values[:, -1:], seed)


WORDS = 200


def reviews(count: int = 2000, length: int = 20, seed: int = 9) -> Splits:
    """Texts of 20 word numbers below 200, of which a few tell the topic; 4 classes."""
    numbers = torch.randint(0, 4, (count,), generator=rng(seed))
    words = torch.randint(40, WORDS, (count, length), generator=rng(seed + 1))
    topical = 10 * numbers.unsqueeze(1) + torch.randint(
        0, 10, (count, length), generator=rng(seed + 2)
    )
    is_topical = torch.rand(count, length, generator=rng(seed + 3)) < 0.25
    return split(torch.where(is_topical, topical, words), numbers, seed)


def stripes(count: int = 1500, size: int = 16, seed: int = 10) -> Splits:
    """Colour pictures `(3, 16, 16)` in bytes: stripes across, down, two diagonals; 4 classes."""
    numbers = torch.randint(0, 4, (count,), generator=rng(seed))
    angle = (numbers * math.pi / 4).view(-1, 1, 1)
    angle = angle + 0.15 * torch.randn(count, 1, 1, generator=rng(seed + 1))
    phase, width = torch.rand(2, count, 1, 1, generator=rng(seed + 2)).unbind()
    along = torch.arange(size, dtype=torch.float32)
    place = along.view(1, 1, -1) * angle.cos() + along.view(1, -1, 1) * angle.sin()
    stripe = (2 * math.pi * (place / (4 + 3 * width) + phase)).sin().unsqueeze(1)
    colour = 0.3 + 0.7 * torch.rand(count, 3, 1, 1, generator=rng(seed + 3))
    values = 128 + 90 * stripe * colour
    values = values + 15 * torch.randn(count, 3, size, size, generator=rng(seed + 4))
    return split(values.clamp(0, 255).to(torch.uint8), numbers, seed)


def standard_stripes() -> Splits:
    """The stripes as floats, standardised with one mean and deviation."""
    return standardise_values(stripes().map_inputs(Tensor.float))


def lamps(count: int = 1000, size: int = 12, seed: int = 11) -> Splits:
    """Colour pictures `(3, 12, 12)` of a red, green or blue lamp in the dark; 3 classes."""
    numbers = torch.randint(0, 3, (count,), generator=rng(seed))
    centre = 3 + 6 * torch.rand(count, 2, 1, 1, generator=rng(seed + 1))
    along = torch.arange(size, dtype=torch.float32)
    distance = (along.view(1, 1, -1) - centre[:, 0]) ** 2 + (
        along.view(1, -1, 1) - centre[:, 1]
    ) ** 2
    light = torch.exp(-distance / 8).unsqueeze(1)
    colour = torch.nn.functional.one_hot(numbers, 3).float().view(-1, 3, 1, 1)
    values = light * colour + 0.1 * torch.randn(count, 3, size, size, generator=rng(seed + 2))
    return standardise_values(split(values, numbers, seed))
