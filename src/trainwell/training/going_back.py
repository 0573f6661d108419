"""A run goes back to an earlier state, with another recipe; a kill on the way is made good later.

`repairs.json` says what is to be done before anything is done, and every step can be made twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainwell.errors import CheckpointError
from trainwell.training.checkpoint import (
    Checkpoint,
    list_checkpoints,
    newest_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from trainwell.training.fingerprint import digest_recipe
from trainwell.training.recipe import Recipe
from trainwell.training.repairs import Repair, keep_repair, read_repairs
from trainwell.training.retention import remove_newer, step_of
from trainwell.training.run_folder import FINDINGS, METRICS, RunFolder

RECIPE = "recipe.toml"
FIRST_STEP = 0
KEPT_FILES = (RECIPE, FINDINGS, METRICS)


def start_repair(folder: RunFolder, repair: Repair) -> Checkpoint:
    """Puts a repair in force; gives the state to go on from.

    Args:
        folder: Locked by this process, its metrics closed.
        repair: New.

    Raises:
        RunFolderError, CheckpointError: Something cannot be written.
    """
    if repair.had_ended:
        _keep_what_was(folder, repair)
    keep_repair(folder, repair)
    return _put_in_force(folder, repair)


def take_back(folder: RunFolder, repair: Repair) -> Checkpoint:
    """Brings back the end of the training without a repair, and those after it; gives its state.

    Args:
        folder: Locked by this process, its metrics closed.
        repair: That was made when the training had ended.

    Raises:
        RunFolderError, CheckpointError: Something cannot be read or written.
    """
    keep_repair(folder, dataclasses.replace(repair, status="taking back"))
    return _bring_back(folder, repair)


def finish_going_back(folder: RunFolder) -> None:
    """Makes good what a kill cut off.

    Args:
        folder: Locked by this process.

    Raises:
        RunFolderError, CheckpointError: Something cannot be read or written.
    """
    for repair in read_repairs(folder):
        if repair.status == "starting":
            _put_in_force(folder, repair)
        elif repair.status == "taking back":
            _bring_back(folder, repair)


def kept_checkpoints(folder: Path) -> list[Checkpoint]:
    """The whole checkpoints that are kept, one of each step, oldest first.

    Args:
        folder: Of all checkpoints.
    """
    found: dict[int, Checkpoint] = {}
    for path in list_checkpoints(folder):
        step = step_of(path)
        if step is not None and step not in found:
            with contextlib.suppress(CheckpointError):
                found[step] = read_checkpoint(path)
    return [found[step] for step in sorted(found)]


def _put_in_force(folder: RunFolder, repair: Repair) -> Checkpoint:
    recipe = _read_recipe(folder).replace(**repair.change)
    folder.write_text(RECIPE, recipe.to_toml())
    folder.write_findings(_findings_of_checks(folder, repair))
    kept = {found.step: found for found in kept_checkpoints(folder.checkpoints)}
    checkpoint = kept.get(repair.goes_on_from)
    if checkpoint is None:
        raise CheckpointError(
            f"no checkpoint of step {repair.goes_on_from} is whole",
            where=str(folder.checkpoints),
            remedy="Start a new run",
        )
    gone_back = _go_back(folder, checkpoint, recipe)
    done = dataclasses.replace(repair, status="in force")
    keep_repair(folder, done)
    folder.note("repaired", str(done), step=repair.found_at)
    return gone_back


def _bring_back(folder: RunFolder, repair: Repair) -> Checkpoint:
    archive = folder.path / repair.archive
    found = newest_checkpoint(archive / "checkpoints")
    if found is None:
        raise CheckpointError("there is no checkpoint", where=str(archive))
    with folder.open_metrics() as metrics:
        metrics.cut(0)
    for name in KEPT_FILES:
        folder.write_text(name, folder.read_text(f"{repair.archive}/{name}"))
    gone_back = _go_back(folder, found[0], _read_recipe(folder))
    for known in read_repairs(folder):
        if known.number >= repair.number:
            keep_repair(folder, dataclasses.replace(known, status="taken back"))
    folder.note("repair_taken_back", f"repair {repair.number} did not help and was taken back")
    return gone_back


def _keep_what_was(folder: RunFolder, repair: Repair) -> None:
    """The end of the training, so that a repair can be taken back."""
    archive = folder.path / repair.archive
    archive.mkdir(parents=True, exist_ok=True)
    for name in KEPT_FILES:
        if (folder.path / name).is_file():
            folder.write_text(f"{repair.archive}/{name}", folder.read_text(name))
    found = newest_checkpoint(folder.checkpoints)
    if found is not None:
        save_checkpoint(archive / "checkpoints", found[0], disk=folder.disk)


def _go_back(folder: RunFolder, checkpoint: Checkpoint, recipe: Recipe) -> Checkpoint:
    """Makes a checkpoint the newest one, under the recipe that is in force now."""
    prints = {**checkpoint.fingerprints, "recipe": digest_recipe(recipe)}
    gone_back = dataclasses.replace(checkpoint, fingerprints=prints)
    protect = {FIRST_STEP, checkpoint.step}
    path = save_checkpoint(
        folder.checkpoints, gone_back, keep=recipe.keep, protect=protect, disk=folder.disk
    )
    remove_newer(folder.checkpoints, path, folder.disk)
    newest = list_checkpoints(folder.checkpoints)[0]
    if newest.name != path.name:
        # A training that goes on would take it for where it stands.
        raise CheckpointError(
            "this newer checkpoint could not be removed",
            where=str(newest),
            remedy="Mend that, then resume the run",
        )
    return gone_back


def _read_recipe(folder: RunFolder) -> Recipe:
    return Recipe.from_toml(folder.read_text(RECIPE), where=RECIPE)


def _findings_of_checks(folder: RunFolder, repair: Repair) -> list[Mapping[str, Any]]:
    """What was found before the training; the rest is judged anew."""
    checked = folder.read_json_or_empty("check.json").get("findings", [])
    return [
        row
        for row in folder.read_findings()
        if row in checked and row["code"] != repair.finding.code
    ]
