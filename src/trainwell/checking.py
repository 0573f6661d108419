"""The verb `check`: what is wrong with a model, its data and its recipe, before the training."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from trainwell.api import as_recipe, match, title_of
from trainwell.checks.given import subject_of
from trainwell.checks.prepared import subject_of_setting
from trainwell.checks.subject import Subject
from trainwell.checks.suite import CHECKS, run_checks
from trainwell.checks.verdict import CheckReport
from trainwell.data.dataset import Dataset, Task
from trainwell.data.draw import Augmentation
from trainwell.models.catalogue import spec_of
from trainwell.nn.losses import Loss
from trainwell.training.defaults import complete_recipe
from trainwell.training.fitting import prepare
from trainwell.training.precision import PLAIN
from trainwell.training.recipe import Recipe


def check(
    model: str | nn.Module,
    data: Any,
    recipe: Recipe | Mapping[str, Any] | None = None,
    *,
    valid: Any = None,
    loss_fn: Loss | None = None,
    optimizer: Optimizer | None = None,
    batch_size: int | None = None,
    task: Task | None = None,
    augment: Augmentation | None = None,
    shuffle: bool | None = None,
    seed: int = 0,
) -> CheckReport:
    """Looks at a model, its data and its recipe before they are trained.

    Model, optimiser and global random numbers are left exactly as they are found.

    Args:
        model: A name of the catalogue, or any module.
        data: A `Dataset`, or anything that `load` takes: checked as `fit` would train on it. A
            module with `(X, y)`, a torch `Dataset` or a `DataLoader` and no recipe is checked as a
            hand-written program has it: the module gets the inputs as they are.
        recipe: As `fit` takes it.
        valid: Of a hand-written program: validation examples.
        loss_fn: Called with outputs and targets; None: that of maximum likelihood for the task.
        optimizer: Of a hand-written program.
        batch_size: Of a hand-written program; None: the loader's, else 32.
        task: Of a hand-written program; None: found out from the loss and the targets.
        augment: Of a hand-written program: applied to each batch of inputs.
        shuffle: Of a hand-written program: whether examples come in random order; None: as the
            loader does, else yes.
        seed: From which the checks of a hand-written program derive their random numbers.

    Raises:
        DataError, ModelError, RecipeError: What was given cannot be trained at all.
    """
    if isinstance(model, nn.Module) and recipe is None and _is_hand_written(data):
        subject = subject_of(
            model,
            data,
            valid=valid,
            loss_fn=loss_fn,
            optimizer=optimizer,
            batch_size=batch_size,
            task=task,
            augment=augment,
            shuffle=shuffle,
            seed=seed,
        )
    else:
        subject = _subject_of_fit(model, data, as_recipe(recipe), loss_fn)
    return run_checks(subject, CHECKS)


def _is_hand_written(data: Any) -> bool:
    return isinstance(data, tuple | list | TorchDataset | DataLoader)


def _subject_of_fit(
    model: str | nn.Module, data: Any, recipe: Recipe, loss_fn: Loss | None
) -> Subject:
    """What `fit` would train, on a copy of the model."""
    module, dataset = match(copy.deepcopy(model), data, recipe)
    complete = complete_recipe(recipe, dataset, spec_of(module))
    setting = prepare(module, dataset, complete, loss_fn, PLAIN)
    return subject_of_setting(setting, f"{title_of(module)} on {dataset.name}")
