"""What is refused before the first step, since it could not be trained."""

from __future__ import annotations

from torch import nn

from trainwell.data.augment import refuse_unsuited
from trainwell.data.dataset import Dataset
from trainwell.errors import DataError, ModelError, RecipeError
from trainwell.nn.objective import OwnObjective
from trainwell.optim.averaging import has_batch_norm
from trainwell.training.metrics import is_classification
from trainwell.training.recipe import Recipe, micro_batch_of


def refuse_untrainable(recipe: Recipe, model: nn.Module, data: Dataset) -> None:
    """Stops before the first step where the training could not work.

    Raises:
        ModelError: Nothing in the model can be trained.
        DataError: A split is empty, batch normalisation would see single examples only, or an
            augmentation of images meets other inputs.
        RecipeError: Examples cannot be mixed.
    """
    parts = {"training": data.train, "validation": data.valid, "test": data.test}
    for name, part in parts.items():
        if part is not None and len(part) == 0:
            raise DataError(
                f"the {name} split is empty", where=data.name, remedy="Give it some examples"
            )
    refuse_unsuited(recipe.augment or (), data.input_shape)
    if recipe.mixup is not None:
        refuse_unmixable(model, data)
    if not any(p.requires_grad for p in model.parameters()):
        raise ModelError(
            "the model has no parameter that can be trained",
            remedy="Register layers as attributes, and leave requires_grad on",
        )
    smallest = min(micro_batch_of(recipe), len(data.train))
    if has_batch_norm(model) and smallest == 1:
        raise DataError(
            "batch normalisation cannot be trained on batches of one example",
            where=f"batch_size {recipe.batch_size}, {len(data.train)} training examples",
            remedy="Use a larger batch_size, or a model without batch normalisation",
        )


def refuse_unmixable(model: nn.Module, data: Dataset) -> None:
    """Stops where there are no two targets whose losses could be mixed.

    Raises:
        RecipeError: The task is no classification, or the model has an objective of its own.
    """
    obstacle = ""
    if not is_classification(data.task):
        obstacle = f"to a {data.task}, only to a classification"
    elif isinstance(model, OwnObjective):
        obstacle = f"to a {type(model).__name__}, which is trained by a rule of its own"
    if obstacle:
        raise RecipeError(
            f"mixup does not apply {obstacle}", where="recipe", remedy="Leave mixup open"
        )
