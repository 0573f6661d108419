"""The first forward and backward pass of a training, made once for all checks of its start."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainwell.checks.initial_state.recorder import Record, first_tensor, is_layer, recording
from trainwell.checks.stopwatch import Stopwatch
from trainwell.checks.subject import Subject
from trainwell.errors import first_line
from trainwell.nn.objective import OwnObjective
from trainwell.training.precision import wait_for

MULTIPLICATIONS = 1.5e9
FEWEST, MOST = 16, 128
"""A pass sees so many examples, so that it takes about so many multiplications."""
FEW = 8
SLOW = 0.2
"""Seconds of a pass of two examples."""
BOTH_WAYS = 3
"""Forward and backward pass take about so many times the forward pass."""
Stage = Literal["model", "loss", "backward"]


@dataclass(frozen=True)
class FirstPass:
    """What a replica of the model did on some training examples, in training mode.

    Attributes:
        model: The replica, with its gradients.
        inputs, targets: As `Subject.examples` gives them.
        record: Of the forward pass.
        raw: The model's outputs as they are, perhaps a tuple; None where it failed.
        outputs: The first tensor of them.
        loss: As it was returned; None where it could not be computed.
        gradients: Norm of the gradient of each trainable parameter by name; None where it has none.
        failed: The stage that raised an error; None: none did.
        error: Its type and first line.
        seconds: That the forward pass took.
    """

    model: nn.Module
    inputs: Tensor
    targets: Tensor
    record: Record
    raw: Any = None
    outputs: Tensor | None = None
    loss: Tensor | None = None
    gradients: dict[str, float | None] = field(default_factory=dict)
    failed: Stage | None = None
    error: str = ""
    seconds: float = 0.0

    @property
    def has_own_objective(self) -> bool:
        """Whether the loss is the model's own rule, of which nothing is expected."""
        return isinstance(self.model, OwnObjective)

    @property
    def is_complete(self) -> bool:
        """Whether loss and gradients are there."""
        return self.failed is None


@dataclass(frozen=True)
class Size:
    """Of the first pass.

    Attributes:
        examples: That it sees: fewer of a large model, so that it takes no time.
        seconds: That it will take about, backward pass included.
    """

    examples: int
    seconds: float


def first_pass_size(subject: Subject) -> Size:
    """Tries a few examples; asked by `subject.once(first_pass_size)`."""
    try:
        inputs, _ = subject.batch(FEW, "sample size")
        model = subject.replica()
        each = count_multiplications(model, inputs[:2]) / 2
        base, more = _time_passes(model, inputs)
    except Exception:
        # What fails here fails again where it is told.
        return Size(FEWEST, 0.0)
    examples = max(FEWEST, min(MOST, int(MULTIPLICATIONS / max(1.0, each))))
    return Size(examples, BOTH_WAYS * (base + more * examples))


@torch.no_grad()
def _time_passes(model: nn.Module, inputs: Tensor) -> tuple[float, float]:
    """Seconds of a forward pass, and for each example besides.

    Args:
        model: In evaluation mode, and called before, so that its set-up is done.
        inputs: Of which two are tried, and all where that is quick.
    """
    two = _time(model, inputs[:2])
    if two > SLOW:  # each example counts, and nothing else does
        return 0.0, two / 2
    more = max(0.0, (_time(model, inputs) - two) / max(1, len(inputs) - 2))
    return max(0.0, two - 2 * more), more


def _time(model: nn.Module, inputs: Tensor) -> float:
    watch = Stopwatch()
    model(inputs)
    wait_for(inputs.device)
    return watch.read()


@torch.no_grad()
def count_multiplications(model: nn.Module, inputs: Tensor) -> float:
    """About how many multiplications by weights a forward pass makes.

    Args:
        model: A replica; run in evaluation mode.
        inputs: `(N, ...)`.
    """
    total = 0.0

    def count(module: nn.Module, given: Any, result: Any) -> None:
        nonlocal total
        output = first_tensor(result)
        if output is None or output.ndim < 2 or isinstance(module, nn.Embedding):
            return
        weights = sum(p.numel() for p in module.parameters(recurse=False) if p.ndim > 1)
        width = output.shape[1] if hasattr(module, "kernel_size") else output.shape[-1]
        total += weights * output.numel() / max(1, width)

    handles = [m.register_forward_hook(count) for m in model.modules() if is_layer(m)]
    try:
        model.eval()(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return total


def first_pass(subject: Subject) -> FirstPass:
    """A forward and a backward pass; made by `subject.once(first_pass)`."""
    model = subject.replica()
    for parameter in model.parameters():
        parameter.grad = None
    inputs, targets = subject.batch(subject.once(first_pass_size).examples, "first pass")
    stage: Stage = "model"
    raw, loss = None, None
    record = Record()
    try:
        # torch warns of what a finding says more plainly.
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            watch = Stopwatch()
            with recording(model) as record:
                if isinstance(model, OwnObjective):
                    raw, loss = subject.measure(model, inputs, targets)
                else:
                    raw = model(inputs)
            seconds = watch.read()
            stage = "loss"
            if loss is None:
                loss = subject.loss(raw, targets)
            stage = "backward"
            loss.sum().backward()
    except Exception as error:
        message = f"{type(error).__name__}: {first_line(error)}"
        outputs = first_tensor(raw)
        return FirstPass(
            model, inputs, targets, record, raw, outputs, loss, failed=stage, error=message
        )
    gradients = {
        name: None if p.grad is None else float(p.grad.float().norm())
        for name, p in model.named_parameters()
        if p.requires_grad
    }
    outputs = first_tensor(raw)
    return FirstPass(model, inputs, targets, record, raw, outputs, loss, gradients, seconds=seconds)
