"""Arguments that several commands share, and what they mean."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from trainwell.errors import ModelError, RecipeError, TrainwellError

if TYPE_CHECKING:
    from torch import nn

    from trainwell.data.dataset import Dataset


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """What is loaded, and how."""
    parser.add_argument("data", metavar="DATA", help="name of a data set, or a file or folder")
    parser.add_argument("--target", metavar="COLUMN", help="the column to predict, of a table")
    parser.add_argument(
        "--task",
        choices=("multiclass", "binary", "regression", "reconstruction"),
        help="what is predicted; found from the targets where not given",
    )
    parser.add_argument(
        "--preprocess",
        metavar="STEPS",
        help="such as centre,scale,whiten; chosen by the kind of data where not given",
    )
    parser.add_argument(
        "--corrupt",
        choices=("fail", "skip"),
        default="fail",
        help="pictures that cannot be read: refuse the data (default), or leave out up to 5 %%",
    )


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Any recipe field."""
    parser.add_argument("--epochs", metavar="N", help="passes over the training split")
    parser.add_argument("--seed", metavar="N", help="of weights, order, augmentation and dropout")
    add_settings_argument(parser)


def add_settings_argument(parser: argparse.ArgumentParser) -> None:
    """`--set FIELD=VALUE`."""
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="set any recipe field, such as --set learning_rate=0.05; may be repeated",
    )


def load_data(options: argparse.Namespace) -> Dataset:
    """The data set that the arguments of `add_data_arguments` name."""
    from trainwell.data.sources import load

    steps = options.preprocess
    return load(
        options.data,
        target=options.target,
        task=options.task,
        preprocess=[step.strip() for step in steps.split(",")] if steps else None,
        corrupt=options.corrupt,
    )


def split_settings(words: Sequence[str]) -> dict[str, str]:
    """`["a=1", "b=2"]` as a mapping.

    Raises:
        RecipeError: A word has no equals sign.
    """
    settings = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise RecipeError(
                f"{word!r} is not FIELD=VALUE", where="--set", remedy="Write --set epochs=20"
            )
        settings[name.strip()] = value.strip()
    return settings


def parse_option(text: str) -> Any:
    """A model option from text: `"128,64"`, `"0.5"`, `"true"`."""
    if "," in text:
        return tuple(parse_option(part.strip()) for part in text.split(",") if part.strip())
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def is_import_path(name: str) -> bool:
    """Whether a model's name is `package.module:function` rather than of the catalogue."""
    return ":" in name


def add_own_model_argument(parser: argparse.ArgumentParser) -> None:
    """`--model` of a command that opens a run."""
    parser.add_argument(
        "--model", metavar="PATH", help="package.module:function, where the run trained your own"
    )


def own_model_of(options: argparse.Namespace) -> nn.Module | None:
    """The user's own model that the argument of `add_own_model_argument` names, if any."""
    if not options.model:
        return None
    from trainwell.api import reload_data
    from trainwell.training.run_folder import RunFolder

    folder = RunFolder.open(options.run)
    return build_own_model(options.model, lambda: reload_data(folder, None))


def build_own_model(path: str, load: Callable[[], Dataset]) -> nn.Module:
    """A module from the user's own code, named on the command line.

    Args:
        path: `package.module:function`. The function is called without arguments, or with the
            data set if it takes one argument; it gives a `torch.nn.Module`.
        load: Gives what it is trained on, where the function asks for it.

    Raises:
        ModelError: It cannot be imported, fails, or gives something else.
        DataError: It asks for the data, which cannot be loaded.
    """
    from torch import nn

    from trainwell.models.fresh import call_build

    module_name, _, function_name = path.partition(":")
    # As `python -m` does: code in the present folder can be named.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        model = call_build(function, load)
    except TrainwellError:
        raise
    except Exception as error:
        raise ModelError(
            f"{path} failed: {type(error).__name__}: {error}",
            where="--model",
            remedy="Give package.module:function, a function that returns a torch.nn.Module",
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{path} gives a {type(model).__name__}, not a torch.nn.Module", where="--model"
        )
    return model
