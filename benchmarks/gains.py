"""What do views at test time, averaged weights and smoothed labels each gain?

    python -m benchmarks.gains

Each is trained with the same seeds as the plain recipe, so that the gain is a difference within a
seed: initial weights, order and augmentation are the same on both sides.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import trainwell
from benchmarks.questions import find_data, take_first
from benchmarks.train_speed import name_processor
from trainwell import Dataset, Recipe
from trainwell.training.intervals import CONFIDENCE, student_interval

VIEWS = 6


@dataclass(frozen=True)
class Asked:
    """What is trained where the user does not say.

    Attributes:
        model: Of the catalogue, with its default recipe.
        images: Training images, the first of the data.
        tested: Test images, the first of the data.
        epochs: Of each training.
    """

    model: str
    images: int
    tested: int
    epochs: int


QUESTIONS = {
    "mnist": Asked("lenet5", images=10_000, tested=10_000, epochs=12),
    "cifar10": Asked("resnet20", images=2500, tested=2000, epochs=8),
}
TRAINED = {
    "averaged weights": {"average": "exponential(decay=0.995)"},
    "smoothed labels": {"label_smoothing": 0.1},
}
"""Fields of the recipe that change the training; views only look at what the plain one left."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    print(f"{name_processor()}, {torch.get_num_threads()} threads; torch {torch.__version__}")
    for name in options.questions or QUESTIONS:
        given = {"images": options.images, "tested": options.tested, "epochs": options.epochs}
        asked = dataclasses.replace(QUESTIONS[name], **{k: v for k, v in given.items() if v})
        data = cut_down(trainwell.load(find_data(name)), asked)
        print(
            f"\n{name}, {asked.model}: {len(data.train):,} training and "
            f"{len(data.split('test')):,} test images, {asked.epochs} epochs, "
            f"{options.seeds} seeds",
            flush=True,
        )
        print(format_table(measure(data, asked, range(options.seeds))), flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gains", description="Points of test accuracy gained.")
    add = parser.add_argument
    add("--question", dest="questions", choices=QUESTIONS, action="append", help="default: all")
    add("--images", type=int, metavar="N", help="training images")
    add("--tested", type=int, metavar="N", help="test images")
    add("--epochs", type=int, metavar="N", help="of each training")
    add("--seeds", type=int, default=5, metavar="N", help="trainings of each; default 5")
    return parser.parse_args(arguments)


def cut_down(data: Dataset, asked: Asked) -> Dataset:
    """The first training and test images; validation stays whole, as its loss picks averages."""
    train, test = take_first(data.train, asked.images), take_first(data.split("test"), asked.tested)
    return dataclasses.replace(data, train=train, test=test)


def measure(data: Dataset, asked: Asked, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Test accuracy in per cent with each seed: plain, and with each of what may help."""
    scores: dict[str, list[float]] = {}
    for seed in seeds:
        found = train_all(data, asked, seed)
        print(f"seed {seed}: {found}", file=sys.stderr, flush=True)
        for name, score in found.items():
            scores.setdefault(name, []).append(score)
    return scores


def train_all(data: Dataset, asked: Asked, seed: int) -> dict[str, float]:
    recipe = Recipe(epochs=asked.epochs, seed=seed, check=False, watch=False)
    with tempfile.TemporaryDirectory() as folder:
        plain = trainwell.fit(asked.model, data, recipe, out=Path(folder) / "plain")
        found = {"plain": plain.metrics["test_accuracy"]}
        found[f"{VIEWS} views"] = plain.evaluate("test", views=VIEWS)["test_accuracy"]
        for name, fields in TRAINED.items():
            out = Path(folder) / name.replace(" ", "-")
            run = trainwell.fit(asked.model, data, recipe.replace(**fields), out=out)
            found[name] = run.metrics["test_accuracy"]
    return {name: round(100 * score, 3) for name, score in found.items()}


def format_table(scores: dict[str, list[float]]) -> str:
    """Means over seeds, and the mean gain in points with its interval (Student 1908)."""
    rows = [
        f"| | test accuracy, mean | gain in points | {CONFIDENCE:.0%} interval | shown |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    plain = scores["plain"]
    for name, reached in scores.items():
        mean = f"| {name} | {statistics.fmean(reached):.2f} % |"
        if name == "plain":
            rows.append(f"{mean} | | |")
            continue
        gains = [a - b for a, b in zip(reached, plain, strict=True)]
        low, high = student_interval(gains)
        gained = f"{statistics.fmean(gains):+.2f} | {low:+.2f} to {high:+.2f}"
        rows.append(f"{mean} {gained} | {judge(low, high)} |")
    return "\n".join(rows)


def judge(low: float, high: float) -> str:
    """What an interval of the gain shows."""
    if low > 0:
        return "helps"
    return "harms" if high < 0 else "neither"


if __name__ == "__main__":
    main()
