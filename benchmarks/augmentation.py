"""What share of a training step does each augmentation take?

    python -m benchmarks.augmentation

The step is that of ResNet-20 on a batch of 128 images of 3 × 32 × 32.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

import trainwell
from benchmarks.train_speed import name_processor
from trainwell.data.augment import AUGMENTATIONS, compose
from trainwell.data.batches import Batch, mix
from trainwell.data.draw import Draw
from trainwell.models.catalogue import spec_of
from trainwell.training.defaults import complete_recipe
from trainwell.training.fitting import prepare
from trainwell.training.session import build_step

BATCH = 128
REPEATS = 5
"""Of each augmentation in a round, of which the median counts: one alone is too short to time."""
GOAL = 0.10
"""Share of the step that the usual augmentation of CIFAR-10 may take at most."""
USUAL = ("flip", "crop")
TOGETHER = (USUAL, ("alternating_flip", "crop", "cutout"), ("rotate", "scale"))
"""Several at once, beside each alone."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="augmentation", description="Shares of a training step.")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="default 15")
    rounds = parser.parse_args(arguments).rounds
    torch.manual_seed(0)
    images, targets = torch.randn(BATCH, 3, 32, 32), torch.arange(BATCH) % 10
    tasks = list_tasks(images, targets)
    step = build_training_step(images, targets)
    steps, seconds = measure(step, tasks, rounds)
    print(f"{name_processor()}, {torch.get_num_threads()} threads; torch {torch.__version__}")
    print(f"step: {1000 * statistics.median(steps):.1f} ms, median of {rounds} rounds\n")
    print(format_table(steps, seconds))


def list_tasks(images: Tensor, targets: Tensor) -> dict[str, Callable[[], object]]:
    """Each augmentation of the batch by what a recipe calls it."""
    chosen = [*TOGETHER, *((name,) for name in AUGMENTATIONS)]
    tasks: dict[str, Callable[[], object]] = {
        ", ".join(texts): build_augmentation(texts, images) for texts in chosen
    }
    batch = Batch(images, targets)
    tasks["mixup=0.2"] = lambda: mix(batch, 0.2, seed=0)
    return tasks


def build_augmentation(texts: Sequence[str], images: Tensor) -> Callable[[], Tensor]:
    augment = compose(texts)
    assert augment is not None
    draw = Draw(Generator().manual_seed(0), epoch=0, positions=torch.arange(BATCH))
    return lambda: augment(images, draw)


def build_training_step(images: Tensor, targets: Tensor) -> Callable[[], None]:
    """An update of ResNet-20, in the precision and layout that a run on this machine has."""
    examples = images.permute(0, 2, 3, 1).numpy(), targets.numpy()
    data = trainwell.load(examples)
    model = trainwell.models.create("resnet20", data)
    given = trainwell.Recipe(batch_size=BATCH, schedule="constant", epochs=1)
    recipe = complete_recipe(given, data, spec_of(model))
    setting = prepare(model, data, recipe, None)
    step = build_step(setting, 1, None)
    batch = Batch(images, targets).lay_out(setting.resolved.layout)
    model.train()
    return lambda: step.plain(batch, 0)


def measure(
    step: Callable[[], object], tasks: dict[str, Callable[[], object]], rounds: int
) -> tuple[list[float], dict[str, list[float]]]:
    """Seconds of the step and of each task in each round; a first round warms up."""
    steps: list[float] = []
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds + 1):
        steps.append(clock(step))
        for name, task in tasks.items():
            seconds[name].append(statistics.median(clock(task) for _ in range(REPEATS)))
    return steps[1:], {name: times[1:] for name, times in seconds.items()}


def clock(task: Callable[[], object]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


def format_table(steps: list[float], seconds: dict[str, list[float]]) -> str:
    """Medians over the rounds, of the time and of its share of the step in the same round."""
    rows = ["| augmentation | ms | share of the step |", "| --- | ---: | ---: |"]
    for name, times in seconds.items():
        share = statistics.median(a / b for a, b in zip(times, steps, strict=True))
        over = " (above the goal)" if name == ", ".join(USUAL) and share > GOAL else ""
        rows.append(f"| {name} | {1000 * statistics.median(times):.2f} | {share:.1%}{over} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
