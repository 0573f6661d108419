"""How many updates sooner does a small convolutional network learn with ReLU?

    python -m benchmarks.activations

Krizhevsky, Sutskever & Hinton (2012, figure 1) trained a network of four layers on CIFAR-10 until
25 % of the training images were wrong, each activation at the learning rate that suits it, and
needed six times as many epochs with tanh. The same is counted here, and for the sigmoid too.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn, optim
from torch.nn import functional

import trainwell
from benchmarks.questions import cut_down, find_data
from benchmarks.train_speed import name_processor
from trainwell.nn.activations import make_activation
from trainwell.nn.initialisation import initialise

ERROR = 0.25
"""Share of wrong training images at which the count ends."""
INITIALISATIONS = {"relu": "he", "tanh": "glorot_uniform", "sigmoid": "glorot_sigmoid"}
"""Each activation starts from the weights that were derived for it."""
RATES = (0.01, 0.003, 0.03, 0.1, 0.3)
"""Tried in this order: a rate is given up once another one is known to need fewer updates."""
BATCH = 32
MOMENTUM = 0.9
COUNT_EVERY = 50
"""Updates between two counts, which are the steps in which results differ."""
COUNTED = 1000
"""Training images on which the error is counted."""


@dataclass(frozen=True)
class Examples:
    """Training images `(N, 3, 32, 32)` float32, standardised, and their classes `(N,)` int64."""

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Contest:
    """What an activation reached: its best rate, and its updates with each seed at that rate."""

    rate: float
    updates: list[float]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    examples = read_examples(options.images)
    print(
        f"{name_processor()}, {torch.get_num_threads()} threads; torch {torch.__version__}\n"
        f"first {len(examples.targets):,} training images of CIFAR-10, widths {options.widths}, "
        f"batch {BATCH}, momentum {MOMENTUM}, no weight decay, no augmentation; "
        f"until {ERROR:.0%} training error, at most {options.most:,} updates\n",
        flush=True,
    )
    contests = {
        name: hold_contest(name, examples, options.widths, range(options.seeds), options.most)
        for name in INITIALISATIONS
    }
    print(format_table(contests))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="activations", description="Updates to 25 % error.")
    add = parser.add_argument
    add("--images", type=int, default=5000, metavar="N", help="training images; default 5,000")
    add("--seeds", type=int, default=5, metavar="N", help="of weights and order; default 5")
    add("--most", type=int, default=4000, metavar="N", help="updates at most; default 4,000")
    add("--widths", type=int, nargs=3, default=(16, 16, 32), metavar="N", help="of convolutions")
    return parser.parse_args(arguments)


def read_examples(images: int) -> Examples:
    data = cut_down(trainwell.load(find_data("cifar10")), images)
    assert isinstance(data.train.inputs, Tensor)
    return Examples(data.preprocess(data.train.inputs), data.train.targets)


def build_network(activation: str, widths: Sequence[int], seed: int) -> nn.Sequential:
    """Three convolutions of 5 × 5, each halved by pooling, and a linear classifier.

    Args:
        activation: After each convolution; a key of `INITIALISATIONS`.
        widths: Channels of the three convolutions.
        seed: Of the initial weights; torch's generator is left as it was.
    """
    layers: list[nn.Module] = []
    for before, width in zip((3, *widths), widths, strict=False):
        layers += [
            nn.Conv2d(before, width, 5, padding=2),
            make_activation(activation),
            nn.MaxPool2d(2),
        ]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * widths[-1], 10))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        initialise(network, INITIALISATIONS[activation])
    return network


def hold_contest(
    activation: str, examples: Examples, widths: Sequence[int], seeds: Sequence[int], most: int
) -> Contest:
    """Finds the best rate with the first seed, and counts with all seeds at that rate.

    A rate is given up where it has needed as many updates as the best one before it.
    """
    rate, fewest = RATES[0], math.inf
    for tried in RATES:
        limit = int(min(most, fewest))
        updates = count_updates(activation, examples, widths, seeds[0], tried, limit)
        print(f"{activation} at {tried:g}: {describe(updates, limit)}", flush=True)
        if updates < fewest:
            rate, fewest = tried, updates
    others = [count_updates(activation, examples, widths, seed, rate, most) for seed in seeds[1:]]
    print(f"{activation} at {rate:g}, all seeds: {[fewest, *others]}\n", flush=True)
    return Contest(rate, [fewest, *others])


def describe(updates: float, limit: int) -> str:
    return f"{updates:,.0f} updates" if updates < math.inf else f"not in {limit:,} updates"


def count_updates(
    activation: str,
    examples: Examples,
    widths: Sequence[int],
    seed: int,
    rate: float,
    most: int,
) -> float:
    """Updates until the error is reached; infinite where it is not within `most`."""
    network = build_network(activation, widths, seed)
    optimizer = optim.SGD(network.parameters(), lr=rate, momentum=MOMENTUM)
    generator = Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    for update in range(1, most + 1):
        if len(order) < BATCH:
            order = torch.randperm(len(examples.targets), generator=generator)
        chosen, order = order[:BATCH], order[BATCH:]
        outputs = network(examples.inputs[chosen])
        loss = functional.cross_entropy(outputs, examples.targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update % COUNT_EVERY == 0:
            if not math.isfinite(loss.item()):
                return math.inf
            if measure_error(network, examples) <= ERROR:
                return update
    return math.inf


@torch.no_grad()
def measure_error(network: nn.Module, examples: Examples) -> float:
    predicted = network(examples.inputs[:COUNTED]).argmax(1)
    return (predicted != examples.targets[:COUNTED]).float().mean().item()


def format_table(contests: dict[str, Contest]) -> str:
    """One row an activation; ratios to ReLU are those within a seed."""
    rows = [
        "| activation | best rate | updates: median | lowest to highest | × ReLU: median "
        "| lowest to highest |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    relu = contests["relu"].updates
    for name, contest in contests.items():
        ratios = [a / b for a, b in zip(contest.updates, relu, strict=True)]
        rows.append(
            f"| {name} | {contest.rate:g} "
            f"| {statistics.median(contest.updates):,.0f} | {span(contest.updates, ',.0f')} "
            f"| {statistics.median(ratios):.2f} | {span(ratios, '.2f')} |"
        )
    return "\n".join(rows)


def span(numbers: Sequence[float], form: str) -> str:
    return f"{min(numbers):{form}} to {max(numbers):{form}}"


if __name__ == "__main__":
    main()
