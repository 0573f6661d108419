"""What does watching cost a training?

    python -m benchmarks.watching

Hand-written loops with the same model, data and order train in turn, one of them watched with the
default budget. Where Cockpit is installed (Schneider et al., NeurIPS 2021; `cockpit-for-pytorch`),
another has its economy set, on every step as is its default, for the model that it can take.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.questions import Examples, ask_cifar10, ask_mnist
from benchmarks.train_speed import name_processor
from trainwell.watching.budget import Budget
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
        suits_cockpit: Whether all its layers are among those that BackPACK derives by examples.
    """

    title: str
    train: Examples
    valid: Examples
    build_model: Callable[[], nn.Module]
    suits_cockpit: bool = False


class RowReader(nn.Module):
    """An LSTM that reads an image row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.head = nn.LSTM(28, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0][:, -1])


def build_mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(),
        nn.Linear(128, 10),
    )  # fmt: skip


def list_tasks(images: int) -> Iterator[Task]:
    """The MLP and the LSTM on MNIST, ResNet-20 on CIFAR-10."""
    mnist, cifar10 = ask_mnist(1, 0, images), ask_cifar10(1, 0, images)
    rows = [Examples(part.inputs.squeeze(1), part.targets) for part in (mnist.train, mnist.valid)]
    yield Task(mnist.title, mnist.train, mnist.valid, build_mlp, suits_cockpit=True)
    yield Task("MNIST by rows, LSTM of 128", rows[0], rows[1], RowReader)
    yield Task(cifar10.title, cifar10.train, cifar10.valid, cifar10.build_model)


class Loop:
    """A training by hand that stands still between two rounds; nobody looks."""

    title = "plain"
    one_in = 1
    """Of so many updates of a round it makes one, where all would take hours."""

    def __init__(self, task: Task) -> None:
        torch.manual_seed(0)
        self.task, self.model = task, task.build_model()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)
        self._batches = draw_batches(len(task.train.targets))
        self._left, self._others = time.perf_counter(), 0.0

    def clock(self, updates: int) -> float:
        """Seconds of so many updates."""
        began = time.perf_counter()
        self._others += began - self._left
        count = max(1, updates // self.one_in)
        for _ in range(count):
            rows = next(self._batches)
            self.update(self.task.train.inputs[rows], self.task.train.targets[rows])
        self._left = time.perf_counter()
        return (self._left - began) * updates / count

    def own_seconds(self) -> float:
        """A clock that stands still while others have their turns."""
        return time.perf_counter() - self._others

    def update(self, xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        """One step; returns loss and outputs."""
        self.optimizer.zero_grad()
        outputs = self.model(xb)
        loss = functional.cross_entropy(outputs, yb)
        loss.backward()
        self.optimizer.step()
        return loss, outputs

    def close(self) -> str:
        """What there is to say at the end."""
        return ""


class WatchedLoop(Loop):
    """The same, and the watcher is told of everything."""

    title = "trainwell.watch"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.watcher = Watcher(
            self.model,
            self.optimizer,
            functional.cross_entropy,
            train=(task.train.inputs, task.train.targets),
            valid=(task.valid.inputs, task.valid.targets),
            task="multiclass",
            budget=Budget(clock=self.own_seconds),
        )

    def update(self, xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        loss, outputs = super().update(xb, yb)
        self.watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
        return loss, outputs

    def close(self) -> str:
        own = self.watcher.overhead
        found = ", ".join(finding.code for finding in self.watcher.findings()) or "nothing"
        return f"says {own:.1%} itself; found {found}"


class CockpitLoop(Loop):
    """The same with Cockpit's economy set of quantities, as its documentation writes it."""

    title = "Cockpit, economy"
    one_in = 50

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        backpack, cockpit = (importlib.import_module(name) for name in ("backpack", "cockpit"))
        economy = importlib.import_module("cockpit.utils.configuration").configuration("economy")
        self.model: nn.Module = backpack.extend(self.model)
        self.loss_fn = backpack.extend(nn.CrossEntropyLoss())
        self.each_loss_fn = backpack.extend(nn.CrossEntropyLoss(reduction="none"))
        self.cockpit: Any = cockpit.Cockpit(self.model.parameters(), quantities=economy)
        self.step = 0

    def update(self, xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad()
        outputs = self.model(xb)
        loss = self.loss_fn(outputs, yb)
        told = {
            "batch_size": len(xb),
            "individual_losses": self.each_loss_fn(outputs, yb),
            "loss": loss,
            "optimizer": self.optimizer,
        }
        with self.cockpit(self.step, info=told):
            loss.backward(create_graph=self.cockpit.create_graph(self.step))
        self.optimizer.step()
        self.step += 1
        return loss, outputs


def draw_batches(count: int) -> Iterator[Tensor]:
    """Rows of batches, anew in each epoch, the same in every loop."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield from torch.randperm(count, generator=generator)[: count // BATCH * BATCH].split(BATCH)


def measure(loops: Sequence[Loop], rounds: int, seconds: float) -> list[list[float]]:
    """Seconds of each loop in each round; another one goes first in each."""
    probe = Loop(loops[0].task)
    probe.clock(3)
    updates = max(3, round(seconds * 10 / probe.clock(10)))
    times: list[list[float]] = [[] for _ in loops]
    for number in range(rounds):
        for place in range(len(loops)):
            which = (number + place) % len(loops)
            times[which].append(loops[which].clock(updates))
    return times


def format_row(title: str, loop: Loop, plain: list[float], own: list[float]) -> str:
    """The median of the ratios within a round, and the ratio of all time."""
    ratio = statistics.median(b / a for a, b in zip(plain, own, strict=True))
    over = " (above the goal)" if isinstance(loop, WatchedLoop) and ratio > GOAL else ""
    total = sum(own) / sum(plain)
    return f"| {title} | {loop.title} | {ratio:.3f}{over} | {total:.3f} | {loop.close()} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="watching", description="What watching costs.")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="default 15")
    parser.add_argument("--seconds", type=float, default=2, help="of a round, about; default 2")
    parser.add_argument("--images", type=int, default=10_000, help="of each set; default 10000")
    options = parser.parse_args(arguments)
    print(f"{name_processor()}, {torch.get_num_threads()} threads; torch {torch.__version__}")
    print(f"{options.rounds} rounds of about {options.seconds:g} s\n")
    print("| training | watched by | median ratio | of all time | |")
    print("| --- | --- | ---: | ---: | --- |")
    for task in list_tasks(options.images):
        kinds: list[type[Loop]] = [Loop, WatchedLoop]
        if task.suits_cockpit and importlib.util.find_spec("cockpit"):
            kinds.append(CockpitLoop)
        loops = [kind(task) for kind in kinds]
        plain, *others = measure(loops, options.rounds, options.seconds)
        for loop, own in zip(loops[1:], others, strict=True):
            print(format_row(task.title, loop, plain, own), flush=True)


if __name__ == "__main__":
    main()
