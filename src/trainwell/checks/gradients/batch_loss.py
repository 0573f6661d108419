"""The loss of a copied model on a few examples, to be changed and evaluated at will."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from trainwell.checks.gradients.central_difference import require_number
from trainwell.checks.gradients.double_precision import as_double, copy_module, make_double
from trainwell.errors import ModelError, first_line
from trainwell.nn.losses import Loss
from trainwell.nn.objective import OwnObjective

BURN_IN_RATE = 1e-3
"""By which each weight moves: away from special values such as zero, and not far."""
USUAL_FAN_IN = 1024
"""Inputs of a unit up to which that moves its output by little."""

Penalty = Callable[[nn.Module], Tensor]


class CalledModule(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        """What the function gives."""
        return self.function(*inputs)


@dataclass(frozen=True)
class BatchLoss:
    """A model, its loss and a few examples.

    Attributes:
        model: A copy.
        loss: Of outputs and targets; a copy where it is a module.
        inputs: The model's arguments, each `(N, ...)`.
        targets: `(N, ...)`.
    """

    model: nn.Module
    loss: Loss
    inputs: tuple[Any, ...]
    targets: Any

    def measure(self) -> tuple[Any, Tensor]:
        """Outputs and loss."""
        if isinstance(self.model, OwnObjective):
            return self.model.measure(self.inputs[0], self.targets, self.loss)
        outputs = self.model(*self.inputs)
        return outputs, self.loss(outputs, self.targets)

    def with_gradient(self) -> BatchLoss:
        """The same with inputs that have a gradient, so that all of the graph is built."""
        inputs = tuple(_follow(part) for part in self.inputs)
        return replace(self, inputs=inputs)

    def loss_of(self, outputs: Any) -> Tensor:
        """The loss of other outputs."""
        return self.loss(outputs, self.targets)

    @property
    def modules(self) -> list[nn.Module]:
        """The model, and the loss where it is a module."""
        return [part for part in (self.model, self.loss) if isinstance(part, nn.Module)]

    @property
    def parameters(self) -> dict[str, Tensor]:
        """What is trained; of a bare function its inputs."""
        if not isinstance(self.model, CalledModule):
            return {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        return {
            f"input {place}": tensor.requires_grad_()
            for place, tensor in enumerate(self.inputs)
            if tensor.is_floating_point()
        }

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        first = next(self.model.parameters(), self.inputs[0])
        return first.device if isinstance(first, Tensor) else torch.device("cpu")

    def in_double(self) -> BatchLoss:
        """The same in double precision; the modules are changed."""
        for module in self.modules:
            make_double(module)
        return replace(self, inputs=as_double(self.inputs), targets=as_double(self.targets))


def copy_for_batch(
    model: nn.Module | Callable[..., Any], loss: Loss, batch: tuple[Any, Any], examples: int
) -> BatchLoss:
    """Copies of model and loss with the first examples of a batch.

    Args:
        model: A module, or a function of the inputs.
        loss: Of outputs and targets.
        batch: Inputs `(N, ...)` or a tuple of them, and targets; tensors or arrays.
        examples: How many are kept.

    Raises:
        ModelError: The model cannot be copied, or is lazy and was never run.
    """
    if any(isinstance(p, UninitializedParameter) for p in _parameters_of(model)):
        raise ModelError(
            "the model has parameters without a shape yet, so its gradients cannot be checked",
            remedy="Run the model once on a batch first",
        )
    inputs, targets = batch
    given = inputs if isinstance(inputs, tuple | list) else (inputs,)
    module = model if isinstance(model, nn.Module) else CalledModule(model)
    return BatchLoss(
        copy_module(module),
        copy_module(loss) if isinstance(loss, nn.Module) else loss,
        tuple(_as_tensor(part)[:examples] for part in given),
        _as_tensor(targets)[:examples],
    )


def _parameters_of(model: nn.Module | Callable[..., Any]) -> list[nn.Parameter]:
    return list(model.parameters()) if isinstance(model, nn.Module) else []


def _follow(values: Any) -> Any:
    if not isinstance(values, Tensor) or not values.is_floating_point():
        return values
    # A copy of a leaf: what works in place must not meet the leaf itself.
    return values.detach().requires_grad_().clone()


def _as_tensor(values: Any) -> Any:
    return torch.from_numpy(values) if isinstance(values, numpy.ndarray) else values


def train_briefly(task: BatchLoss, penalty: Penalty | None, steps: int) -> None:
    """A few updates, to be away from initial weights at which parts have no gradient yet.

    Every weight moves against the sign of its gradient, as in the first step of Adam, so that the
    size of the gradients does not matter.

    Args:
        task: Whose model is trained.
        penalty: Added to the loss; None: there is none.
        steps: How many.

    Raises:
        ModelError: The model or its loss fails.
    """
    parameters = [p for p in task.model.parameters() if p.requires_grad]
    before = [parameter.detach().clone() for parameter in parameters]
    for _ in range(steps if parameters else 0):
        gradients = _differentiate(task, penalty, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(_choose_rate(parameter) * gradient.to_dense().sign())
    if not all(bool(torch.isfinite(parameter).all()) for parameter in parameters):
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)


def _choose_rate(parameter: Tensor) -> float:
    """Lower where a sum of very many inputs would make the loss vanish in one step."""
    fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
    return BURN_IN_RATE * min(1.0, USUAL_FAN_IN / fan_in)


def _differentiate(
    task: BatchLoss, penalty: Penalty | None, parameters: Sequence[Tensor]
) -> Sequence[Tensor | None]:
    try:
        with torch.enable_grad():
            _, value = task.measure()
            require_number(value)
            value = value if penalty is None else value + penalty(task.model)
            if not value.requires_grad:
                return [None] * len(parameters)
            return torch.autograd.grad(value, parameters, allow_unused=True)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"the gradients cannot be checked, the model or its loss fails: {first_line(error)}",
            remedy="Give a batch and a loss that the model can be trained with",
        ) from error
