"""The public verbs: load, explain, fit, resume, and opening a run that was made before."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from trainwell.data.adapt import adapt
from trainwell.data.dataset import Dataset
from trainwell.data.sources import load, reload
from trainwell.errors import CheckpointError, DataError, ModelError, RunFolderError
from trainwell.explanation import Explanation
from trainwell.models.catalogue import ModelSpec, create, find_entry, rebuild, spec_of
from trainwell.nn.losses import Loss
from trainwell.run import Run
from trainwell.training.checkpoint import newest_checkpoint, quarantine
from trainwell.training.defaults import complete_recipe, explain_recipe, recipe_of
from trainwell.training.final_weights import final_weights
from trainwell.training.fingerprint import fingerprint, list_changes
from trainwell.training.fitting import (
    describe_run,
    prepare,
    run_training,
    write_parts,
)
from trainwell.training.observer import Observer
from trainwell.training.precision import PLAIN, Resolved
from trainwell.training.recipe import Recipe
from trainwell.training.run_folder import RunFolder
from trainwell.training.session import describe_environment
from trainwell.training.signals import StopRequest

__all__ = ["explain", "fit", "load", "load_run", "resume"]

Path = str | os.PathLike[str]


def fit(
    model: str | nn.Module,
    data: Any,
    recipe: Recipe | None = None,
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
        recipe: What to do; fields left open are chosen for the model, else for the optimiser.
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
    with StopRequest() as stop:
        given = recipe or Recipe()
        module, dataset = _match(model, data, given)
        spec = spec_of(module)
        complete = complete_recipe(given, dataset, spec)
        setting = prepare(module, dataset, complete, loss_fn)
        folder = RunFolder.claim(out, name=f"{dataset.name}-{title_of(module)}")
        with folder.lock():
            about = spec.to_dict() if spec else {"own": model_origin or type(module).__qualname__}
            write_parts(folder, setting)
            described = describe_run(folder.path.name, setting, about)
            run_training(folder, setting, stop, described, observers)
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
    module, dataset = _match(copy.deepcopy(model), data, given)
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
        RunFolderError: Not a run folder, in use, or something changed and that is not allowed.
        CheckpointError: No checkpoint is whole.
    """
    with StopRequest() as stop:
        folder = RunFolder.open(path)
        with folder.lock():
            module = _rebuild_model(folder, model)
            dataset = suit_data(reload_data(folder, data), module)
            if folder.read_json_or_empty("result.json"):
                return load_run(path, model=module, data=dataset)
            about = folder.read_json("run.json")
            saved = Recipe.from_toml(folder.read_text("recipe.toml"), where="recipe.toml")
            recipe = saved.with_settings(settings or {})
            found = newest_checkpoint(folder.checkpoints)
            if found is None:
                raise CheckpointError(
                    "there is no checkpoint", where=str(folder.path), remedy="Start a new run"
                )
            checkpoint, damaged = found
            prepared = prepare(module, dataset, recipe, loss_fn, Resolved(**about["resolved"]))
            prints = fingerprint(recipe, module, dataset)
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
            folder.note("resumed", f"resumed at step {checkpoint.step}")
            run_training(folder, prepared, stop, checkpoint, observers)
        return Run(folder, module, dataset, loss_fn)


def load_run(path: Path, *, model: nn.Module | None = None, data: Any = None) -> Run:
    """Opens a run with the weights that its training left, or has reached.

    Args:
        path: The run folder; it is only read.
        model: Needed where the run trained a module of the user's own: one of the same kind.
        data: What it was trained on, where `evaluate` is wanted and it came as Python objects.

    Raises:
        RunFolderError: Not a run folder.
        CheckpointError: No checkpoint is whole.
    """
    folder = RunFolder.open(path)
    module = _rebuild_model(folder, model)
    found = newest_checkpoint(folder.checkpoints)
    if found is None:
        raise CheckpointError("there is no checkpoint", where=str(folder.path))
    module.load_state_dict(final_weights(found[0]))
    if data is None:
        return Run(folder, module, None)
    dataset = data if isinstance(data, Dataset) else load(data)
    return Run(folder, module, suit_data(dataset, module))


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


def _match(model: str | nn.Module, data: Any, recipe: Recipe) -> tuple[nn.Module, Dataset]:
    """The model built for the data, and the data as the model needs it."""
    dataset = data if isinstance(data, Dataset) else load(data)
    module = create(model, dataset, seed=recipe.seed) if isinstance(model, str) else model
    return module, suit_data(dataset, module)


def _rebuild_model(folder: RunFolder, model: nn.Module | None) -> nn.Module:
    if model is not None:
        return model
    about = folder.read_json("run.json")["model"]
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
    return rebuild_data(folder.read_json("run.json")["data"]["origin"], data, str(folder.path))


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


def _list_environment_changes(saved: Mapping[str, str], device: Any) -> list[str]:
    """What could change the bits: torch and the kind of device."""
    present = describe_environment(device)
    return [
        f"{name} ({saved.get(name)}, now {present[name]})"
        for name in ("torch", "device", "threads")
        if saved.get(name) != present[name]
    ]
