"""How the loss of a batch comes about: from outputs and targets, or by a model's own rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from trainwell.nn.losses import Loss


@runtime_checkable
class OwnObjective(Protocol):
    """A model that knows better than a loss of outputs and targets how it is trained.

    A learning rule that is no gradient of a loss is written as a loss whose gradient is the rule:
    then everything else (optimiser, schedule, resuming, readings) works for it as for any model.
    """

    def measure(self, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        """Outputs and loss of a batch.

        Args:
            inputs: `(N, ...)` as the model sees them.
            targets: As the task has them; for a reconstruction the flattened inputs `(N, F)`.
            loss: Of the task, for models that only add to it.

        Returns:
            The outputs `(N, outputs)`, and a scalar with the gradient to be followed.
        """
        ...


Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Inputs and targets of a batch in, outputs and loss out."""


def make_objective(
    model: nn.Module,
    loss: Loss,
    *,
    compiled_for: int | None = None,
    as_one_graph: bool = False,
) -> Objective:
    """The objective of a model: its own where it has one, else the loss of its outputs.

    Args:
        model: Asked for its own objective.
        loss: Of outputs and targets.
        compiled_for: Examples of the batches for which the model is compiled with `torch.compile`.
            Others, such as the last of an epoch, run as they are: which code runs depends on the
            batch alone, not on what was compiled before, so that a resumed run computes alike.
            None: not compiled.
        as_one_graph: Whether compiling fails where the model is not one graph.
    """
    if isinstance(model, OwnObjective):
        own = _Compiled(model.measure, compiled_for, as_one_graph)

        def measure_own(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            return own.choose(inputs)(inputs, targets, loss)

        return measure_own
    compute = _Compiled(model, compiled_for, as_one_graph)

    def measure(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        outputs = compute.choose(inputs)(inputs)
        return outputs, loss(outputs, targets)

    return measure


class _Compiled:
    """A function, and what torch.compile makes of it for batches of one size."""

    def __init__(self, plain: Callable[..., Any], size: int | None, as_one_graph: bool) -> None:
        self.plain, self.size, self.compiled = plain, size, plain
        if size is not None:
            self.compiled = torch.compile(plain, fullgraph=as_one_graph, dynamic=False)

    def choose(self, inputs: Tensor) -> Callable[..., Any]:
        return self.compiled if len(inputs) == self.size else self.plain


@runtime_checkable
class Prepared(Protocol):
    """A model that looks at the training inputs once before it is trained."""

    def prepare(self, inputs: Tensor) -> None:
        """Sets initial weights from data, such as by layer-wise pretraining, or refuses the data.

        What was prepared once, and is trained again, is left as it is: the model notes it in a
        buffer, so that loaded weights bring it along.

        Args:
            inputs: `(N, ...)` of the training split, as the model sees them; held on the device.
        """
        ...


@runtime_checkable
class Generative(Protocol):
    """A model that makes new examples."""

    def generate(self, count: int) -> Tensor:
        """New examples `(count, *input_shape)`, as the model sees them."""
        ...


def follow(rule: Tensor, shown: Tensor) -> Tensor:
    """A scalar with the value of one loss and the gradient of another.

    Args:
        rule: Its gradient is followed.
        shown: What people are shown, such as a reconstruction error where the rule's own value
            means nothing.
    """
    return shown.detach() + rule - rule.detach()
