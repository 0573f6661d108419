"""How long does an epoch take, against a hand-written loop and other libraries?

    python -m benchmarks.train_speed

All contenders train in one process, one epoch of each in turn.
"""

from __future__ import annotations

import argparse
import platform
import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from benchmarks.contenders import CONTENDERS, LOOP, find_contender
from benchmarks.questions import Question, ask_cifar10, ask_mnist
from benchmarks.turns import Turn, take_turns

TIMING_IMAGES = 2560
"""CIFAR-10 images that show a ResNet's speed; all of them take minutes an epoch."""


@dataclass(frozen=True)
class Asked:
    """A question and how much of it is asked where the user does not say."""

    ask: Callable[[int, int, int | None], Question]
    epochs: int
    images: int | None


QUESTIONS = {
    "mnist": Asked(ask_mnist, epochs=5, images=None),
    "cifar10": Asked(ask_cifar10, epochs=3, images=TIMING_IMAGES),
}


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    print(describe_machine())
    for name in options.questions or QUESTIONS:
        asked = QUESTIONS[name]
        images = None if options.full else options.images or asked.images
        question = asked.ask(options.epochs or asked.epochs, options.seed, images)
        measure(question, options.contenders or list(CONTENDERS))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train_speed", description="Seconds an epoch.")
    add = parser.add_argument
    add("--question", dest="questions", choices=QUESTIONS, action="append", help="default: all")
    add("--contender", dest="contenders", choices=CONTENDERS, action="append", help="default: all")
    add("--epochs", type=int, metavar="N", help="rounds, in which each contender trains an epoch")
    add("--images", type=int, metavar="N", help="training images that are kept")
    add("--full", action="store_true", help="keep all training images of every question")
    add("--seed", type=int, default=0, metavar="N", help="of initial weights and order")
    return parser.parse_args(arguments)


def measure(question: Question, names: Sequence[str]) -> None:
    """Trains all contenders in turn and prints their table."""
    sizes = " + ".join(f"{len(part.targets):,}" for part in (question.train, question.valid))
    print(
        f"\n{question.title}: {sizes} images (training + validation), batch {question.batch_size}, "
        f"{question.epochs} epochs, seed {question.seed}",
        flush=True,
    )
    trainings = {name: partial(find_contender(name), question) for name in names}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        try:
            turns, predicted = take_turns(trainings, log, tell_epoch)
        except BaseException:
            show_end_of(log)
            raise
    print(format_table(turns, predicted, question.test.targets), flush=True)
    for name, turn in turns.items():
        if turn.note:
            print(f"{name}: {turn.note}", flush=True)


def tell_epoch(name: str, turn: Turn) -> None:
    seconds = turn.epoch[-1]
    print(f"  epoch {len(turn.epoch)}  {name}: {seconds:.2f} s", file=sys.stderr, flush=True)


def show_end_of(log: IO[str], lines: int = 30) -> None:
    """What the contenders printed last, where one of them failed."""
    log.seek(0)
    print(*log.read().splitlines()[-lines:], sep="\n", file=sys.stderr)


def format_table(turns: dict[str, Turn], predicted: dict[str, Tensor], targets: Tensor) -> str:
    """One row a contender: medians over epochs, and medians of the ratio to the loop."""
    rows = [
        "| contender | training s | × loop | epoch s | × loop | test accuracy |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    loop = turns.get(LOOP)
    for name, turn in turns.items():
        cells = [name]
        for times, times_of_loop in (
            (turn.training, loop and loop.training),
            (turn.epoch, loop and loop.epoch),
        ):
            cells.append(f"{statistics.median(times):.2f}")
            cells.append(f"{compare(times, times_of_loop):.2f}" if times_of_loop else "")
        cells.append(f"{(predicted[name] == targets).float().mean().item():.2%}")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def compare(times: Sequence[float], others: Sequence[float]) -> float:
    """Median over the rounds of the ratio within each round, in which the machine was the same."""
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


def describe_machine() -> str:
    """Processor, threads and versions."""
    packages = ("trainwell", "torch", "lightning", "skorch", "keras")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{name_processor()} ({capability}), {torch.get_num_threads()} threads; {versions}"


def name_processor() -> str:
    """As Linux names it, else as Python does."""
    facts = Path("/proc/cpuinfo")
    text = facts.read_text() if facts.exists() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
