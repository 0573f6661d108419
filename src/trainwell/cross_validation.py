"""Cross-validation: one recipe trained on every fold, in run folders that can be resumed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from trainwell.api import explain_own_model, fit, rebuild_data, resume, suit_data, title_of
from trainwell.data.dataset import Dataset, Task
from trainwell.data.folds import make_fold
from trainwell.data.sources import load
from trainwell.errors import Interrupted, ModelError, NonFiniteError, RunFolderError
from trainwell.fold_results import CrossValidation, Fold, name_fold
from trainwell.models.catalogue import create, spec_of
from trainwell.models.fresh import Build, build_fresh
from trainwell.nn.losses import Loss
from trainwell.run import Run
from trainwell.training.claim import RUN
from trainwell.training.defaults import complete_recipe
from trainwell.training.metrics import is_classification
from trainwell.training.observer import Observer
from trainwell.training.recipe import Recipe
from trainwell.training.run_folder import RunFolder
from trainwell.training.signals import StopRequest

FILE = "cross_validation.json"
FORMAT = 1

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Plan:
    """What all folds share.

    Attributes:
        build: Gives a fresh module for a fold.
        probe: One that it gave, by which the folds were planned.
        data: As the model needs it, before it is cut.
        recipe: Complete; its seed also cuts the folds.
        folds: How many.
        loss_fn, model_origin, allow_change, observers: As `cross_validate` takes them.
    """

    build: Build
    probe: nn.Module
    data: Dataset
    recipe: Recipe
    folds: int
    loss_fn: Loss | None
    model_origin: str
    allow_change: bool
    observers: Sequence[Observer]

    @cached_property
    def described(self) -> dict[str, Any]:
        """What must be the same when it goes on, and what it takes to build it again."""
        spec, pool = spec_of(self.probe), dataclasses.replace(self.data, test=None)
        own = self.model_origin or type(self.probe).__qualname__
        return {
            "folds": self.folds,
            "recipe": self.recipe.to_toml(),
            "model": spec.to_dict() if spec else {"own": own},
            "data": pool.fingerprints,
            "origin": dict(self.data.origin),
        }

    def train(self, number: int, path: Path) -> Fold:
        """Trains a fold to its end, from wherever its run folder has come to.

        Raises:
            Interrupted: A signal asked to stop; everything is saved.
        """
        data = make_fold(self.data, number, self.folds, self.recipe.seed)
        module = build_fresh(self.build, data, self.recipe.seed)
        if module is self.probe:
            raise _explain_shared()
        try:
            return Fold(number, self._go_on(module, data, path))
        except NonFiniteError as error:
            return Fold(number, None, str(error))

    def _go_on(self, module: nn.Module, data: Dataset, path: Path) -> Run:
        if not (path / RUN).is_file():
            return fit(
                module,
                data,
                self.recipe,
                out=path,
                loss_fn=self.loss_fn,
                model_origin=self.model_origin,
                observers=self.observers,
            )
        return resume(
            path,
            model=module,
            data=data,
            loss_fn=self.loss_fn,
            allow_change=self.allow_change,
            observers=self.observers,
        )


def cross_validate(
    model: str | Build,
    data: Any,
    recipe: Recipe | None = None,
    folds: int = 5,
    *,
    out: StrPath | None = None,
    loss_fn: Loss | None = None,
    model_origin: str = "",
    allow_change: bool = False,
    observers: Sequence[Observer] = (),
) -> CrossValidation:
    """Trains one recipe on every fold of the data, to choose between models and recipes.

    Training and validation split are put together and cut anew; each part is validated on once, by
    a model that was trained on all others with a preprocessing fitted on those alone. The test
    split is never read: what is chosen here is tested on it once, afterwards. The same recipe, with
    the same seed, is used in every fold; where it stops early, a fold's score is also what stopped
    it, and so is slightly optimistic.

    Each fold is a run folder, `out/fold-1` and so on, and `out/cross_validation.json` holds what
    came of them. Called again with the same `out`, after an interruption, it keeps the folds that
    have ended and goes on with the others, to the same result as without.

    Args:
        model: A name of the catalogue; or a function that builds a fresh module for each fold,
            called without arguments, or with the fold's data where it needs one.
        data: A `Dataset`, or anything that `load` takes; held in memory.
        recipe: As `fit` takes it; what it leaves open is chosen once, for all folds. Its seed also
            cuts the folds.
        folds: At least 2, and at most as many as the rarest class has examples. The classes of a
            classification have the same shares in all (Kohavi 1995).
        out: The folder: new, empty, or of this same cross-validation. None: a new one below `runs`.
        loss_fn: As `fit` takes it.
        model_origin: As `fit` takes it.
        allow_change: Go on with an interrupted fold although versions or machine have changed.
        observers: Told of every reading of every fold.

    Returns:
        Runs, scores, and the mean with its interval. A fold whose loss was not finite is among the
        `failures`; the others go on.

    Raises:
        DataError: The data is streamed, or has too few examples for so many folds.
        ModelError: A module instance was given, whose weights all folds would share.
        RunFolderError: The folder cannot be used, or holds another cross-validation.
        Interrupted: A signal asked to stop; everything is saved.
    """
    build = _choose_build(model)
    dataset = data if isinstance(data, Dataset) else load(data)
    given = recipe or Recipe()
    probe = build_fresh(build, dataset, given.seed)
    dataset = suit_data(dataset, probe)
    # Chosen once, so that the folds do not differ in more than their examples.
    complete = complete_recipe(given, make_fold(dataset, 1, folds, given.seed), spec_of(probe))
    plan = Plan(
        build, probe, dataset, complete, folds, loss_fn, model_origin, allow_change, observers
    )
    return _train_folds(plan, _open(out, plan))


def resume_cross_validation(
    path: StrPath,
    *,
    model: Build | None = None,
    data: Any = None,
    loss_fn: Loss | None = None,
    allow_change: bool = False,
    observers: Sequence[Observer] = (),
) -> CrossValidation:
    """Goes on with an interrupted cross-validation; see `cross_validate`.

    Args:
        path: The folder of the whole.
        model: Needed where it trains a module of the user's own: the same function.
        data: Needed where it was given Python objects: the same data.
        loss_fn: Needed where it was given one.
        allow_change: Go on with an interrupted fold although versions or machine have changed.
        observers: Told of every reading of every fold.

    Raises:
        RunFolderError, DataError, ModelError, Interrupted: As of `cross_validate`.
    """
    planned = _read(RunFolder(Path(path)))["plan"]
    about = planned["model"]
    if model is None and "own" in about:
        raise explain_own_model(about["own"], str(path))
    return cross_validate(
        model or (lambda fold: create(about["name"], fold, **about["options"])),
        rebuild_data(planned["origin"], data, str(path)),
        Recipe.from_toml(planned["recipe"], where=FILE),
        planned["folds"],
        out=path,
        loss_fn=loss_fn,
        model_origin=about.get("own", ""),
        allow_change=allow_change,
        observers=observers,
    )


def holds_cross_validation(path: StrPath) -> bool:
    """Whether a folder holds a cross-validation rather than a run."""
    return (Path(path) / FILE).is_file()


def choose_metric(task: Task) -> str:
    """The score by which models for a task are compared."""
    if is_classification(task):
        return "valid_accuracy"
    return "valid_rmse" if task == "regression" else "valid_loss"


def _choose_build(model: str | Build) -> Build:
    if isinstance(model, str):
        return lambda fold: create(model, fold)
    if isinstance(model, nn.Module):
        raise _explain_shared()
    return model


def _explain_shared() -> ModelError:
    return ModelError(
        "all folds would share the weights of one module",
        where="model",
        remedy="Give a name of the catalogue, or a function that builds a fresh module each time",
    )


def _open(out: StrPath | None, plan: Plan) -> RunFolder:
    """The folder: a new one, or one that holds the same cross-validation.

    Raises:
        RunFolderError: It cannot be used, or the plan has changed.
    """
    if out is None or not holds_cross_validation(out):
        name = f"{plan.data.name}-{title_of(plan.probe)}-{plan.folds}-folds"
        return RunFolder.claim(out, name=name)
    folder = RunFolder(Path(out))
    before, now = _read(folder)["plan"], plan.described
    changes = [name for name in ("folds", "recipe", "model", "data") if before[name] != now[name]]
    if changes:
        raise RunFolderError(
            f"{', '.join(changes)} changed since the cross-validation was started",
            where=str(folder.path),
            remedy="Restore it, or give another folder",
        )
    return folder


def _train_folds(plan: Plan, folder: RunFolder) -> CrossValidation:
    outcomes: list[Fold] = []
    result = CrossValidation(folder.path, choose_metric(plan.data.task), outcomes)
    with folder.lock(), StopRequest() as stop:
        failures = _read_failures(folder)
        _write(folder, plan, result)
        for number in range(1, plan.folds + 1):
            if stop.is_raised:
                raise stop.as_error(str(folder.path))
            if number in failures:
                # The same weights and examples would only fail again.
                outcomes.append(Fold(number, None, failures[number]))
                continue
            try:
                outcomes.append(plan.train(number, folder.path / name_fold(number)))
            except Interrupted:
                raise stop.as_error(str(folder.path)) from None
            _write(folder, plan, result)
    return result


def _write(folder: RunFolder, plan: Plan, result: CrossValidation) -> None:
    folder.write_json(FILE, {"format": FORMAT, "plan": plan.described, **result.to_dict()})


def _read(folder: RunFolder) -> dict[str, Any]:
    """The content of the file.

    Raises:
        RunFolderError: It cannot be read, or a later version wrote it.
    """
    content = folder.read_json(FILE)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RunFolderError(
            f"{FILE} is not of format {FORMAT}", where=str(folder.path), remedy="Update trainwell"
        )
    return content


def _read_failures(folder: RunFolder) -> Mapping[int, str]:
    if not holds_cross_validation(folder.path):
        return {}
    folds = _read(folder)["folds"]
    return {fold["fold"]: fold["error"] for fold in folds if fold["state"] == "failed"}
