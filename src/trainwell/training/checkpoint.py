"""Checkpoints: written so that no crash can tear one, read only when every byte is as written."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainwell.errors import CheckpointError
from trainwell.training import strict_json
from trainwell.training.manifest import (
    MANIFEST,
    STATE,
    DamagedError,
    Manifest,
    NewerFormatError,
    UnreadableError,
    read_files,
    read_manifest,
)
from trainwell.training.retention import (
    free_name,
    list_checkpoints,
    list_quarantined,
    remove_aside,
    remove_leftovers,
    rotate,
    step_of,
    temporary_name,
)
from trainwell.training.storage import DISK, Disk, count_free_bytes, describe_failure
from trainwell.training.tensor_file import decode_tensors, encode_tensors

__all__ = [
    "Checkpoint",
    "Damaged",
    "DamagedError",
    "NewerFormatError",
    "NonFiniteWeightsError",
    "UnreadableError",
    "list_checkpoints",
    "newest_checkpoint",
    "quarantine",
    "read_checkpoint",
    "save_checkpoint",
    "verify_checkpoint",
]

TENSORS = ".safetensors"
# Files whose numbers must be finite; sums of a window may be anything.
WEIGHTS = ("weights", "average", "selection", "early_stop", "optimizer")
# A reader that meets a checkpoint being rotated away looks again.
MOST_SCANS = 10


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an update.

    Attributes:
        step: Updates made.
        tensors: Named tensors by the file they are in: `"weights"`, `"optimizer"`, ... (lower-case
            letters, digits and underscores).
        state: Everything else, as JSON types with text as names.
        fingerprints: SHA-256 of recipe, model, data and split.
    """

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]
    fingerprints: Mapping[str, str]


@dataclass(frozen=True)
class Damaged:
    """A checkpoint that could not be used.

    Attributes:
        path: Of its folder.
        reason: The file and what is wrong with it.
        is_changed: It is not as it was written; otherwise it only could not be read.
    """

    path: Path
    reason: str
    is_changed: bool = True


def save_checkpoint(
    folder: Path,
    checkpoint: Checkpoint,
    *,
    keep: int = 2,
    protect: Collection[int] = (),
    disk: Disk = DISK,
) -> Path:
    """Writes a checkpoint, verifies it, and only then removes older ones.

    A step that is there already, with the same content, is not written again; with another
    content, the new one gets a name that sorts after the old one.

    Args:
        folder: Of all checkpoints of the run; made if its parent exists.
        checkpoint: Of any device.
        keep: Whole checkpoints kept, this one included; at least 2.
        protect: Steps that are never removed, such as the best one.
        disk: Where to.

    Returns:
        The checkpoint's folder. It survives a power loss from now on.

    Raises:
        CheckpointError: Weights are not finite, something cannot be written as safetensors or
            JSON, or the disk is full or failed; then no older checkpoint was touched.
    """
    _refuse_non_finite(checkpoint)
    files = encode_files(checkpoint)
    manifest = Manifest.of(checkpoint.step, checkpoint.fingerprints, files)
    files[MANIFEST] = manifest.encode()
    try:
        _make_folder(folder, disk)
        remove_leftovers(folder, disk)
        target = _find_same(folder, manifest)
        if target is None:
            target = _publish(folder, checkpoint.step, files, disk)
        else:
            # Who wrote it may have been killed before its name was durable.
            disk.sync_folder(folder)
    except OSError as error:
        needed = sum(map(len, files.values()))
        found, remedy = describe_failure(error, folder, needed)
        raise CheckpointError(
            f"the checkpoint of step {checkpoint.step} cannot be written: {found}; "
            "older checkpoints are untouched",
            where=str(folder),
            remedy=remedy,
        ) from error
    rotate(folder, keep, protect, _is_whole, disk)
    return target


def encode_files(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The content of every file but the manifest.

    Raises:
        CheckpointError: Something cannot be written as safetensors or JSON; names it.
    """
    files: dict[str, bytes] = {}
    name = STATE
    try:
        for stem, tensors in checkpoint.tensors.items():
            name = stem + TENSORS
            files[name] = encode_tensors(tensors)
        name = STATE
        files[name] = strict_json.dump(dict(checkpoint.state))
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"{name} cannot be written: {error}", where=f"step {checkpoint.step}"
        ) from error
    return files


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint, if every byte of it is as it was written.

    Args:
        path: Its folder.

    Raises:
        DamagedError: Which file is missing, cut short or changed.
        NewerFormatError: A later version wrote it.
        UnreadableError: A file cannot be read.
    """
    manifest = _read_manifest(path)
    tensors: dict[str, Mapping[str, Tensor]] = {}
    state: dict[str, Any] = {}
    for name, content in read_files(path, manifest):
        try:
            if name == STATE:
                state = strict_json.parse(content)
            else:
                tensors[name.removesuffix(TENSORS)] = decode_tensors(content)
        except ValueError as error:
            raise DamagedError(str(error), where=str(path / name)) from error
    return Checkpoint(manifest.step, tensors, state, manifest.fingerprints)


def verify_checkpoint(path: Path) -> None:
    """Reads every byte of a checkpoint and compares it with the manifest.

    Raises:
        CheckpointError: As `read_checkpoint`.
    """
    for _ in read_files(path, _read_manifest(path)):
        pass


def newest_checkpoint(folder: Path) -> tuple[Checkpoint, list[Damaged]] | None:
    """The newest whole checkpoint, and newer ones that could not be used.

    Nothing is changed on disk: the training that goes on calls `quarantine` for each of those.

    Args:
        folder: Of all checkpoints of the run.

    Returns:
        None only where no checkpoint was ever published.

    Raises:
        NewerFormatError: The newest was written by a later version; an older one is not taken in
            its place.
        CheckpointError: There are some and none can be used; lists each and why.
    """
    damaged: list[Damaged] = []
    for _ in range(MOST_SCANS):
        damaged, vanished = [], False
        for path in _list(folder):
            try:
                return read_checkpoint(path), damaged
            except NewerFormatError:
                raise
            except CheckpointError as error:
                if path.exists():
                    damaged.append(Damaged(path, str(error), isinstance(error, DamagedError)))
                else:
                    vanished = True
        if not vanished:
            break
    reasons = [found.reason for found in damaged]
    reasons += [f"{path}: was put aside as damaged" for path in list_quarantined(folder)]
    if not reasons:
        return None
    raise CheckpointError(
        "no checkpoint is whole: " + "; ".join(reasons),
        where=str(folder),
        remedy="Restore one from a copy, or start a new run",
    )


def quarantine(damaged: Damaged, disk: Disk = DISK) -> str:
    """Puts a damaged checkpoint aside, keeping it, where that can be done; says what was done.

    Args:
        damaged: As `newest_checkpoint` found it. One that only could not be read stays.
        disk: Where to.
    """
    if not damaged.is_changed:
        return f"{damaged.reason}; it was passed over"
    aside = damaged.path.with_name(f"damaged-{damaged.path.name}-{os.urandom(4).hex()}")
    try:
        disk.rename(damaged.path, aside)
        disk.sync_folder(aside.parent)
    except OSError:
        return f"{damaged.reason}; it was passed over and left where it is"
    return f"{damaged.reason}; it was put aside as {aside.name}"


def _make_folder(folder: Path, disk: Disk) -> None:
    with contextlib.suppress(FileExistsError):
        disk.make_folder(folder)
        disk.sync_folder(folder.parent)


def _find_same(folder: Path, manifest: Manifest) -> Path | None:
    """The newest checkpoint of the step, if it is whole and has the same content."""
    for path in list_checkpoints(folder):
        if step_of(path) == manifest.step:
            with contextlib.suppress(CheckpointError):
                if _read_manifest(path) == manifest and _is_whole(path):
                    return path
            return None
    return None


def _publish(folder: Path, step: int, files: Mapping[str, bytes], disk: Disk) -> Path:
    temporary = folder / temporary_name("saving")
    try:
        _refuse_if_full(folder, files)
        disk.make_folder(temporary)
        for name, content in files.items():
            disk.write_file(temporary / name, content)
        disk.sync_folder(temporary)
        target = folder / free_name(folder, step)
        disk.rename(temporary, target)
    except BaseException:
        remove_aside(temporary, disk)
        raise
    try:
        disk.sync_folder(folder)
        verify_checkpoint(target)
    except (OSError, CheckpointError):
        # It is not known to be durable or whole, so it may not stand for this step.
        _withdraw(target, disk)
        raise
    return target


def _withdraw(path: Path, disk: Disk) -> None:
    aside = path.with_name(temporary_name("deleting"))
    with contextlib.suppress(OSError):
        disk.rename(path, aside)
        remove_aside(aside, disk)


def _refuse_if_full(folder: Path, files: Mapping[str, bytes]) -> None:
    """Before the disk is filled to its last byte, which would harm others too."""
    free = count_free_bytes(folder)
    if free is not None and free < sum(map(len, files.values())):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read_manifest(path: Path) -> Manifest:
    manifest = read_manifest(path)
    named = step_of(path)
    if named is not None and named != manifest.step:
        raise DamagedError(f"holds step {manifest.step}, not what its name says", where=str(path))
    return manifest


def _is_whole(path: Path) -> bool:
    try:
        verify_checkpoint(path)
    except CheckpointError:
        return False
    return True


def _list(folder: Path) -> list[Path]:
    try:
        return list_checkpoints(folder)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}", where=str(folder)) from error


class NonFiniteWeightsError(CheckpointError):
    """Weights are not finite, and are not saved.

    Args:
        step: Updates made.
        name: Of the tensor.
        stem: What it belongs to, such as `"weights"`.
    """

    def __init__(self, step: int, name: str, stem: str) -> None:
        super().__init__(
            f"{name} of {stem} has values that are not finite; such weights are not saved",
            where=f"step {step}",
            remedy="Resume from the checkpoint before it, with a lower learning rate",
        )
        self.step, self.name = step, name


def _refuse_non_finite(checkpoint: Checkpoint) -> None:
    for stem in WEIGHTS:
        for name, tensor in checkpoint.tensors.get(stem, {}).items():
            if not _is_sound(tensor.detach()):
                raise NonFiniteWeightsError(checkpoint.step, name, stem)


def _is_sound(tensor: Tensor) -> bool:
    """Whether all values are finite, or it is an attention mask: zeros and negative infinities."""
    if tensor.is_complex():
        return bool(torch.isfinite(tensor).all())
    if not tensor.is_floating_point():
        return True
    # The types of one byte have no test of their own.
    tested = tensor.float() if tensor.element_size() == 1 else tensor
    if bool(torch.isfinite(tested).all()):
        return True
    is_zero = tested == 0
    return bool((is_zero | torch.isneginf(tested)).all()) and bool(is_zero.any())
