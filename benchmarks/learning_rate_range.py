"""How far is the suggested learning rate from the best of a fine grid?

    python -m benchmarks.learning_rate_range

Each problem is trained by a plain loop at every rate of a grid; the best has the lowest loss of all
training examples, in evaluation mode, after a fixed number of steps, the median over seeds. The
suggestion is to be within a factor of 3 of it.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn, optim
from torch.nn import functional
from torch.optim import Optimizer

import trainwell as tw

STEPS = 300
SEEDS = 3
BATCH_SIZE = 64
GRID = [10 ** (exponent / 4) for exponent in range(-20, 5)]
"""From 1e-5 to 10, four rates a decade."""
WITHIN = 3.0

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Problem:
    """A model and data, with an optimiser whose rate is sought.

    Attributes:
        build: Makes the model.
        data: Name of an embedded data set.
        loss: Of outputs and targets.
        optimizer: Made of parameters; its rate is overwritten.
        reconstructs: Whether the targets are the inputs.
    """

    build: Callable[[], nn.Module]
    data: str
    loss: Loss
    optimizer: Callable[..., Optimizer]
    reconstructs: bool = False

    def examples(self) -> tuple[Tensor, Tensor]:
        """Standardised inputs and targets of the training split."""
        data = tw.load(self.data)
        assert isinstance(data.train.inputs, Tensor)
        inputs = data.preprocess(data.train.inputs)
        if self.reconstructs:
            return inputs, inputs.flatten(1)
        targets = data.preprocess.encode_targets(data.train.targets)
        return inputs, targets


@dataclass(frozen=True)
class Outcome:
    """The suggestion beside the grid.

    Attributes:
        suggestion: Of `find_learning_rate`.
        best: Of the grid.
        loss: At the grid's rate that is nearest to the suggestion.
        best_loss: At `best`.
        seconds: That the suggestion took.
    """

    suggestion: float
    best: float
    loss: float
    best_loss: float
    seconds: float

    @property
    def factor(self) -> float:
        """How many times the suggestion is above the best, or below it; at least 1."""
        if math.isnan(self.suggestion):
            return math.inf
        return max(self.suggestion / self.best, self.best / self.suggestion)


class LstmClassifier(nn.Module):
    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        # Every fourth value of the sequence: the wave is still seen, in a quarter of the time.
        outputs, _ = self.lstm(inputs[:, ::4])
        return self.head(outputs.mean(1))


def build_mlp(inputs: int, outputs: int, width: int = 64) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, outputs),
    )


def build_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def build_deep_mlp() -> nn.Module:
    layers: list[nn.Module] = [nn.Linear(2, 48)]
    for _ in range(6):
        layers += [nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 48)]
    return nn.Sequential(*layers, nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 3))


def build_autoencoder() -> nn.Module:
    widths = (64, 48, 12, 48, 64)
    layers: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in itertools.pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def flat(loss: Loss) -> Loss:
    """A loss of single outputs `(N, 1)` and targets `(N,)`."""

    def of_column(outputs: Tensor, targets: Tensor) -> Tensor:
        return loss(outputs.flatten(), targets.flatten().float())

    return of_column


MOMENTUM = partial(optim.SGD, momentum=0.9)
PROBLEMS: Mapping[str, Problem] = {
    "MLP, digits, SGD with momentum": Problem(
        partial(build_mlp, 64, 10), "digits", functional.cross_entropy, MOMENTUM
    ),
    "MLP, digits, Adam": Problem(
        partial(build_mlp, 64, 10), "digits", functional.cross_entropy, optim.Adam
    ),
    "CNN, digits, SGD with momentum": Problem(
        build_cnn, "digits", functional.cross_entropy, MOMENTUM
    ),
    "logistic regression, breast-cancer, SGD": Problem(
        partial(nn.Linear, 30, 1),
        "breast-cancer",
        flat(functional.binary_cross_entropy_with_logits),
        optim.SGD,
    ),
    "MLP regression, diabetes, AdamW": Problem(
        partial(build_mlp, 10, 1), "diabetes", flat(functional.mse_loss), optim.AdamW
    ),
    "LSTM, waves, Adam": Problem(
        partial(LstmClassifier, 24, 3), "waves", functional.cross_entropy, optim.Adam
    ),
    "autoencoder, digits, RMSprop": Problem(
        build_autoencoder, "digits", functional.mse_loss, optim.RMSprop, reconstructs=True
    ),
    "deep MLP with batch norm, spirals, Nesterov": Problem(
        build_deep_mlp,
        "spirals",
        functional.cross_entropy,
        partial(optim.SGD, momentum=0.9, nesterov=True),
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="learning_rate_range", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help="default 3")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help="default 300")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the suggestion")
    parser.add_argument("--only", default="", metavar="WORD", help="problems with it in the name")
    options = parser.parse_args(arguments)
    print(f"{options.steps} steps, batches of {BATCH_SIZE}, {options.seeds} seeds; the suggestion")
    print("is find_learning_rate's with no option but optimizer and batch_size\n")
    print(HEADER)
    outcomes = []
    for name, problem in PROBLEMS.items():
        if options.only.lower() not in name.lower():
            continue
        outcomes.append(compare(problem, options.steps, options.seeds, options.seed))
        print(format_row(name, outcomes[-1]), flush=True)
    within = sum(outcome.factor <= WITHIN for outcome in outcomes)
    print(f"\nWithin a factor of {WITHIN:g}: {within} of {len(outcomes)}")


def compare(problem: Problem, steps: int, seeds: int, seed: int = 0) -> Outcome:
    """The suggestion for a problem beside the best of the grid.

    Args:
        problem: Trained from one initial state, in several orders.
        steps: Updates of a training.
        seeds: Orders of the grid, other than those of the suggestion.
        seed: Of the initial weights and of the suggestion.
    """
    torch.manual_seed(seed)
    model, examples = problem.build(), problem.examples()
    began = time.monotonic()
    found = tw.find_learning_rate(
        model,
        examples,
        loss_fn=problem.loss,
        optimizer=problem.optimizer,
        batch_size=BATCH_SIZE,
        seed=seed,
    )
    seconds = time.monotonic() - began
    losses = {rate: score(problem, model, examples, rate, steps, seeds) for rate in GRID}
    best = min(losses, key=losses.__getitem__)
    rate = found.suggestion
    nearest = min(GRID, key=lambda r: abs(math.log(r / rate))) if rate > 0 else best
    return Outcome(rate, best, losses[nearest], losses[best], seconds)


def score(
    problem: Problem,
    model: nn.Module,
    examples: tuple[Tensor, Tensor],
    rate: float,
    steps: int,
    seeds: int,
) -> float:
    """The median over orders of the loss of all examples after a training at a rate."""
    return statistics.median(
        train(problem, copy.deepcopy(model), examples, rate, steps, 1000 + seed)
        for seed in range(seeds)
    )


def train(
    problem: Problem,
    model: nn.Module,
    examples: tuple[Tensor, Tensor],
    rate: float,
    steps: int,
    seed: int,
) -> float:
    """A plain loop; the loss of all examples in evaluation mode, infinite where it diverged."""
    torch.manual_seed(seed)
    optimizer = problem.optimizer(model.parameters(), lr=rate)
    inputs, targets = examples
    rows = torch.randperm(0)
    for _ in range(steps):
        if len(rows) < BATCH_SIZE:
            rows = torch.randperm(len(inputs))
        batch, rows = rows[:BATCH_SIZE], rows[BATCH_SIZE:]
        loss = problem.loss(model(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        reached = float(problem.loss(model.eval()(inputs), targets))
    return reached if math.isfinite(reached) else math.inf


HEADER = (
    f"{'problem':44} {'suggested':>10} {'best':>10} {'factor':>7} {'loss':>8} {'best':>8} {'s':>5}"
)


def format_row(name: str, outcome: Outcome) -> str:
    """One line of the table."""
    return (
        f"{name:44} {outcome.suggestion:10.2g} {outcome.best:10.2g} {outcome.factor:7.2f} "
        f"{outcome.loss:8.3g} {outcome.best_loss:8.3g} {outcome.seconds:5.1f}"
    )


if __name__ == "__main__":
    main()
