"""Whether a run compiles its model: where the training is long enough to pay for it."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import os
import shutil
import statistics
import time
from collections.abc import Sequence

import torch
from torch import nn

from trainwell.data.batches import Batch
from trainwell.nn.losses import Loss
from trainwell.nn.objective import Objective, make_objective
from trainwell.training.precision import (
    DECISIVE,
    Resolved,
    describe_machine,
    read_memory,
    remember,
    wait_for,
)
from trainwell.training.randomness import RunRandomness
from trainwell.training.recipe import Recipe

WORTH_SECONDS = 600
"""Compiling takes about a minute; a shorter training may not win it back."""
TRIALS = 3


def resolve_compilation(
    recipe: Recipe,
    model: nn.Module,
    loss: Loss,
    resolved: Resolved,
    batch: Batch,
    batches_in_all: int,
) -> Resolved:
    """The precision and layout, and whether the model is compiled.

    `"auto"` compiles where the training would last ten minutes or more, the whole model becomes
    one graph, and a compiled pass is measured to be faster. The outcome is remembered for the
    machine.

    Args:
        recipe: Complete.
        model: Left as it is; copies are timed.
        loss: Mean over a batch.
        resolved: Precision and layout.
        batch: A full one, as the model sees it in training.
        batches_in_all: Forward passes of the whole training.
    """
    if recipe.compile != "auto":
        return dataclasses.replace(resolved, compiled=bool(recipe.compile))
    if not can_compile(batch.inputs.device):
        return resolved
    trial = copy.deepcopy(model)
    with RunRandomness(recipe.seed, batch.inputs.device):
        plain = _Timed(make_objective(trial, loss), trial, resolved, batch)
        # The first pass pays for set-up as well: where it is quick enough, no other is needed.
        if plain.run() * batches_in_all < WORTH_SECONDS:
            return resolved
        if plain.measure(TRIALS) * batches_in_all < WORTH_SECONDS:
            return resolved
        key = describe_machine(model, batch.inputs, resolved)
        known = read_memory().get(key)
        is_faster = known if isinstance(known, bool) else _is_faster_compiled(trial, loss, plain)
    remember(key, is_faster)
    return dataclasses.replace(resolved, compiled=is_faster)


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile has what it needs: a C++ compiler on a processor, Triton on CUDA."""
    if device.type == "cpu":
        return any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++"))
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


class _Timed:
    """Forward and backward passes of one objective, timed."""

    def __init__(
        self, objective: Objective, model: nn.Module, resolved: Resolved, batch: Batch
    ) -> None:
        self.objective, self.model, self.resolved, self.batch = objective, model, resolved, batch

    def measure(self, passes: int) -> float:
        """Median seconds of passes."""
        return statistics.median(self.run() for _ in range(passes))

    def run(self) -> float:
        """Seconds of one pass."""
        device = self.batch.inputs.device
        began = time.perf_counter()
        with self.resolved.context(device):
            _, value = self.objective(self.batch.inputs, self.batch.targets)
        self.model.zero_grad(set_to_none=True)
        value.backward()
        wait_for(device)
        return time.perf_counter() - began


def _is_faster_compiled(trial: nn.Module, loss: Loss, plain: _Timed) -> bool:
    batch = plain.batch
    try:
        objective = make_objective(trial, loss, compiled_for=len(batch), as_one_graph=True)
        compiled = _Timed(objective, trial, plain.resolved, batch)
        compiled.run()
        pairs = [(compiled.run(), plain.run()) for _ in range(TRIALS)]
    except Exception:
        # torch.compile may fail in any way on code that it does not understand; plain code works.
        return False
    return _median_ratio(pairs) <= DECISIVE


def _median_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return statistics.median(first / second for first, second in pairs)
