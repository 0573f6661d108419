"""Loads data by name, from a path, or from Python objects."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset as TorchDataset

from trainwell.data.adapt import adapt
from trainwell.data.assemble import SplitPlan, assemble
from trainwell.data.dataset import Dataset, Task
from trainwell.data.download import DOWNLOADS, fetch
from trainwell.data.embedded import EMBEDDED
from trainwell.data.files import path_exists, read_path
from trainwell.data.folds import KIND as FOLD
from trainwell.data.folds import make_fold
from trainwell.data.formats.arrays import from_arrays
from trainwell.data.formats.tables import from_frame
from trainwell.data.options import (
    refuse_target,
    refuse_unknown_options,
    refuse_unused_options,
)
from trainwell.data.provenance import describe_files, refuse_changed_files
from trainwell.data.raw import Corrupt, Reading
from trainwell.data.streams import from_torch_dataset
from trainwell.errors import DataError


def load(
    source: Any,
    *,
    target: str | None = None,
    task: Task | None = None,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    preprocess: Sequence[str] | None = None,
    corrupt: Corrupt = "fail",
    name: str | None = None,
) -> Dataset:
    """Data ready to be trained on.

    Args:
        source: A name (`"digits"`, `"mnist"`), a path (IDX, CIFAR, image folder or archive,
            Parquet, CSV, NPZ), `(X, y)` arrays or tensors, a pandas or polars DataFrame, a torch
            `Dataset`, or a `Dataset`, which is given back as it is.
        target: The column to predict, of a table.
        task: What is predicted; None finds out from the targets.
        valid_fraction: Share of the training rows that are set aside, where no validation split is
            given.
        test_fraction: Share of all rows that are set aside, where no test split is given.
        seed: Of the splits.
        preprocess: Steps of `data.preprocess.STEPS`; None chooses by the kind of data.
        corrupt: Pictures that cannot be read: `"fail"` refuses the data and names them, `"skip"`
            leaves them out, up to 5 % of all.
        name: Of the data set, for people.

    Raises:
        DataError: What was found, where, and what to do.
    """
    refuse_unknown_options(task, corrupt)
    if isinstance(source, Dataset):
        if target is not None or task is not None or preprocess is not None:
            raise DataError(
                "the data is loaded already: target, task and preprocess come too late",
                where=source.name,
                remedy="Give them where it is loaded",
            )
        return source
    plan = SplitPlan(valid_fraction, test_fraction, seed)
    options = {
        "target": target,
        "task": task,
        "valid_fraction": valid_fraction,
        "test_fraction": test_fraction,
        "seed": seed,
        "preprocess": list(preprocess) if preprocess is not None else None,
        "corrupt": corrupt,
        "name": name,
    }
    if isinstance(source, str | os.PathLike):
        return _load_named(source, plan, options)
    memory = {"kind": "memory"}
    if isinstance(source, TorchDataset):
        refuse_target(target, "", "dataset")
        return from_torch_dataset(
            source, plan, task=task, name=name or "dataset", preprocess=preprocess
        )
    if _is_frame(source):
        raw = from_frame(source, target, task, where="DataFrame")
        return assemble(raw, plan, name=name or "table", origin=memory, preprocess=preprocess)
    if isinstance(source, tuple) and len(source) == 2:
        refuse_target(target, "", "(X, y)")
        raw = from_arrays(*source, task, where="(X, y)")
        return assemble(raw, plan, name=name or "arrays", origin=memory, preprocess=preprocess)
    raise DataError(
        f"data cannot be loaded from a {type(source).__name__}",
        remedy="Give a name, a path, (X, y), a DataFrame or a torch Dataset",
    )


def reload(origin: Mapping[str, Any]) -> Dataset:
    """The data set that `load` once gave, from its `origin`.

    Raises:
        DataError: It came as Python objects, or its files have changed.
    """
    if origin.get("kind") == "memory":
        raise DataError(
            "the data came as Python objects, which a run folder does not hold",
            remedy="Give the same data again with data=...",
        )
    if origin.get("kind") == FOLD:
        return make_fold(reload(origin["of"]), origin["number"], origin["folds"], origin["seed"])
    refuse_changed_files(origin.get("files", []))
    return load(origin["source"], **origin["options"])


def _load_named(
    source: str | os.PathLike[str], plan: SplitPlan, options: Mapping[str, Any]
) -> Dataset:
    text = os.fspath(source)
    path = Path(text)
    origin: dict[str, Any] = {"kind": "name", "source": text, "options": dict(options)}
    title, preprocess = options["name"], options["preprocess"]
    reading = Reading(options["target"], options["task"], options["corrupt"])
    if options["task"] == "reconstruction" and not text.endswith((".npz", ".npy")):
        # Targets that are there stratify the splits before they are dropped.
        known = _load_named(source, plan, {**options, "task": None})
        return adapt(known, "reconstruction")
    if isinstance(source, str) and text in EMBEDDED:
        raw = EMBEDDED[text]()
        refuse_unused_options(raw, reading, text)
        return assemble(raw, plan, name=title or text, origin=origin, preprocess=preprocess)
    exists = path_exists(path)
    if isinstance(source, str) and text in DOWNLOADS and not exists:
        path = fetch(DOWNLOADS[text])
        raw = read_path(path, reading)
        refuse_unused_options(raw, reading, text)
        return assemble(raw, plan, name=title or text, origin=origin, preprocess=preprocess)
    if not exists:
        raise _unknown(text)
    raw = read_path(path, reading)
    refuse_unused_options(raw, reading, text)
    origin |= {"kind": "path", "source": str(path.resolve()), "files": describe_files(path)}
    name = title or path.resolve().name.split(".")[0] or "data"
    return assemble(raw, plan, name=name, origin=origin, preprocess=preprocess)


def _unknown(text: str) -> DataError:
    known = [*EMBEDDED, *DOWNLOADS]
    near = difflib.get_close_matches(text, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    shown = text if len(text) <= 200 else text[:200] + "..."
    return DataError(
        f"there is no file, folder or data set {shown!r}",
        remedy=f"{hint}Data sets by name: {', '.join(known)}",
    )


def _is_frame(source: Any) -> bool:
    """Whether this is a DataFrame of pandas or polars; neither is imported for it."""
    package = type(source).__module__.partition(".")[0]
    return package in ("pandas", "polars") and type(source).__name__ == "DataFrame"
