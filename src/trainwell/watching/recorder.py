"""Keeps what was read of a training: losses, rates, readings, units, epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainwell.watching.readings import EpochReading, Reading, UnitReading

MOST_LOSSES = 20_000
MOST_READINGS = 400
MOST_WINDOWS = 100
MOST_EVALUATIONS = 20


class Recorder:
    """Grows with the training, but not without bounds."""

    def __init__(self) -> None:
        self.losses: list[tuple[int, float]] = []
        self.rates: list[tuple[int, float]] = []
        self.readings: list[Reading] = []
        self.windows: list[Sequence[UnitReading]] = []
        self.epochs: list[EpochReading] = []
        self.eval_inputs: list[tuple[float, float]] = []
        self._stride = 1

    def add_losses(self, first: int, losses: Sequence[Any], rates: Sequence[float]) -> int | None:
        """Takes the losses of a window; gives the first step whose loss is not finite.

        Args:
            first: Step of the first loss.
            losses: Numbers or tensors; waits for the device once.
            rates: Learning rates, likewise.
        """
        broken: int | None = None
        for offset, (loss, rate) in enumerate(zip(read_numbers(losses), rates, strict=True)):
            step = first + offset
            if broken is None and not math.isfinite(loss):
                broken = step
            if step % self._stride == 0 or not math.isfinite(loss):
                self.losses.append((step, loss))
                self.rates.append((step, rate))
        if len(self.losses) > MOST_LOSSES:
            self._stride *= 2
            self.losses, self.rates = self.losses[::2], self.rates[::2]
        return broken

    def add_readings(self, readings: Sequence[Reading], units: Sequence[UnitReading]) -> None:
        """Takes what was read in a window; of very many, the middle is thinned out."""
        self.readings += readings
        if len(self.readings) > MOST_READINGS:
            half = MOST_READINGS // 2
            self.readings = self.readings[:half:2] + self.readings[half:]
        if units:
            self.windows.append(units)
            del self.windows[:-MOST_WINDOWS]

    def add_evaluation(self, inputs: Tensor) -> None:
        """Takes mean and deviation of the inputs of a pass without gradients, of the first few."""
        if len(self.eval_inputs) < MOST_EVALUATIONS:
            self.eval_inputs.append((float(inputs.mean()), float(inputs.std(correction=0))))


def read_numbers(values: Sequence[Any]) -> list[float]:
    """Plain numbers of a mixture of numbers and tensors; a tensor of many gives its mean."""
    waiting = [v for v in values if isinstance(v, Tensor)]
    if not waiting:
        return [float(v) for v in values]
    device = waiting[-1].device
    means = [v.detach().float().mean().to(device) for v in waiting]
    read = iter(torch.stack(means).tolist())
    return [next(read) if isinstance(v, Tensor) else float(v) for v in values]
