"""Fits a handful of examples on a replica: without augmentation, dropout and penalties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn, optim

from trainwell.checks.stopwatch import Stopwatch
from trainwell.checks.subject import Subject
from trainwell.checks.trials.few_examples import FewExamples
from trainwell.data.seeding import derive_seed
from trainwell.training.randomness import RunRandomness

FIRST_RATE = 1e-2
RATES = (1e-3, 1e-1, 1e-4)
"""Of Adam, each tried from the same start where `FIRST_RATE` did not fit."""
MOST_STEPS, FEWEST_STEPS = 300, 30
SECONDS = 2.5
"""Of one attempt; steps are as many as fit in, between `FEWEST_STEPS` and `MOST_STEPS`."""
LONGEST_STEP = 0.5
DROPS = ("drop", "stochasticdepth")


@dataclass(frozen=True)
class Attempt:
    """A training on a handful of examples.

    Attributes:
        rate: Of Adam.
        losses: Before each update.
        model: The replica as it was left.
    """

    rate: float
    losses: tuple[float, ...]
    model: nn.Module

    @property
    def reached(self) -> float:
        """The lowest loss; infinite where none was finite."""
        return min((loss for loss in self.losses if math.isfinite(loss)), default=math.inf)


def fit(
    subject: Subject,
    few: FewExamples,
    rate: float,
    steps: int,
    enough: float,
    *,
    evaluates: bool = False,
) -> Attempt:
    """Trains a replica with Adam (Kingma & Ba 2015) on all of a few examples at once.

    Args:
        subject: Its model stays as it is.
        few: The examples.
        rate: Constant.
        steps: At most.
        enough: Loss at which it ends.
        evaluates: Whether the replica is in evaluation mode.
    """
    losses: list[float] = []
    seed = derive_seed(subject.seed, "tiny subset")
    with RunRandomness(seed, subject.device), torch.enable_grad():
        model = silence(subject.replica().train(not evaluates))
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = optim.Adam(trained, lr=rate)
        for _ in range(steps):
            _, loss = subject.measure(model, few.inputs, few.targets)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]) or losses[-1] <= enough or not loss.requires_grad:
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return Attempt(rate, tuple(losses), model)


def search_further(
    subject: Subject,
    few: FewExamples,
    steps: int,
    enough: float,
    rates: Sequence[float] = RATES,
) -> Attempt:
    """The first of other attempts that is good enough, else the best.

    In evaluation mode too: what drops at random within a function cannot be silenced, and
    normalisation over a few examples may be in the way.
    """
    ways = [(rate, False) for rate in rates] + [(FIRST_RATE, True), (rates[0], True)]
    attempts: list[Attempt] = []
    for rate, evaluates in ways:
        attempts.append(fit(subject, few, rate, steps, enough, evaluates=evaluates))
        if attempts[-1].reached <= enough:
            break
    return min(attempts, key=lambda attempt: attempt.reached)


def count_steps(subject: Subject, few: FewExamples) -> int:
    """Steps that an attempt may take; 0 where one step takes too long."""
    watch = Stopwatch()
    fit(subject, few, 0.0, 1, -math.inf)
    first = watch.read()
    fit(subject, few, 0.0, 2, -math.inf)
    seconds = min(first, (watch.read() - first) / 2)
    if seconds > LONGEST_STEP:
        return 0
    return int(min(MOST_STEPS, max(FEWEST_STEPS, SECONDS / max(seconds, 1e-6))))


def silence(model: nn.Module) -> nn.Module:
    """The model, of which nothing drops units, weights or layers at random."""
    for module in model.modules():
        if any(word in type(module).__name__.lower() for word in DROPS):
            module.eval()
        if isinstance(module, nn.RNNBase):
            module.dropout = 0.0
    return model
