"""What does watching cost a training?

    python -m benchmarks.watching

Two hand-written loops with the same model, data and order train in turn, one of them watched with
the default budget.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

import trainwell as tw
from benchmarks.questions import Examples, ask_cifar10, ask_mnist
from benchmarks.train_speed import name_processor
from trainwell.watching.watcher import Watcher

BATCH = 128
GOAL = 1.03
"""Largest median ratio."""


@dataclass(frozen=True)
class Task:
    """One training.

    Attributes:
        title: For people.
        train: Inputs as the model takes them, with class numbers.
        valid: Likewise.
        build_model: Draws its weights.
        learning_rate: Of SGD with a momentum of 0.9.
    """

    title: str
    train: Examples
    valid: Examples
    build_model: Callable[[], nn.Module]
    learning_rate: float


class RowReader(nn.Module):
    """An LSTM that reads an image row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.head = nn.LSTM(28, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0][:, -1])


def list_tasks(images: int) -> Iterator[Task]:
    """The MLP and the LSTM on MNIST, ResNet-20 on CIFAR-10."""
    mnist, cifar10 = ask_mnist(1, 0, images), ask_cifar10(1, 0, images)
    rows = [Examples(part.inputs.squeeze(1), part.targets) for part in (mnist.train, mnist.valid)]
    yield Task(mnist.title, mnist.train, mnist.valid, mnist.build_model, 0.05)
    yield Task("MNIST by rows, LSTM of 128", rows[0], rows[1], RowReader, 0.05)
    yield Task(cifar10.title, cifar10.train, cifar10.valid, cifar10.build_model, 0.05)


@dataclass
class Loop:
    """A training that stands still between two rounds.

    Attributes:
        task: What is trained.
        watched: Whether `tw.watch` is told of everything.
    """

    task: Task
    watched: bool
    model: nn.Module = field(init=False)
    watcher: Watcher | None = field(default=None, init=False)
    _batches: Iterator[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        task = self.task
        self.model = task.build_model()
        self.optimizer = torch.optim.SGD(self.model.parameters(), task.learning_rate, momentum=0.9)
        self._batches = draw_batches(len(task.train.targets))
        if self.watched:
            train, valid = ((part.inputs, part.targets) for part in (task.train, task.valid))
            given = {"loss_fn": functional.cross_entropy, "train": train, "valid": valid}
            self.watcher = tw.watch(self.model, self.optimizer, task="multiclass", **given)

    def run(self, seconds: float) -> int:
        """Trains for so long; returns the number of updates."""
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            self.update()
            count += 1
        return count

    def clock(self, updates: int) -> float:
        """Seconds of so many updates."""
        began = time.perf_counter()
        for _ in range(updates):
            self.update()
        return time.perf_counter() - began

    def update(self) -> None:
        rows = next(self._batches)
        xb, yb = self.task.train.inputs[rows], self.task.train.targets[rows]
        self.optimizer.zero_grad()
        outputs = self.model(xb)
        loss = functional.cross_entropy(outputs, yb)
        loss.backward()
        self.optimizer.step()
        if self.watcher is not None:
            self.watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)


def draw_batches(count: int) -> Iterator[Tensor]:
    """Rows of batches, anew in each epoch, the same in every loop."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield from torch.randperm(count, generator=generator)[: count // BATCH * BATCH].split(BATCH)


@dataclass(frozen=True)
class Cost:
    """Of one task.

    Attributes:
        plain: Seconds of each round without the watcher.
        watched: Seconds of the same updates with it.
        own: What the watcher says that it cost, as a share.
        findings: Codes of what it found.
    """

    plain: list[float]
    watched: list[float]
    own: float
    findings: list[str]

    @property
    def median(self) -> float:
        """Of the ratios within a round."""
        return statistics.median(b / a for a, b in zip(self.plain, self.watched, strict=True))

    @property
    def total(self) -> float:
        """The ratio of all time, the closer look at the start with it."""
        return sum(self.watched) / sum(self.plain)


def measure(task: Task, rounds: int, seconds: float) -> Cost:
    """Trains both in turn; another one goes first in each round."""
    updates = max(8, Loop(task, watched=False).run(seconds))
    loops = [Loop(task, watched=False), Loop(task, watched=True)]
    times: list[list[float]] = [[], []]
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            times[which].append(loops[which].clock(updates))
    watcher = loops[1].watcher
    assert watcher is not None
    own, findings = watcher.overhead, [finding.code for finding in watcher.findings()]
    return Cost(times[0], times[1], own, findings)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="watching", description="What watching costs.")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="default 15")
    parser.add_argument("--seconds", type=float, default=2, help="of a round, about; default 2")
    parser.add_argument("--images", type=int, default=10_000, help="of each set; default 10000")
    options = parser.parse_args(arguments)
    print(f"{name_processor()}, {torch.get_num_threads()} threads; torch {torch.__version__}")
    print(f"{options.rounds} rounds of about {options.seconds:g} s\n")
    print("| training | median ratio | of all time | by its own account | found |")
    print("| --- | ---: | ---: | ---: | --- |")
    for task in list_tasks(options.images):
        cost = measure(task, options.rounds, options.seconds)
        over = " (above the goal)" if cost.median > GOAL else ""
        found = ", ".join(cost.findings) or "none"
        row = f"{cost.median:.3f}{over} | {cost.total:.3f} | {cost.own:.1%} | {found} |"
        print(f"| {task.title} | {row}", flush=True)


if __name__ == "__main__":
    main()
