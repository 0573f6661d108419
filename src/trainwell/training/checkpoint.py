"""Checkpoints: written so that no crash can tear one, read only when every byte is as written."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from trainwell.errors import CheckpointError
from trainwell.training import strict_json
from trainwell.training.lock import boot_id
from trainwell.training.storage import DISK, Disk

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "state.json"
NAME = re.compile(r"step-(\d{6,})(?:\.(\d+))?")
TEMPORARY = re.compile(r"\.(?:saving|deleting)-(\d+)-([0-9a-f]*)-[0-9a-f]+")
WEIGHTS = ("weights", "average", "early_stop")
LARGEST_JSON = 64 * 2**20


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an update.

    Attributes:
        step: Updates made.
        tensors: Named tensors by the file they are in: `"weights"`, `"optimizer"`, ...
        state: Everything else, as JSON types.
        fingerprints: SHA-256 of recipe, model, data and split.
    """

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]
    fingerprints: Mapping[str, str]


@dataclass(frozen=True)
class Damaged:
    """A checkpoint that is not as it was written.

    Attributes:
        path: Of its folder.
        reason: The file and what is wrong with it.
    """

    path: Path
    reason: str


def save_checkpoint(
    folder: Path, checkpoint: Checkpoint, *, keep: int = 2, disk: Disk = DISK
) -> Path:
    """Writes a checkpoint, verifies it, and only then removes older ones.

    Args:
        folder: Of all checkpoints of the run.
        checkpoint: Its tensors are in host memory.
        keep: Whole checkpoints kept, this one included.
        disk: Where to.

    Returns:
        The new checkpoint's folder.

    Raises:
        CheckpointError: Weights are not finite, or the disk is full or failed; then no older
            checkpoint was touched.
    """
    _refuse_non_finite(checkpoint)
    _remove_stale(folder, disk)
    temporary = folder / _temporary_name("saving")
    try:
        disk.make_folder(temporary)
        _write_files(temporary, encode_files(checkpoint), checkpoint, disk)
        disk.sync_folder(temporary)
        target = folder / _free_name(folder, checkpoint.step)
        disk.rename(temporary, target)
        disk.sync_folder(folder)
        verify_checkpoint(target)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise _as_error(folder, error) from error
    _rotate(folder, keep, disk)
    return target


def encode_files(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The content of every file but the manifest."""
    files = {
        f"{stem}.safetensors": safetensors.torch.save(dict(tensors))
        for stem, tensors in checkpoint.tensors.items()
    }
    return {**files, STATE: strict_json.dump(dict(checkpoint.state))}


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint, if every byte of it is as it was written.

    Raises:
        CheckpointError: Which file is missing, cut short or changed, or the checkpoint was written
            by a later version.
    """
    manifest, files = _read_verified(path)
    try:
        tensors = {
            name.removesuffix(".safetensors"): safetensors.torch.load(content)
            for name, content in files.items()
            if name != STATE
        }
        state = strict_json.parse(files[STATE])
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"cannot be read: {error}", where=str(path)) from error
    return Checkpoint(manifest["step"], tensors, state, manifest["fingerprints"])


def verify_checkpoint(path: Path) -> None:
    """Reads every byte of a checkpoint and compares it with the manifest.

    Raises:
        CheckpointError: As `read_checkpoint`.
    """
    _read_verified(path)


def list_checkpoints(folder: Path) -> list[Path]:
    """All published checkpoints, newest first by step and counter; never by the clock."""
    if not folder.is_dir():
        return []
    found = [(NAME.fullmatch(entry.name), entry) for entry in folder.iterdir()]
    numbered = [(int(m[1]), int(m[2] or 0), path) for m, path in found if m]
    return [path for *_, path in sorted(numbered, key=lambda row: row[:2], reverse=True)]


def newest_checkpoint(folder: Path) -> tuple[Checkpoint, list[Damaged]] | None:
    """The newest whole checkpoint, and newer ones that are damaged; None where there are none.

    Raises:
        CheckpointError: There are some and all are damaged; lists each and why.
    """
    damaged: list[Damaged] = []
    for path in list_checkpoints(folder):
        try:
            return read_checkpoint(path), damaged
        except (CheckpointError, OSError) as error:
            damaged.append(Damaged(path, str(error)))
    if not damaged:
        return None
    raise CheckpointError(
        "no checkpoint is whole: " + "; ".join(d.reason for d in damaged),
        where=str(folder),
        remedy="Restore one from a copy, or start a new run",
    )


def quarantine(damaged: Damaged, disk: Disk = DISK) -> str:
    """Puts a damaged checkpoint aside, keeping it; says what was done."""
    aside = damaged.path.with_name(f"damaged-{damaged.path.name}-{os.urandom(4).hex()}")
    try:
        disk.rename(damaged.path, aside)
    except OSError:
        return f"{damaged.reason}; it was left where it is"
    return f"{damaged.reason}; it was put aside as {aside.name}"


def _write_files(
    folder: Path, files: Mapping[str, bytes], checkpoint: Checkpoint, disk: Disk
) -> None:
    for name, content in files.items():
        disk.write_file(folder / name, content)
    manifest = {
        "format": FORMAT,
        "step": checkpoint.step,
        "fingerprints": dict(checkpoint.fingerprints),
        "files": {name: _describe(content) for name, content in files.items()},
    }
    disk.write_file(folder / MANIFEST, _sign(manifest))


def _describe(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _sign(manifest: Mapping[str, Any]) -> bytes:
    digest = hashlib.sha256(strict_json.dump(dict(manifest))).hexdigest()
    return strict_json.dump({**manifest, "digest": digest})


def _read_manifest(path: Path) -> dict[str, Any]:
    content = _read_limited(path / MANIFEST, LARGEST_JSON)
    try:
        manifest = strict_json.parse(content)
        version = manifest["format"]
        unsigned = {k: v for k, v in manifest.items() if k != "digest"}
        # Signed again and compared whole: a changed blank or escape is found as well.
        is_whole = _sign(unsigned) == content
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"is damaged: {error}", where=str(path / MANIFEST)) from error
    if isinstance(version, int) and version > FORMAT:
        raise CheckpointError(
            f"was written by format {version}, this version reads up to {FORMAT}",
            where=str(path),
            remedy="Update trainwell",
        )
    if not is_whole:
        raise CheckpointError("does not match its own digest", where=str(path / MANIFEST))
    return manifest


def _read_verified(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    manifest = _read_manifest(path)
    present = {entry.name for entry in path.iterdir()} - {MANIFEST}
    odd = sorted(present ^ set(manifest["files"]))
    if odd:
        raise CheckpointError(f"files missing or too many: {', '.join(odd)}", where=str(path))
    files = {}
    for name, expected in manifest["files"].items():
        content = _read_limited(path / name, expected["size"])
        if _describe(content) != expected:
            raise CheckpointError("is cut short or changed", where=str(path / name))
        files[name] = content
    return manifest, files


def _read_limited(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if len(content) > most:
        raise CheckpointError(f"is larger than {most} bytes", where=str(path))
    return content


def _refuse_non_finite(checkpoint: Checkpoint) -> None:
    for stem in WEIGHTS:
        for name, tensor in checkpoint.tensors.get(stem, {}).items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise CheckpointError(
                    f"{name} has values that are not finite; such weights are never saved",
                    where=f"step {checkpoint.step}",
                    remedy="Resume from the checkpoint before it, with a lower learning rate",
                )


def _temporary_name(purpose: str) -> str:
    return f".{purpose}-{os.getpid()}-{boot_id().replace('-', '')[:12]}-{os.urandom(4).hex()}"


def _free_name(folder: Path, step: int) -> str:
    name, counter = f"step-{step:06d}", 1
    while (folder / name).exists():
        name, counter = f"step-{step:06d}.{counter}", counter + 1
    return name


def _remove_stale(folder: Path, disk: Disk) -> None:
    """Removes what a dead process was writing or deleting; a live one's is left alone."""
    here = boot_id().replace("-", "")[:12]
    for entry in folder.iterdir():
        match = TEMPORARY.fullmatch(entry.name)
        if match and not (match[2] == here and _is_other_live_process(int(match[1]))):
            shutil.rmtree(entry, ignore_errors=True)


def _is_other_live_process(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _rotate(folder: Path, keep: int, disk: Disk) -> None:
    """Removes whole checkpoints beyond the newest `keep`; damaged ones do not count and stay."""
    whole = 0
    for path in list_checkpoints(folder):
        try:
            verify_checkpoint(path)
        except (CheckpointError, OSError):
            continue
        whole += 1
        if whole <= keep:
            continue
        aside = folder / _temporary_name("deleting")
        try:
            disk.rename(path, aside)
            disk.remove_tree(aside)
        except OSError:
            # The new checkpoint is safe; what could not be deleted is tried again next time.
            return


def _as_error(folder: Path, error: OSError) -> CheckpointError:
    free = ""
    try:
        free = f"; {shutil.disk_usage(folder).free} bytes are free"
    except OSError:
        pass
    return CheckpointError(
        f"the checkpoint cannot be written: {error.strerror or error}{free}",
        where=str(folder),
        remedy="Free space or restore access, then resume; older checkpoints are untouched",
    )
