"""A training from a folder's first file to its last: prepare, describe, train, evaluate."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from trainwell.data.dataset import Dataset
from trainwell.errors import ModelError, NonFiniteError, TrainwellError
from trainwell.findings import Finding
from trainwell.nn.losses import Loss
from trainwell.nn.objective import Generative, Prepared
from trainwell.training.checkpoint import Checkpoint, NonFiniteWeightsError
from trainwell.training.compilation import resolve_compilation
from trainwell.training.contact_sheet import show_augmented
from trainwell.training.digest import digest_weights
from trainwell.training.environment import choose_device, describe_environment
from trainwell.training.final_evaluation import SAMPLES, describe_evaluation, show_samples
from trainwell.training.fingerprint import fingerprint
from trainwell.training.going_back import FIRST_STEP
from trainwell.training.nonfinite import (
    describe_non_finite,
    describe_non_finite_weights,
    describe_unmeasured,
)
from trainwell.training.observer import Observer, Progress
from trainwell.training.own_code import name_of
from trainwell.training.precision import Resolved, resolve_precision
from trainwell.training.randomness import RunRandomness
from trainwell.training.recipe import Recipe
from trainwell.training.recording import RunRecorder
from trainwell.training.refusals import refuse_untrainable
from trainwell.training.repairs import StartAgain, read_repairs
from trainwell.training.run_folder import RunFolder
from trainwell.training.session import Session, Setting
from trainwell.training.signals import StopRequest
from trainwell.training.state import Position, TrainingState
from trainwell.training.transfer import freeze, load_weights, read_weights
from trainwell.training.trial import count_parameters, loss_for, try_forward
from trainwell.training.watched_run import OpenWatch, WatchedRun

TRIAL_EXAMPLES = 32


def prepare(
    model: nn.Module,
    data: Dataset,
    recipe: Recipe,
    loss_fn: Loss | None,
    resolved: Resolved | None = None,
) -> Setting:
    """What a training is made of, tried out on a few examples.

    Args:
        model: Moved to the device of the recipe.
        data: Fits the model.
        recipe: Complete.
        loss_fn: The user's own; None: the loss of the task.
        resolved: Precision and layout of a run that is resumed; None chooses.

    Raises:
        ModelError, DataError, RecipeError: It could not work.
    """
    freeze(model, recipe.freeze)
    refuse_untrainable(recipe, model, data)
    device = choose_device(recipe.device)
    model.to(device)
    loss_of = (lambda outputs: loss_fn) if loss_fn is not None else loss_for(data, recipe)
    draft = Setting(recipe, model, data, loss_of(data.outputs), Resolved("float32"), device)
    # Trying out draws random numbers and must not disturb the user's.
    with RunRandomness(recipe.seed, device):
        batch = next(iter(draft.batches(data.train, train=False).read()))
        few = dataclasses.replace(
            batch, inputs=batch.inputs[:TRIAL_EXAMPLES], targets=batch.targets[:TRIAL_EXAMPLES]
        )
        loss = try_forward(model, loss_of, few)
        if resolved is None:
            resolved = resolve_precision(recipe.precision, model, loss, few.inputs, few.targets)
            draft = dataclasses.replace(draft, loss=loss, resolved=resolved)
            resolved = _resolve_compilation(draft)
    resolved.arrange(model)
    return dataclasses.replace(draft, loss=loss, resolved=resolved, own_loss=loss_fn)


def _resolve_compilation(setting: Setting) -> Resolved:
    """Whether the model is compiled, tried on a full batch of the training."""
    recipe, data = setting.recipe, setting.data
    trainable = dataclasses.replace(setting, recipe=recipe.replace(accumulate=1))
    batches = trainable.batches(data.train, train=True)
    batch = next(iter(batches.read()))
    in_all = (recipe.epochs or 0) * len(batches)
    return resolve_compilation(recipe, setting.model, setting.loss, setting.resolved, batch, in_all)


def describe_run(name: str, setting: Setting, model: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `run.json`.

    Args:
        name: Of the run.
        setting: What the training is made of.
        model: How to build the model again, as JSON types.
    """
    data = setting.data
    sizes = {"train": len(data.train), "valid": len(data.valid)}
    if data.test is not None:
        sizes["test"] = len(data.test)
    return {
        "name": name,
        "model": dict(model),
        "own_loss": None if setting.own_loss is None else name_of(setting.own_loss),
        "data": {
            "name": data.name,
            "origin": dict(data.origin),
            "task": data.task,
            "kind": data.kind,
            "classes": list(data.classes),
            "columns": list(data.columns),
            "schema": [dict(column) for column in data.schema],
            "held_shape": held_shape(data),
            "held_dtype": held_dtype(data),
            "held_range": held_range(data),
            "input_shape": list(data.input_shape),
            "sizes": sizes,
            "notes": list(data.notes),
            "fingerprints": data.fingerprints,
        },
        "environment": describe_environment(setting.device),
        "resolved": setting.resolved.to_dict(),
        "parameters": count_parameters(setting.model),
        "steps_per_epoch": len(setting.batches(data.train, train=True)),
    }


def refuse_missing_loss(folder: RunFolder, about: Mapping[str, Any], loss_fn: Loss | None) -> None:
    """Stops where a run had a loss of the user's own and the loss of the task would be taken.

    Raises:
        ModelError: It did, and the loss was not given again.
    """
    if loss_fn is None and about.get("own_loss"):
        raise ModelError(
            f"the run was trained with a loss of your own, {about['own_loss']}",
            where=str(folder.path),
            remedy="Give it again in Python, with loss_fn=...",
        )


def write_parts(folder: RunFolder, setting: Setting) -> None:
    """Writes recipe, preprocessing and split into a new run folder.

    Raises:
        RunFolderError: They, or the checkpoints to come, do not fit on the disk.
    """
    data = setting.data
    folder.write_text("recipe.toml", setting.recipe.to_toml())
    tensors, fields = data.preprocess.to_state()
    folder.write_tensors("preprocess.safetensors", tensors)
    folder.write_json("preprocess.json", fields)
    splits = {"train": data.train, "valid": data.valid, "test": data.test}
    ids = {name: part.ids for name, part in splits.items() if part is not None}
    folder.write_tensors("split.safetensors", ids)
    # Weights, gradients' moments and a copy for the average or the best, for each one kept.
    size = sum(t.numel() * t.element_size() for t in setting.model.state_dict().values())
    forecast = folder.refuse_if_too_small(4 * size * (setting.recipe.keep + 1))
    folder.note("forecast", str(forecast))
    for message in data.notes:
        folder.note("data", message)


def held_shape(data: Dataset) -> list[int] | None:
    """Shape of one example as held; None for streamed data."""
    inputs = data.train.inputs
    return list(inputs.shape[1:]) if isinstance(inputs, torch.Tensor) else None


def held_dtype(data: Dataset) -> str | None:
    """Type of the inputs as held, such as `"uint8"`; None for streamed data."""
    inputs = data.train.inputs
    return str(inputs.dtype).removeprefix("torch.") if isinstance(inputs, torch.Tensor) else None


def held_range(data: Dataset) -> dict[str, Any] | None:
    """Whether images are held as integers, and their largest value; None for other data."""
    inputs = data.train.inputs
    if data.kind != "image" or not isinstance(inputs, torch.Tensor):
        return None
    return {"integer": not inputs.is_floating_point(), "largest": float(inputs.max())}


def run_training(
    folder: RunFolder,
    setting: Setting,
    stop: StopRequest,
    start: Checkpoint | Mapping[str, Any],
    observers: Sequence[Observer],
    open_watch: OpenWatch | None = None,
    look_back: Callable[[], None] | None = None,
) -> None:
    """Trains to the end, and writes how it ended.

    Args:
        folder: Locked by this process.
        setting: What the training is made of.
        stop: Raised by signals.
        start: The checkpoint to go on from; or, for a new run, the content of its `run.json`,
            which is written once there is a checkpoint: what has a `run.json` can be resumed.
        observers: Told of every reading.
        open_watch: Attaches who looks at every update; None: nobody does.
        look_back: Called when the last update was made, before anything is evaluated.

    Raises:
        StartAgain: Who looks at the updates, or back at them, wants another training.
        Interrupted: A signal asked to stop; everything is saved.
        NonFiniteError: A loss or gradient was not finite.
    """
    began = time.monotonic()
    prints = fingerprint(setting.recipe, setting.model, setting.data, setting.own_loss)
    with RunRandomness(setting.recipe.seed, setting.device), folder.open_metrics() as metrics:

        def make_recorder(state: TrainingState, position: Position) -> RunRecorder:
            recipe = setting.recipe
            protect = (FIRST_STEP,) if recipe.repair else ()
            return RunRecorder(folder, metrics, state, position, prints, recipe.keep, protect)

        session = Session.open(setting, stop, make_recorder, observers)
        if isinstance(start, Checkpoint):
            session.state.restore(start)
            metrics.cut(session.loop.position.metrics_rows)
            for message in metrics.messages:
                folder.note("damaged_metrics", message)
        else:
            _give_first_weights(folder, setting)
            session.loop.recorder.save()
            folder.write_json("run.json", start)
        _tell_started(folder, session, observers)
        watched = WatchedRun(folder, observers)
        if open_watch is not None:
            session.loop.watch = watched.open(open_watch, setting, session.loop.step.optimizer)
        try:
            reason = session.train()
        except NonFiniteError as error:
            error.run_folder = str(folder.path)
            watched.close()
            _keep_finding(folder, describe_non_finite(error))
            _tell_ended(observers, "not_finite")
            raise
        except NonFiniteWeightsError as error:
            watched.close()
            _keep_finding(folder, describe_non_finite_weights(error))
            folder.note("failed", str(error))
            _tell_ended(observers, "not_finite")
            raise
        except StartAgain:
            _tell_ended(observers, "repaired")
            raise
        except BaseException as error:
            _tell_ended(observers, "failed")
            if isinstance(error, TrainwellError):
                folder.note("failed", str(error))
            raise
        finally:
            watched.close()
        if reason == "interrupted":
            _tell_ended(observers, reason)
            raise stop.as_error(str(folder.path))
        if look_back is not None:
            try:
                look_back()
            except StartAgain:
                _tell_ended(observers, "repaired")
                raise
        _finish(folder, session, reason, began)
    _tell_ended(observers, reason)


def _give_first_weights(folder: RunFolder, setting: Setting) -> None:
    """Weights from another training, or from a look at the inputs, where recipe or model ask."""
    model, start_from = setting.model, setting.recipe.start_from
    if start_from is not None:
        loaded = load_weights(model, read_weights(start_from))
        folder.note("transfer", f"started from {start_from}: {loaded}")
    if isinstance(model, Prepared):
        model.prepare(_all_inputs(setting))


def _all_inputs(setting: Setting) -> torch.Tensor:
    """The training split as the model sees it, without augmentation."""
    batches = setting.batches(setting.data.train, train=False)
    return torch.cat([batch.inputs for batch in batches.read()])


def _finish(folder: RunFolder, session: Session, reason: str, began: float) -> None:
    """Evaluates the weights that the training leaves; the test split is read only here."""
    setting, position = session.setting, session.loop.position
    model, data = session.loop.selection.load_kept(), setting.data
    scores = setting.evaluator(data.valid).measure(model).named("valid")
    split_name, evaluated = "valid", None
    if data.test is not None:
        split_name = "test"
        evaluated = setting.evaluator(data.test).measure(model)
        scores |= evaluated.named("test")
    evaluated = evaluated or setting.evaluator(data.valid).measure(model)
    scaler = session.loop.step.scaler
    described = describe_evaluation(data, split_name, evaluated)
    described["augmented"] = show_augmented(data, session.loop.batches, position.epoch)
    if isinstance(model, Generative):
        described["samples"] = show_samples(data, model.generate(SAMPLES))
    folder.write_json("evaluation.json", described)
    row = {"kind": "final", "step": position.step, "epoch": position.epoch, **scores}
    session.loop.recorder.record(row)
    epochs = [row for row in folder.read_metrics() if row["kind"] == "epoch"]
    _keep_finding(folder, describe_unmeasured(epochs))
    metrics = {**_train_scores(epochs), **scores}
    folder.write_json(
        "result.json",
        {
            "reason": reason,
            "epochs": position.epoch,
            "steps": position.step,
            "seconds": round(time.monotonic() - began, 3),
            "metrics": metrics,
            "skipped_updates": 0 if scaler is None else int(scaler.skipped),
            "weights_sha256": digest_weights(model.state_dict()),
        },
    )


def _keep_finding(folder: RunFolder, finding: Finding | None) -> None:
    """Adds a finding to those of the run, unless it is there: a run may end twice, if killed."""
    if finding is not None and finding.to_dict() not in (known := folder.read_findings()):
        folder.write_findings([*known, finding.to_dict()])


def _train_scores(epochs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {k: v for k, v in (epochs[-1] if epochs else {}).items() if k.startswith("train_")}


def _tell_started(folder: RunFolder, session: Session, observers: Sequence[Observer]) -> None:
    setting, loop = session.setting, session.loop
    model = folder.read_json("run.json")["model"]
    checked = folder.read_json_or_empty("check.json")
    repairs = tuple(map(str, read_repairs(folder)))
    progress = Progress(
        epochs=setting.recipe.epochs or 0,
        steps_per_epoch=len(loop.batches),
        first_step=loop.position.step,
        run=str(folder.path),
        model=model.get("name") or model["own"],
        data=setting.data.name,
        parameters=count_parameters(setting.model),
        notes=repairs or (() if loop.position.step else setting.data.notes),
        checked="" if loop.position.step or repairs else checked.get("summary", ""),
    )
    for observer in observers:
        observer.started(progress)


def _tell_ended(observers: Sequence[Observer], reason: str) -> None:
    for observer in observers:
        observer.ended(reason)
