"""What `fit` trains and `check` looks at: the arguments that name a model and its recipe."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainwell.cli.arguments import (
    add_data_arguments,
    add_recipe_arguments,
    build_own_model,
    is_import_path,
    load_data,
    parse_option,
    split_settings,
)
from trainwell.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

    from trainwell.data.dataset import Dataset
    from trainwell.training.recipe import Recipe


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Data, model and recipe."""
    add_data_arguments(parser)
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="a name of `trainwell models`, or package.module:function of your own; "
        "a suitable one where not given",
    )
    parser.add_argument(
        "--option",
        dest="model_options",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an option of the model, such as --option sizes=512,256; may be repeated",
    )
    parser.add_argument("--recipe", metavar="FILE", help="a TOML file with recipe fields")
    add_recipe_arguments(parser)


@dataclass(frozen=True)
class Plan:
    """What the arguments name.

    Attributes:
        name: Of the model, as the user gave it.
        data: Loaded.
        recipe: As given, not completed.
        model_options: Of a model of the catalogue.
    """

    name: str
    data: Dataset
    recipe: Recipe
    model_options: dict[str, Any]

    def build(self, examples: Dataset) -> nn.Module:
        """A fresh model for some data."""
        from trainwell.models.catalogue import create

        if is_import_path(self.name):
            return build_own_model(self.name, lambda: examples)
        return create(self.name, examples, seed=self.recipe.seed, **self.model_options)


def read_plan(options: argparse.Namespace) -> Plan:
    """What the arguments of `add_plan_arguments` name.

    Raises:
        RecipeError: The recipe cannot be read or has an impossible value.
        DataError: The data cannot be loaded.
    """
    recipe_text = _read_recipe(options.recipe)
    from trainwell.training.recipe import Recipe

    settings = split_settings(options.settings)
    for name in ("epochs", "seed"):
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    base = Recipe.from_toml(recipe_text, where=options.recipe or "recipe")
    recipe = base.with_settings(settings)
    data = load_data(options)
    model_options = {k: parse_option(v) for k, v in split_settings(options.model_options).items()}
    return Plan(options.model or suitable_model(data), data, recipe, model_options)


def suitable_model(data: Dataset) -> str:
    """The model for data that the user named none for: convolutions for colour pictures."""
    if data.kind == "image" and data.input_shape[0] == 3 and min(data.input_shape[1:]) >= 16:
        return "resnet20"
    return "mlp"


def _read_recipe(path: str | None) -> str:
    if path is None:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"the recipe cannot be read: {error}", where=path, remedy="Give a TOML file"
        ) from error
