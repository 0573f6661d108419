"""How much faster is trainwell's check of gradients than `torch.autograd.gradcheck`?

    python -m benchmarks.gradient_check

Both check the same module in double precision, on the same examples, with respect to all its
parameters. gradcheck moves every number of every parameter to either side; its fast mode, like
trainwell, moves them together. In each round all take their turn.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

import trainwell
from benchmarks.train_speed import name_processor

EXAMPLES = 4
GOAL = 10.0
"""Times as fast as gradcheck that the check is to be at least."""


@dataclass(frozen=True)
class Subject:
    """A module with examples.

    Attributes:
        title: For people.
        model, inputs, targets: Of which the gradients are checked.
        too_long: Whether gradcheck, but for its fast mode, takes many minutes and is left out.
    """

    title: str
    model: nn.Module
    inputs: Tensor
    targets: Tensor
    too_long: bool = False


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="gradient_check", description="Against gradcheck.")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default 3")
    rounds = parser.parse_args(arguments).rounds
    print(f"{name_processor()}, {torch.get_num_threads()} threads; torch {torch.__version__}\n")
    print("| module | parameters | trainwell s | gradcheck s | × | gradcheck, fast s | × |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for subject in list_subjects():
        print(format_row(subject, measure(subject, rounds)), flush=True)


def list_subjects() -> list[Subject]:
    torch.manual_seed(0)
    targets = torch.arange(EXAMPLES)
    deep = [part for _ in range(20) for part in (nn.Linear(16, 16), nn.Tanh())]
    digits = torch.randn(EXAMPLES, 1, 8, 8)
    return [
        Subject(
            "20 layers of 16 tanh units",
            nn.Sequential(*deep, nn.Linear(16, 10)),
            torch.randn(EXAMPLES, 16),
            targets,
        ),
        Subject(
            "MLP 64-32-10, ReLU",
            trainwell.models.create("mlp", input_shape=(1, 8, 8), classes=10, seed=0, sizes=(32,)),
            digits,
            targets,
        ),
        Subject(
            "LeNet-5",
            trainwell.models.create("lenet5", input_shape=(1, 32, 32), classes=10, seed=0),
            torch.randn(EXAMPLES, 1, 32, 32),
            targets,
            too_long=True,
        ),
        Subject(
            "ResNet-20",
            trainwell.models.create("resnet20", input_shape=(3, 32, 32), classes=10, seed=0),
            torch.randn(EXAMPLES, 3, 32, 32),
            targets,
            too_long=True,
        ),
    ]


def measure(subject: Subject, rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round; a first round of the quick ones warms up."""
    contenders: dict[str, Callable[[], object]] = {
        "trainwell": lambda: check(subject),
        "fast": lambda: gradcheck(subject, fast=True),
    }
    for contender in contenders.values():
        contender()
    if not subject.too_long:
        contenders["gradcheck"] = lambda: gradcheck(subject, fast=False)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            began = time.perf_counter()
            contender()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def check(subject: Subject) -> None:
    batch = (subject.inputs, subject.targets)
    report = trainwell.check_gradients(subject.model, functional.cross_entropy, batch)
    assert report.passed, str(report)


def gradcheck(subject: Subject, fast: bool) -> None:
    """Kinks make it fail for some seeds; it is the time that counts."""
    model = copy.deepcopy(subject.model).double()
    names = [name for name, _ in model.named_parameters()]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def loss(*parameters: Tensor) -> Tensor:
        state = {**dict(zip(names, parameters, strict=True)), **copy.deepcopy(buffers)}
        outputs = functional_call(model, state, (subject.inputs.double(),))
        return functional.cross_entropy(outputs, subject.targets)

    parameters = tuple(p.detach().clone().requires_grad_() for p in model.parameters())
    torch.autograd.gradcheck(loss, parameters, fast_mode=fast, raise_exception=False)


def format_row(subject: Subject, seconds: dict[str, list[float]]) -> str:
    """Medians of the seconds, and of the ratios within a round."""
    count = sum(parameter.numel() for parameter in subject.model.parameters())
    own = seconds["trainwell"]
    cells = [subject.title, f"{count:,}", f"{statistics.median(own):.2f}"]
    for name in ("gradcheck", "fast"):
        if name not in seconds:
            cells += ["not run", ""]
            continue
        times = statistics.median(b / a for a, b in zip(own, seconds[name], strict=True))
        under = " (under the goal)" if name == "gradcheck" and times < GOAL else ""
        cells += [f"{statistics.median(seconds[name]):.2f}", f"{times:.1f}{under}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
