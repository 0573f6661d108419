"""The verb `find_learning_rate`: which rate trains a model on its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import nn
from torch.optim import Optimizer

from trainwell.api import as_recipe
from trainwell.checking import is_hand_written, subject_of_fit
from trainwell.checks.given import subject_of
from trainwell.checks.state_as_found import state_as_found
from trainwell.checks.subject import Subject
from trainwell.checks.trials.rate_range import Effort, RateRange, find_rate_range
from trainwell.checks.trials.short_training import ShortTraining
from trainwell.data.dataset import Task
from trainwell.errors import DataError, RecipeError
from trainwell.nn.losses import Loss
from trainwell.training.recipe import Recipe

SWEEP_STEPS = 120


def find_learning_rate(
    model: str | nn.Module,
    data: Any,
    recipe: Recipe | Mapping[str, Any] | None = None,
    *,
    loss_fn: Loss | None = None,
    optimizer: Optimizer | Callable[..., Optimizer] | None = None,
    batch_size: int | None = None,
    task: Task | None = None,
    steps: int = 200,
    repeats: int = 3,
    seed: int = 0,
) -> RateRange:
    """Tries rates out on replicas; model, optimiser and global random numbers stay as they are.

    A range test (Smith 2017) tells where to look; then candidates a factor of 2 apart train from
    the same start, and of each round the better ones go on (successive halving, Jamieson &
    Talwalkar 2016). Augmentation is left out.

    Args:
        model: As `check` takes it.
        data: As `check` takes it.
        recipe: As `fit` takes it. A module with `(X, y)`, a torch `Dataset` or a `DataLoader` and
            no recipe is trained as a hand-written program has it.
        loss_fn: Called with outputs and targets; None: that of maximum likelihood for the task.
        optimizer: Whose kind and options are used: one over the parameters of the model, or a
            function of parameters such as `torch.optim.Adam`. None: that of the recipe; of a
            hand-written program gradient descent with momentum 0.9.
        batch_size: Of a hand-written program; None: the loader's, else 32.
        task: Of a hand-written program; None: found out from the loss and the targets.
        steps: Updates of the longest trials, at least 4: the rate that lowers the loss most in so
            many is suggested. Longer trainings like somewhat lower ones.
        repeats: Orders of the examples, of which the median counts; at least 1.
        seed: Of these orders and of dropout, for a hand-written program; else the recipe's.

    Raises:
        DataError, ModelError, RecipeError: What was given cannot be trained at all, or not at rates
            that could be tried out.
    """
    if steps < 4 or repeats < 1:
        raise RecipeError(
            f"{steps} steps and {repeats} repeats try nothing out",
            remedy="Give at least 4 steps and 1 repeat",
        )
    if isinstance(model, nn.Module) and recipe is None and is_hand_written(data):
        subject = subject_of(
            model, data, loss_fn=loss_fn, batch_size=batch_size, task=task, seed=seed
        )
    else:
        subject = subject_of_fit(model, data, as_recipe(recipe), loss_fn)
    subject = _with_optimizer(subject, optimizer)
    held = subject.optimizer
    with state_as_found(subject.model, held, subject.seed, subject.device):
        found = find_rate_range(ShortTraining.of(subject), Effort(SWEEP_STEPS, steps, repeats))
    if not found.sweep:
        raise DataError(
            "the loss is not finite before the training",
            where=subject.title,
            remedy="Look for values in the data that are not finite, or scale the data",
        )
    return found


def _with_optimizer(
    subject: Subject, optimizer: Optimizer | Callable[..., Optimizer] | None
) -> Subject:
    if optimizer is None:
        return subject
    if isinstance(optimizer, Optimizer):
        held = {id(parameter) for parameter in subject.model.parameters()}
        if not any(id(p) in held for group in optimizer.param_groups for p in group["params"]):
            raise RecipeError(
                "the optimizer has no parameter of the model that is trained",
                remedy="Give one over the parameters of this model, or a function such as "
                "torch.optim.Adam",
            )
        return replace(subject, optimizer=optimizer, build_optimizer=None)

    def build(model: nn.Module) -> Optimizer:
        return optimizer([p for p in model.parameters() if p.requires_grad])

    return replace(subject, build_optimizer=build)
