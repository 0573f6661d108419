"""Data sets that need no download: scikit-learn's, and seeded synthetic ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from trainwell.data.raw import Column, RawData
from trainwell.data.seeding import derive_seed
from trainwell.data.targets import encode_targets

SYNTHETIC_SEED = 0


def digits() -> RawData:
    """1,797 handwritten digits, `(1, 8, 8)`, values 0 to 16 (Alpaydin & Kaynak 1998)."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    images = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    targets = encode_targets(bunch.target, "multiclass", where="digits")
    return RawData("image", images, targets.values, targets.classes, targets.task)


def iris() -> RawData:
    """150 flowers, 4 measurements in cm, 3 species (Fisher 1936)."""
    from sklearn.datasets import load_iris

    return _from_bunch(load_iris())


def wine() -> RawData:
    """178 wines, 13 measurements, 3 growers (Forina 1991)."""
    from sklearn.datasets import load_wine

    return _from_bunch(load_wine())


def breast_cancer() -> RawData:
    """569 tumours, 30 measurements, malignant or benign (Street, Wolberg & Mangasarian 1993)."""
    from sklearn.datasets import load_breast_cancer

    return _from_bunch(load_breast_cancer())


def diabetes() -> RawData:
    """442 patients, 10 measurements, progression after a year (Efron et al. 2004)."""
    from sklearn.datasets import load_diabetes

    bunch: Any = load_diabetes(scaled=False)
    columns = tuple(Column(name, "number") for name in bunch.feature_names)
    targets = torch.from_numpy(bunch.target).float()
    inputs = torch.from_numpy(bunch.data).double()
    return RawData("vector", inputs, targets, (), "regression", columns)


def blobs() -> RawData:
    """1,500 points around three centres in the plane."""
    generator = _generator("blobs")
    centres = torch.tensor([[-3.0, -1.0], [0.0, 3.0], [3.0, -1.0]])
    numbers = torch.arange(1500) % 3
    points = centres[numbers] + torch.randn(1500, 2, generator=generator)
    return _points(points, numbers)


def moons() -> RawData:
    """1,000 points on two interleaved half circles, with noise 0.1."""
    generator = _generator("moons")
    numbers = torch.arange(1000) % 2
    angle = torch.rand(1000, generator=generator) * math.pi
    sign = 1.0 - 2.0 * numbers
    points = torch.stack([angle.cos() * sign + numbers, angle.sin() * sign + 0.5 * numbers], 1)
    return _points(points + 0.1 * torch.randn(1000, 2, generator=generator), numbers)


def spirals() -> RawData:
    """1,500 points on three arms of a spiral, with noise."""
    generator = _generator("spirals")
    numbers = torch.arange(1500) % 3
    radius = torch.rand(1500, generator=generator).sqrt()
    angle = 4.0 * radius + numbers * (2 * math.pi / 3)
    angle = angle + 0.15 * torch.randn(1500, generator=generator)
    return _points(torch.stack([radius * angle.cos(), radius * angle.sin()], 1), numbers)


def waves() -> RawData:
    """1,200 sequences of 64 samples `(64, 1)`: sine, square or saw-tooth, any phase, noise 0.1."""
    generator = _generator("waves")
    numbers = torch.arange(1200) % 3
    frequency = 2.0 + 2.0 * torch.rand(1200, 1, generator=generator)
    phase = torch.rand(1200, 1, generator=generator)
    turn = (frequency * torch.linspace(0, 1, 64) + phase).remainder(1.0)
    sine = (2 * math.pi * turn).sin()
    shapes = torch.stack([sine, sine.sign(), 2 * turn - 1])
    values = shapes[numbers, torch.arange(1200)]
    values = values + 0.1 * torch.randn(1200, 64, generator=generator)
    classes = ("sine", "square", "saw")
    return RawData("sequence", values.unsqueeze(2), numbers, classes, "multiclass")


def line() -> RawData:
    """500 points near y = 3x + 2, with noise 0.5; a regression."""
    generator = _generator("line")
    x = 4.0 * torch.rand(500, 1, generator=generator, dtype=torch.float64) - 2.0
    noise = 0.5 * torch.randn(500, generator=generator)
    targets = (3.0 * x[:, 0] + 2.0).float() + noise
    return RawData("vector", x, targets, (), "regression", (Column("x", "number"),))


def series() -> RawData:
    """1,000 noisy waves of two periods, 64 values `(64, 1)` known and the next 8 to forecast."""
    generator = _generator("series")
    time = torch.arange(72.0)
    slow, fast = (torch.rand(2, 1000, 1, generator=generator) * 2 * math.pi).unbind()
    period = 12.0 + 8.0 * torch.rand(1000, 1, generator=generator)
    values = (2 * math.pi * time / period + slow).sin() + 0.5 * (time / 2 + fast).sin()
    values = values + 0.1 * torch.randn(1000, 72, generator=generator)
    return RawData("sequence", values[:, :64].unsqueeze(2), values[:, 64:], (), "regression")


def two_blobs() -> RawData:
    """2,000 points around two centres in 100 dimensions, deviation 1."""
    generator = _generator("two-blobs")
    centres = 20.0 * torch.rand(2, 100, generator=generator) - 10.0
    numbers = torch.arange(2000) % 2
    points = centres[numbers] + torch.randn(2000, 100, generator=generator)
    columns = tuple(Column(f"x{i}", "number") for i in range(100))
    return RawData("vector", points, numbers, ("0", "1"), "binary", columns)


def patterns() -> RawData:
    """400 copies `(1, 8, 8)` of five random patterns of black and white, a tenth turned over."""
    generator = _generator("patterns")
    originals = torch.rand(5, 1, 8, 8, generator=generator) < 0.5
    numbers = torch.arange(400) % 5
    turned = torch.rand(400, 1, 8, 8, generator=generator) < 0.1
    images = (originals[numbers] ^ turned).to(torch.uint8) * 255
    return RawData("image", images, numbers, tuple("abcde"), "multiclass")


def shapes() -> RawData:
    """400 pictures `(3, 96, 96)`: a disc, square, triangle or cross, any colour, place and size."""
    generator = _generator("shapes")
    numbers = torch.arange(400) % 4
    size = 12.0 + 20.0 * torch.rand(400, 1, 1, generator=generator)
    centre = size + (96 - 2 * size) * torch.rand(400, 2, 1, generator=generator)
    along = torch.arange(96.0)
    x = (along - centre[:, :1]) / size
    y = ((along - centre[:, 1:]) / size).transpose(1, 2)
    kinds = (
        x.square() + y.square() <= 1,
        (x.abs() <= 0.8) & (y.abs() <= 0.8),
        (y <= 0.8) & (2 * x.abs() - y <= 0.9),
        ((x.abs() <= 0.25) & (y.abs() <= 1)) | ((y.abs() <= 0.25) & (x.abs() <= 1)),
    )
    inside = torch.stack([k.expand(400, 96, 96) for k in kinds])[numbers, torch.arange(400)]
    colour = 80 + 175 * torch.rand(400, 3, 1, 1, generator=generator)
    back = 60 * torch.rand(400, 3, 96, 96, generator=generator)
    images = torch.where(inside.unsqueeze(1), colour, back).to(torch.uint8)
    classes = ("disc", "square", "triangle", "cross")
    return RawData("image", images, numbers, classes, "multiclass")


EMBEDDED: dict[str, Callable[[], RawData]] = {
    "digits": digits,
    "iris": iris,
    "wine": wine,
    "breast-cancer": breast_cancer,
    "diabetes": diabetes,
    "blobs": blobs,
    "moons": moons,
    "spirals": spirals,
    "waves": waves,
    "line": line,
    "series": series,
    "two-blobs": two_blobs,
    "patterns": patterns,
    "shapes": shapes,
}


def _generator(name: str) -> Generator:
    return Generator().manual_seed(derive_seed(SYNTHETIC_SEED, name))


def _points(points: Tensor, numbers: Tensor) -> RawData:
    classes = tuple(str(n) for n in range(int(numbers.max()) + 1))
    task = "binary" if len(classes) == 2 else "multiclass"
    columns = (Column("x", "number"), Column("y", "number"))
    return RawData("vector", points.double(), numbers, classes, task, columns)


def _from_bunch(bunch: Any) -> RawData:
    inputs = torch.from_numpy(bunch.data).double()
    numbers = torch.from_numpy(bunch.target).long()
    classes = tuple(str(name) for name in bunch.target_names)
    columns = tuple(Column(str(name), "number") for name in bunch.feature_names)
    task = "binary" if len(classes) == 2 else "multiclass"
    return RawData("vector", inputs, numbers, classes, task, columns)
