"""The public verbs: load, explain, fit, resume, and opening a run that was made before."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from trainwell.checks.before_training import check_before_training
from trainwell.data.adapt import adapt
from trainwell.data.dataset import Dataset
from trainwell.data.sources import load, reload
from trainwell.errors import (
    CheckpointError,
    DataError,
    ModelError,
    RecipeError,
    RunFolderError,
)
from trainwell.explanation import Explanation
from trainwell.models.catalogue import ModelSpec, create, find_entry, rebuild, spec_of
from trainwell.nn.losses import Loss
from trainwell.optim.optimizers import find_optimizer
from trainwell.repairing import run_repairing
from trainwell.run import Run
from trainwell.training.about import read_about, read_result
from trainwell.training.checkpoint import Checkpoint, Damaged, newest_checkpoint, quarantine
from trainwell.training.defaults import complete_recipe, explain_recipe, recipe_of
from trainwell.training.deterministic import only_deterministic
from trainwell.training.environment import describe_environment
from trainwell.training.final_weights import final_weights
from trainwell.training.fingerprint import digest_recipe, fingerprint, list_changes
from trainwell.training.fitting import (
    describe_run,
    prepare,
    refuse_missing_loss,
    run_training,
    write_parts,
)
from trainwell.training.going_back import finish_going_back
from trainwell.training.observer import Observer
from trainwell.training.precision import PLAIN, Resolved
from trainwell.training.recipe import DEFAULT_OPTIMIZER, Recipe
from trainwell.training.run_folder import RunFolder
from trainwell.training.signals import StopRequest
from trainwell.training.watched_run import OpenWatch
from trainwell.version import __version__
from trainwell.watching.of_run import open_watcher

__all__ = ["explain", "fit", "load", "load_run", "resume"]

Path = str | os.PathLike[str]


def fit(
    model: str | nn.Module,
    data: Any,
    recipe: Recipe | Mapping[str, Any] | None = None,
    *,
    out: Path | None = None,
    loss_fn: Loss | None = None,
    model_origin: str = "",
    observers: Sequence[Observer] = (),
) -> Run:
    """Trains a model, leaves a run folder, and gives the handle of the run.

    Args:
        model: A name of the catalogue, or any module; a module is trained in place.
        data: A `Dataset`, or anything that `load` takes.
        recipe: What to do, or a mapping of a recipe's fields; what is left open is chosen for the
            model, else for the optimiser.
        out: The run folder, new or empty. None: a new one of its own name below `runs`.
        loss_fn: Called with outputs and targets, gives the mean over the batch. None: the loss of
            maximum likelihood for the task.
        model_origin: How the user names a module of their own; kept in the run folder for people.
        observers: Told of every reading.

    Raises:
        DataError, ModelError, RecipeError: What was given cannot be trained.
        RunFolderError: The run folder cannot be used.
        NonFiniteError: A loss or gradient was not finite.
        Interrupted: A signal asked to stop; everything is saved.
    """
    given = as_recipe(recipe)
    if not isinstance(model, str | nn.Module):
        raise ModelError(
            f"the model is a {type(model).__name__}",
            remedy="Give a name of trainwell.models.CATALOGUE, or a torch.nn.Module",
        )
    with StopRequest() as stop, only_deterministic(given.deterministic):
        module, dataset = match(model, data, given)
        spec = spec_of(module)
        complete = complete_recipe(given, dataset, spec)
        setting = prepare(module, dataset, complete, loss_fn)
        folder = RunFolder.claim(out, name=f"{dataset.name}-{title_of(module)}")
        with folder.lock():
            about = spec.to_dict() if spec else {"own": model_origin or type(module).__qualname__}
            write_parts(folder, setting)
            if complete.check:
                check_before_training(folder, setting, f"{title_of(module)} on {dataset.name}")
            described = describe_run(folder.path.name, setting, about)
            train = run_repairing if complete.repair else run_training
            train(folder, setting, stop, described, observers, _watching(complete))
        return Run(folder, module, dataset, loss_fn)


def explain(model: str | nn.Module, data: Any, recipe: Recipe | None = None) -> Explanation:
    """Every recipe value that `fit` would train with, and why; trains nothing, writes nothing.

    Args:
        model: As `fit` takes it; it is left as it is.
        data: As `fit` takes it.
        recipe: As `fit` takes it.

    Raises:
        DataError, ModelError, RecipeError: What was given cannot be trained.
    """
    given = recipe or Recipe()
    module, dataset = match(copy.deepcopy(model), data, given)
    choices = explain_recipe(given, dataset, spec_of(module))
    setting = prepare(module, dataset, recipe_of(choices), None, PLAIN)
    steps_per_epoch = len(setting.batches(dataset.train, train=True))
    return Explanation(f"{title_of(module)} on {dataset.name}", choices, steps_per_epoch)


def resume(
    path: Path,
    *,
    model: nn.Module | None = None,
    data: Any = None,
    loss_fn: Loss | None = None,
    settings: Mapping[str, str] | None = None,
    allow_change: bool = False,
    observers: Sequence[Observer] = (),
) -> Run:
    """Goes on with a run from its newest whole checkpoint; on one machine, to the same bits.

    Args:
        path: The run folder.
        model: Needed where the run trained a module of the user's own: the same module.
        data: Needed where the run was given Python objects: the same data.
        loss_fn: Needed where the run was given one.
        settings: Recipe fields to change, as text; needs `allow_change`.
        allow_change: Go on although recipe, data, split or versions are not those of the run.
        observers: Told of every reading.

    Raises:
        RunFolderError: Not a run folder, in use, something changed and that is not allowed, or the
            run has ended and settings are given.
        ModelError: The model or the loss of the user's own was not given again.
        CheckpointError: No checkpoint is whole.
    """
    folder = RunFolder.open(path)
    with StopRequest() as stop, folder.lock():
        about = read_about(folder)
        finish_going_back(folder)
        saved = Recipe.from_toml(folder.read_text("recipe.toml"), where="recipe.toml")
        recipe = saved.with_settings(settings or {})
        checkpoint, damaged = _find_checkpoint(folder)
        if read_result(folder):
            _refuse_change_of_ended(folder, about, checkpoint, saved, recipe)
            return load_run(path, model=model, data=data, loss_fn=loss_fn)
        refuse_missing_loss(folder, about, loss_fn)
        module = _rebuild_model(folder, model)
        dataset = suit_data(reload_data(folder, data), module)
        if settings:
            recipe = complete_recipe(recipe, dataset, spec_of(module))
        with only_deterministic(recipe.deterministic):
            prepared = prepare(module, dataset, recipe, loss_fn, Resolved(**about["resolved"]))
            prints = fingerprint(recipe, module, dataset, loss_fn)
            changes = list_changes(checkpoint.fingerprints, prints)
            changes += _list_environment_changes(about["environment"], prepared.device)
            if changes and not allow_change:
                raise RunFolderError(
                    f"{', '.join(changes)} changed since the run was started",
                    where=str(folder.path),
                    remedy="Restore it, or go on all the same with --allow-change",
                )
            for found_damaged in damaged:
                folder.note("damaged_checkpoint", quarantine(found_damaged))
            if changes:
                folder.note("changed", f"resumed although {', '.join(changes)} changed")
                folder.write_text("recipe.toml", recipe.to_toml())
            folder.note("resumed", f"resumed at step {checkpoint.step}", step=checkpoint.step)
            train = run_repairing if recipe.repair else run_training
            train(folder, prepared, stop, checkpoint, observers, _watching(recipe))
        return Run(folder, module, dataset, loss_fn)


def load_run(
    path: Path,
    *,
    model: nn.Module | None = None,
    data: Any = None,
    loss_fn: Loss | None = None,
) -> Run:
    """Opens a run with the weights that its training left, or has reached.

    Args:
        path: The run folder; it is only read.
        model: Needed where the run trained a module of the user's own: one of the same kind.
        data: What it was trained on, where `evaluate` is wanted and it came as Python objects.
        loss_fn: Needed where `evaluate` is wanted and the run was given one.

    Raises:
        RunFolderError: Not a run folder.
        CheckpointError: No checkpoint is whole.
        ModelError: The weights do not fit the model that is given.
    """
    folder = RunFolder.open(path)
    module = _rebuild_model(folder, model)
    checkpoint, _ = _find_checkpoint(folder)
    try:
        module.load_state_dict(final_weights(checkpoint))
    except RuntimeError as error:
        raise ModelError(
            f"the weights of the run do not fit the model: {_describe_misfit(error)}",
            where=str(folder.path),
            remedy="Give the model that was trained",
        ) from error
    if data is None:
        return Run(folder, module, None, loss_fn)
    dataset = data if isinstance(data, Dataset) else load(data)
    return Run(folder, module, suit_data(dataset, module), loss_fn)


def _watching(recipe: Recipe) -> OpenWatch | None:
    """Who looks at the updates of a run, where the recipe wants it.

    An optimiser that searches along a line passes through the model in ways that are no updates,
    and Newton's differentiates through it, which hooks would break.
    """
    searches = find_optimizer(recipe.optimizer or DEFAULT_OPTIMIZER).kind.searches
    return open_watcher if recipe.watch and not searches else None


def title_of(model: nn.Module) -> str:
    """What a model is called: its name in the catalogue, else its class."""
    spec = spec_of(model)
    return spec.name if spec else type(model).__name__


def suit_data(data: Dataset, model: nn.Module) -> Dataset:
    """The data for the task and with the preprocessing that a model of the catalogue needs."""
    spec = spec_of(model)
    if spec is None:
        return data
    entry = find_entry(spec.name)
    return adapt(data, entry.task, entry.preprocess)


def match(model: str | nn.Module, data: Any, recipe: Recipe) -> tuple[nn.Module, Dataset]:
    """The model built for the data, and the data as the model needs it."""
    dataset = data if isinstance(data, Dataset) else load(data)
    module = create(model, dataset, seed=recipe.seed) if isinstance(model, str) else model
    return module, suit_data(dataset, module)


def _rebuild_model(folder: RunFolder, model: nn.Module | None) -> nn.Module:
    if model is not None:
        return model
    about = read_about(folder)["model"]
    if "own" in about:
        raise explain_own_model(about["own"], str(folder.path))
    return rebuild(ModelSpec.from_dict(about))


def explain_own_model(name: str, where: str) -> ModelError:
    """Why a folder cannot build the model that it trained."""
    return ModelError(
        f"the run trained a model of your own, {name}",
        where=where,
        # A run folder never says what code to import: it may come from somebody else.
        remedy="Give it again: --model package.module:function, or model=... in Python",
    )


def reload_data(folder: RunFolder, data: Any) -> Dataset:
    """The data of a run; see `rebuild_data`."""
    return rebuild_data(read_about(folder)["data"]["origin"], data, str(folder.path))


def rebuild_data(origin: Mapping[str, Any], data: Any, where: str) -> Dataset:
    """The data as it is given again, else loaded again from what a folder says.

    Args:
        origin: As `Dataset.origin`.
        data: What the user gave again; None: nothing.
        where: The folder.

    Raises:
        DataError: It came as Python objects and was not given again.
    """
    if data is not None:
        return data if isinstance(data, Dataset) else load(data)
    if origin.get("kind") == "memory":
        raise DataError(
            "the run was given Python objects, which its folder does not hold",
            where=where,
            remedy="Give the same data again with data=...",
        )
    return reload(origin)


def as_recipe(given: Recipe | Mapping[str, Any] | None) -> Recipe:
    if given is None or isinstance(given, Recipe):
        return given or Recipe()
    if isinstance(given, Mapping):
        return Recipe.from_fields(given)
    raise RecipeError(
        f"the recipe is a {type(given).__name__}",
        remedy="Give trainwell.Recipe(epochs=20), or a mapping of its fields",
    )


def _find_checkpoint(folder: RunFolder) -> tuple[Checkpoint, list[Damaged]]:
    """The newest whole one, and newer ones that could not be used."""
    found = newest_checkpoint(folder.checkpoints)
    if found is None:
        raise CheckpointError(
            "there is no checkpoint", where=str(folder.path), remedy="Start a new run"
        )
    return found


def _refuse_change_of_ended(
    folder: RunFolder,
    about: Mapping[str, Any],
    checkpoint: Checkpoint,
    saved: Recipe,
    wanted: Recipe,
) -> None:
    """A run that has ended is not trained on: its schedule has come to its end."""
    is_edited = about["environment"].get(
        "trainwell"
    ) == __version__ and checkpoint.fingerprints.get("recipe") != digest_recipe(saved)
    if wanted != saved or is_edited:
        raise RunFolderError(
            "the run has ended, and its recipe cannot be changed any more",
            where=str(folder.path),
            remedy="Train on from its weights in a new run: trainwell fit DATA "
            f"--set start_from={folder.path}",
        )


def _describe_misfit(error: RuntimeError) -> str:
    """The first tensor that does not fit; torch's own first line names only the class."""
    lines = str(error).splitlines()
    return (lines[1] if len(lines) > 1 else lines[0]).strip().rstrip(".")


def _list_environment_changes(saved: Mapping[str, str], device: Any) -> list[str]:
    """What could change the bits: versions, the kind of device, and how sums are divided."""
    present = describe_environment(device)
    return [
        f"{name} ({saved.get(name)}, now {present[name]})"
        for name in ("trainwell", "torch", "numpy", "python", "device", "threads")
        if saved.get(name) != present[name]
    ]
