"""A first look at a model with a few examples: does it run, and which loss suits its outputs?"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.data.batches import Batch
from trainwell.data.dataset import Dataset
from trainwell.errors import ModelError, TrainwellError, first_line
from trainwell.nn.losses import Loss, choose_loss
from trainwell.nn.objective import make_objective
from trainwell.training.deterministic import explain_nondeterministic
from trainwell.training.evaluation import evaluating
from trainwell.training.model_failure import explain_cut_off
from trainwell.training.recipe import Recipe


def try_forward(model: nn.Module, loss_of: Callable[[int], Loss], batch: Batch) -> Loss:
    """Runs one batch in evaluation mode; the loss that suits the outputs.

    Args:
        model: Left as it is.
        loss_of: The loss for a number of outputs.
        batch: A few examples.

    Raises:
        ModelError: The model cannot take the inputs, or its outputs do not fit the targets.
    """
    try:
        with evaluating(model), torch.enable_grad():
            loss = loss_of(_width(model(batch.inputs)))
            _, value = make_objective(model, loss)(batch.inputs, batch.targets)
        # A model may well cut its gradient off in evaluation mode only.
        if not value.requires_grad:
            _refuse_cut_off(copy.deepcopy(model), loss, batch)
    except TrainwellError:
        raise
    except Exception as error:
        refused = explain_nondeterministic(error)
        raise refused or ModelError(
            f"the model fails on inputs {tuple(batch.inputs.shape)} with targets "
            f"{tuple(batch.targets.shape)}: {first_line(error)}",
            remedy="Check the shapes the model expects and puts out",
        ) from error
    return loss


def _refuse_cut_off(replica: nn.Module, loss: Loss, batch: Batch) -> None:
    with torch.enable_grad():
        _, value = make_objective(replica.train(), loss)(batch.inputs, batch.targets)
    if not value.requires_grad:
        raise explain_cut_off("trying the model out")


def _width(outputs: Any) -> int:
    if not isinstance(outputs, Tensor):
        raise TypeError(f"the model puts out {type(outputs).__name__}, not a tensor")
    return 1 if outputs.ndim == 1 else outputs.shape[1]


def loss_for(data: Dataset, recipe: Recipe) -> Callable[[int], Loss]:
    """The loss of a data set's task for a number of outputs.

    Raises:
        ModelError: The number of outputs does not fit the classes.
    """

    def choose(outputs: int) -> Loss:
        allowed = {data.outputs, 2} if data.task == "binary" else {data.outputs}
        if outputs not in allowed:
            raise ModelError(
                f"the model puts out {outputs} numbers for an example, the data needs "
                f"{data.outputs}",
                remedy=f"Give its last layer {data.outputs} outputs",
            )
        return choose_loss(data.task, outputs, recipe.label_smoothing, recipe.loss)

    return choose


def count_parameters(model: nn.Module) -> int:
    """Numbers that are trained."""
    return sum(math.prod(p.shape) for p in model.parameters() if p.requires_grad)
