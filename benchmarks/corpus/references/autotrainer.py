"""AUTOTRAINER (Zhang, Zhai, Ma, Shen, ICSE 2021): five problems of a training.

Conditions, with the thresholds of the paper's default configuration and its published code:

- gradient vanish: the norm of the first weight's gradient is below β₂ = 1e-4, and below β₁ = 1e-3
  of that of the last weight's;
- gradient explode: it is more than β₃ = 70 times that of the last weight's; or there is a NaN or an
  infinity in loss, weights or gradients; or the validation loss is 1e5 or more;
- dying ReLU: at least γ = 70 % of all gradients are exactly zero;
- oscillating loss: in at least η = 20 % of the epochs a local maximum of the training accuracy is
  ζ = 0.03 or more above the local minimum of the same number;
- slow convergence: neither accuracy, of training or validation, ever rises by δ = 0.01 from one
  epoch to the next.

All but NaN count only where an accuracy stays below Θ = 0.7 or both hardly rise; oscillation counts
where neither is so. The first problem that is found stays the only one.

Chosen here: gradients are those of the last update of an epoch, where the original takes those of
the first batch. Judging starts with the third epoch (the original: after 30 % of the epochs, whose
number a watcher is not told). An accuracy that is not told is that of the training batches. A
regression has no accuracy, so only NaN is found there. Oscillation is named `lr_too_high` and slow
convergence `lr_too_low`, after the remedies that the paper tries for them.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.corpus.references.observation import Observation, share_right, tell
from trainwell.findings import Finding

VANISHING_RATIO, VANISHING_NORM = 1e-3, 1e-4
EXPLODING_RATIO = 70
ZERO_SHARE = 0.7
LARGEST_LOSS = 1e5
OSCILLATION, OSCILLATING_SHARE = 0.03, 0.2
RISE = 0.01
SATISFYING_ACCURACY = 0.7
FIRST_JUDGED_EPOCH = 3


class AutoTrainer:
    """Judges at the end of each epoch."""

    def __init__(self, model: nn.Module, optimizer: Optimizer, **_: Any) -> None:
        self.observation = Observation(model)
        self.seen: dict[str, bool] = {"vanish": False, "explode": False, "dead": False}
        self.train_accuracies: list[float] = []
        self.valid_accuracies: list[float] = []
        self.batch_accuracies: list[float] = []
        self.losses: list[float] = []
        self.found: list[Finding] = []

    def step(
        self, loss: Tensor, inputs: Any = None, outputs: Any = None, targets: Any = None
    ) -> None:
        self.losses.append(float(loss.detach()))
        right = share_right(outputs, targets)
        if right is not None:
            self.batch_accuracies.append(right)

    def epoch(
        self,
        train_loss: float | None = None,
        train_metric: float | None = None,
        valid_loss: float | None = None,
        valid_metric: float | None = None,
    ) -> None:
        trained = self.batch_accuracies
        average = sum(trained) / len(trained) if trained else None
        for accuracies, told in (
            (self.train_accuracies, train_metric),
            (self.valid_accuracies, valid_metric),
        ):
            if (value := average if told is None else told) is not None:
                accuracies.append(value)
        self._look_at_gradients()
        if not self.found:
            self.found = self._judge(valid_loss)
        self.batch_accuracies, self.losses = [], []

    def findings(self) -> list[Finding]:
        return self.found

    def _look_at_gradients(self) -> None:
        gradients = [
            parameter.grad
            for parameter in self.observation.model.parameters()
            if parameter.grad is not None
        ]
        kernels = [
            parameter.grad
            for _, parameter in self.observation.weights
            if parameter.grad is not None
        ]
        if not kernels or not gradients:
            return
        first, last = kernels[0].norm().item(), kernels[-1].norm().item()
        ratio = first / last if last else math.nan
        self.seen["vanish"] |= ratio < VANISHING_RATIO and first < VANISHING_NORM
        self.seen["explode"] |= ratio > EXPLODING_RATIO
        zeros = sum(int((gradient == 0).sum()) for gradient in gradients)
        total = sum(gradient.numel() for gradient in gradients)
        self.seen["dead"] |= zeros / total >= ZERO_SHARE

    def _judge(self, valid_loss: float | None) -> list[Finding]:
        if self._is_broken(valid_loss):
            return [tell("exploding_or_nan", "The loss or a weight is not a number, or huge.")]
        trained, valid = self.train_accuracies, self.valid_accuracies
        if len(trained) < FIRST_JUDGED_EPOCH:
            return []
        hardly_rises = max(rises(trained)) < RISE and max(rises(valid)) < RISE
        if min(max(trained), max(valid)) < SATISFYING_ACCURACY or hardly_rises:
            if self.seen["dead"]:
                return [tell("dying_relu", "Most gradients are exactly zero.")]
            if self.seen["explode"]:
                return [tell("exploding_or_nan", "The first layer's gradient is the far larger.")]
            if self.seen["vanish"]:
                return [tell("vanishing_gradient", "The first layer's gradient is far smaller.")]
            if hardly_rises:
                return [tell("lr_too_low", "The accuracy hardly rises (slow convergence).")]
        elif oscillates(trained):
            return [tell("lr_too_high", "The accuracy goes up and down (oscillating loss).")]
        return []

    def _is_broken(self, valid_loss: float | None) -> bool:
        losses = [*self.losses, *([] if valid_loss is None else [valid_loss])]
        if not all(map(math.isfinite, losses)):
            return True
        if valid_loss is not None and valid_loss >= LARGEST_LOSS:
            return True
        return not all(
            bool(torch.isfinite(value).all())
            for parameter in self.observation.model.parameters()
            for value in (parameter, parameter.grad)
            if value is not None
        )


def rises(values: list[float]) -> list[float]:
    """From each epoch to the next, and 0."""
    return [0.0, *(after - before for before, after in pairwise(values))]


def oscillates(values: list[float]) -> bool:
    """Whether maxima are often far above the minima of the same number."""
    inner = list(zip(values, values[1:], values[2:], strict=False))
    maxima = [middle for left, middle, right in inner if middle >= left and middle >= right]
    minima = [middle for left, middle, right in inner if middle <= left and middle <= right]
    swings = sum(high - low >= OSCILLATION for high, low in zip(maxima, minima, strict=False))
    return swings >= OSCILLATING_SHARE * len(values)
