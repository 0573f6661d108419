"""What suits the data where the recipe leaves a field open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from trainwell.data.dataset import Dataset
from trainwell.optim.optimizers import GRADIENT_DESCENT, find_optimizer
from trainwell.training.metrics import is_classification
from trainwell.training.recipe import DEFAULT_OPTIMIZER, Recipe

FEWEST_UPDATES = 500
EPOCHS = (20, 100)
BATCHES = (16, 128)
BATCHES_IN_SMALL_DATA = 16
LARGE_DATA = 40_000
BATCH_OF_LARGE_DATA = 256


def complete_recipe(recipe: Recipe, data: Dataset, model: Mapping[str, Any]) -> Recipe:
    """The recipe with every open field filled: for the model first, then for the data.

    Args:
        recipe: As the user gave it.
        data: What is trained on.
        model: Fields that suit the model.
    """
    count = len(data.train)
    model = _suit_optimizer(recipe.optimizer, model)
    optimizer = recipe.optimizer or model.get("optimizer")
    usual = choose_batch_size(count)
    if optimizer is not None and find_optimizer(optimizer).kind.whole_split:
        usual = math.ceil(count / recipe.accumulate)
    batch_size = recipe.batch_size or model.get("batch_size") or usual
    steps = math.ceil(count / (batch_size * recipe.accumulate))
    suited = {"batch_size": batch_size, "epochs": choose_epochs(steps)}
    if not is_classification(data.task):
        suited |= _suit_squared_error(optimizer)
    return recipe.complete({**suited, **model})


def _suit_optimizer(chosen: str | None, model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fields that suit a model, less those that hold for another optimiser than the chosen one."""
    if chosen is None:
        return model
    optimizer = find_optimizer(chosen)
    name, kind = optimizer.name, optimizer.kind
    usual = find_optimizer(model.get("optimizer", DEFAULT_OPTIMIZER)).name
    dropped: tuple[str, ...] = ()
    if name != usual and not {name, usual} <= set(GRADIENT_DESCENT):
        dropped = ("learning_rate", "momentum", "weight_decay")
    if kind.searches:
        dropped = (*dropped, "clip_norm")
    if not kind.follows_rate:
        dropped = (*dropped, "schedule", "warmup", "weight_decay")
    if kind.whole_split:
        dropped = (*dropped, "batch_size")
    return {field: value for field, value in model.items() if field not in dropped}


def choose_batch_size(count: int) -> int:
    """128, or a power of two that leaves about 16 batches of fewer examples.

    256 for 40,000 examples or more: an epoch still has over 150 updates, and each costs less an
    example.
    """
    if count >= LARGE_DATA:
        return BATCH_OF_LARGE_DATA
    few, many = BATCHES
    wanted = max(1, count // BATCHES_IN_SMALL_DATA)
    return min(many, max(few, 2 ** round(math.log2(wanted))))


def choose_epochs(steps_per_epoch: int) -> int:
    """20, or as many more as small data needs for 500 updates."""
    few, many = EPOCHS
    return min(many, max(few, math.ceil(FEWEST_UPDATES / steps_per_epoch)))


def _suit_squared_error(optimizer: str | None) -> dict[str, Any]:
    """The gradient of a squared error grows with the error, so the rate that suits a bounded
    cross-entropy gradient diverges.
    """
    if optimizer is None:
        return {"optimizer": "adamw", "learning_rate": 3e-3}
    chosen = find_optimizer(optimizer)
    if chosen.name in GRADIENT_DESCENT:
        return {"learning_rate": chosen.kind.learning_rate / 10}
    return {}
