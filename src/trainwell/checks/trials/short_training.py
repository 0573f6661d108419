"""A few steps of training on replicas: from the same start, at rates that are tried out."""

from __future__ import annotations

import copy
import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer

from trainwell.checks.stopwatch import Stopwatch
from trainwell.checks.subject import Subject
from trainwell.data.seeding import derive_seed
from trainwell.errors import RecipeError
from trainwell.optim.second_order import BFGS, Newton
from trainwell.training.randomness import RunRandomness

MOMENTUM = 0.9
"""Of gradient descent where the subject has no optimiser."""
POOL = 2048
"""Training examples from which batches are drawn: preparing all of a large set takes too long."""
SCORED = 512
BATCHES_AT_START = 12
TIMED_STEPS = 3
CLEAR_FALL = 0.01
"""Share of the loss."""
OWN_STEP_LENGTH = (optim.LBFGS, optim.Rprop, BFGS, Newton)
"""Optimisers that find the length of a step themselves, whatever the rate."""
NOT_COPIED = ("step", "zero_grad", "defaults", "state", "param_groups")

Stop = Callable[[Sequence[float]], bool]


@dataclass(frozen=True)
class StartLevel:
    """The loss before any training.

    Attributes:
        mean: Over batches.
        deviation: Standard deviation between batches.
    """

    mean: float
    deviation: float

    @property
    def ceiling(self) -> float:
        """What the loss of a batch hardly exceeds without a change for the worse."""
        return self.mean + 3 * self.deviation + 1e-6 * abs(self.mean)

    def is_clearly_above(self, loss: float) -> bool:
        """Whether a training that came to this loss has learned something."""
        return loss < self.mean - self.deviation - CLEAR_FALL * abs(self.mean)


@dataclass(frozen=True)
class ShortTraining:
    """Trains replicas of a subject's model with replicas of its optimiser.

    Attributes:
        subject: Its model and optimiser stay as they are.
        inputs, targets: The examples that batches are drawn from, as model and loss see them.
    """

    subject: Subject
    inputs: Tensor
    targets: Tensor

    @classmethod
    def of(cls, subject: Subject) -> ShortTraining:
        """With up to `POOL` examples of the training split.

        Raises:
            RecipeError: The optimiser has no rate that could be tried out.
        """
        training = cls(subject, *subject.batch(POOL, "short training"))
        _, optimizer = training._replicate()
        if isinstance(optimizer, OWN_STEP_LENGTH):
            name = type(optimizer).__name__
            raise RecipeError(f"{name} finds the length of its steps itself")
        return training

    def run(self, rates: Iterable[float], order: int = 0, stop: Stop | None = None) -> list[float]:
        """The loss of each batch before the update on it, one for each rate.

        The last one is infinite where a loss was not finite, and ends the training.

        Args:
            rates: Of the updates, in turn.
            order: Number of the order of examples; the same number gives the same order.
            stop: Asked after each loss whether to end.
        """
        with self._randomness(order):
            return self._train(rates, order, stop)[0]

    def finish(self, rates: Iterable[float], order: int = 0) -> float:
        """The loss of up to `SCORED` examples after a training: less noisy than its last batches.

        In training mode: in so short a training, normalisation has no running averages to go by.

        Args:
            rates: Of the updates, in turn; none: the loss of the start.
            order: As `run` takes it.

        Returns:
            Infinite where a loss was not finite.
        """
        with self._randomness(order):
            losses, model = self._train(rates, order, None)
            if losses and math.isinf(losses[-1]):
                return math.inf
            with torch.no_grad():
                loss = self._loss(model, self.inputs[:SCORED], self.targets[:SCORED])
        return _finite(float(loss))

    def _train(
        self, rates: Iterable[float], order: int, stop: Stop | None
    ) -> tuple[list[float], nn.Module]:
        losses: list[float] = []
        with torch.enable_grad():
            model, optimizer = self._replicate()
            shares = _shares_of(optimizer)
            for rate, (inputs, targets) in zip(rates, self._batches(order), strict=False):
                loss = self._loss(model, inputs, targets)
                losses.append(_finite(float(loss.detach())))
                if math.isinf(losses[-1]) or (stop is not None and stop(losses)):
                    break
                _set_rate(optimizer, rate, shares)
                self._update(model, optimizer, loss)
        return losses, model

    def measure_start(self) -> StartLevel:
        """The loss of the untrained model."""
        with self._randomness(0), torch.no_grad():
            model = self.subject.replica()
            batches = zip(range(BATCHES_AT_START), self._batches(0), strict=False)
            losses = [float(self._loss(model, *batch)) for _, batch in batches]
        if not all(map(math.isfinite, losses)):
            return StartLevel(math.nan, math.nan)
        return StartLevel(statistics.fmean(losses), statistics.pstdev(losses))

    def time_step(self) -> float:
        """Seconds that one update takes."""
        watch, began = Stopwatch(), list[float]()

        def note(_: Sequence[float]) -> bool:
            began.append(watch.read())
            return False

        self.run([0.0] * (TIMED_STEPS + 1), stop=note)
        spans = [end - start for start, end in itertools.pairwise(began)]
        return min(spans, default=0.0)

    def _replicate(self) -> tuple[nn.Module, Optimizer]:
        subject = self.subject
        if subject.build_optimizer is not None:
            model = subject.replica()
            return model, subject.build_optimizer(model)
        if subject.optimizer is None:
            model = subject.replica()
            trained = [p for p in model.parameters() if p.requires_grad]
            return model, optim.SGD(trained, lr=0.0, momentum=MOMENTUM)
        # Copied together, the copy's groups hold the parameters of the copied model.
        memo: dict[int, object] = {}
        model = copy.deepcopy(subject.model, memo).train()
        optimizer = copy.deepcopy(subject.optimizer, memo)
        # Torch copies an optimiser's groups and state only; others may hold more.
        for name, value in vars(subject.optimizer).items():
            if not name.startswith("_") and name not in NOT_COPIED:
                setattr(optimizer, name, copy.deepcopy(value, memo))
        return model, optimizer

    def _batches(self, order: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = self.subject.generator(f"order {order}")
        count, size = len(self.inputs), min(self.subject.batch_size, len(self.inputs))
        while True:
            rows = torch.randperm(count, generator=generator).to(self.inputs.device)
            for part in rows[: count - count % size].split(size):
                yield self.inputs[part], self.targets[part]

    def _loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        _, loss = self.subject.measure(model, inputs, targets)
        penalty = self.subject.penalty
        return loss if penalty is None else loss + penalty(model)

    def _update(self, model: nn.Module, optimizer: Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        if loss.requires_grad:
            loss.backward()
        if self.subject.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), self.subject.clip_norm)
        optimizer.step()

    def _randomness(self, order: int) -> RunRandomness:
        seed = derive_seed(self.subject.seed, f"short training {order}")
        return RunRandomness(seed, self.subject.device)


def with_batch_size(training: ShortTraining, size: int) -> ShortTraining:
    """The same on batches of another size."""
    return replace(training, subject=replace(training.subject, batch_size=size))


def tail_of(losses: Sequence[float]) -> float:
    """What a training came to: the mean of its last quarter; infinite where it diverged."""
    if not losses or math.isinf(losses[-1]):
        return math.inf
    return statistics.fmean(losses[-max(1, len(losses) // 4) :])


def _finite(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf


def _shares_of(optimizer: Optimizer) -> list[float]:
    """The rate of each group as a share of the highest: groups may differ on purpose."""
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    highest = max(rates)
    return [rate / highest if highest > 0 else 1.0 for rate in rates]


def _set_rate(optimizer: Optimizer, rate: float, shares: Sequence[float]) -> None:
    for group, share in zip(optimizer.param_groups, shares, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate * share)
        else:
            group["lr"] = rate * share
