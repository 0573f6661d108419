"""`trainwell fit DATA`: trains a model and leaves a run folder with a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from trainwell.cli.arguments import (
    add_data_arguments,
    add_recipe_arguments,
    build_own_model,
    is_import_path,
    load_data,
    parse_option,
    split_settings,
)
from trainwell.cli.ending import tell_divergence, tell_end
from trainwell.cli.explain import tell_plan
from trainwell.cli.folds import fit_folds
from trainwell.cli.progress import choose_progress
from trainwell.errors import NonFiniteError, RecipeError

if TYPE_CHECKING:
    from torch import nn

    from trainwell.data.dataset import Dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fit`."""
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
    parser.add_argument("--out", metavar="FOLDER", help="the run folder, new or empty")
    parser.add_argument(
        "--folds",
        metavar="N",
        type=int,
        help="train N times, each time validating on another part: cross-validation",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print every recipe value and why, and the planned learning rate; train nothing",
    )
    parser.add_argument("--no-report", action="store_true", help="do not write report.html")
    add_recipe_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Trains; exit status 0, or 1 where findings say that something is wrong."""
    recipe_text = _read_recipe(options.recipe)
    from trainwell.api import explain, fit
    from trainwell.models.catalogue import create
    from trainwell.training.recipe import Recipe

    settings = split_settings(options.settings)
    for name in ("epochs", "seed"):
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    base = Recipe.from_toml(recipe_text, where=options.recipe or "recipe")
    recipe = base.with_settings(settings)
    data = load_data(options)
    name = options.model or suitable_model(data)
    model_options = {k: parse_option(v) for k, v in split_settings(options.model_options).items()}

    def build(examples: Dataset) -> nn.Module:
        if is_import_path(name):
            return build_own_model(name, lambda: examples)
        return create(name, examples, seed=recipe.seed, **model_options)

    if options.folds is not None:
        return fit_folds(build, name, data, recipe, options)
    model = build(data)
    if options.explain:
        return tell_plan(explain(model, data, recipe), as_json=options.json)
    telling = {"as_json": options.json, "with_report": not options.no_report}
    try:
        finished = fit(
            model,
            data,
            recipe,
            out=options.out,
            model_origin=name,
            observers=[choose_progress()],
        )
    except NonFiniteError as error:
        return tell_divergence(error, **telling)
    return tell_end(finished, **telling)


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
