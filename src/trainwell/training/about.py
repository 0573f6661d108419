"""What a run folder says of its run; a file that says less than it must is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainwell.data.preprocess import Preprocess
from trainwell.training.run_folder import RunFolder

ABOUT, RESULT, PREPROCESS = "run.json", "result.json", "preprocess.json"

Fields = Mapping[str, type | tuple[type, ...]]
ABOUT_FIELDS: Fields = {
    "name": str,
    "model": dict,
    "data": dict,
    "environment": dict,
    "resolved": dict,
}
DATA_FIELDS: Fields = {
    "name": str,
    "origin": dict,
    "task": str,
    "kind": str,
    "classes": list,
    "columns": list,
    "schema": list,
    "input_shape": list,
}
MODEL_FIELDS: Fields = {"name": str, "input_shape": list, "outputs": int, "options": dict}
RESOLVED_FIELDS: Fields = {"precision": str, "memory_format": str}
RESULT_FIELDS: Fields = {
    "reason": str,
    "epochs": int,
    "steps": int,
    "seconds": (int, float),
    "metrics": dict,
    "weights_sha256": str,
}


def read_about(folder: RunFolder) -> dict[str, Any]:
    """The content of `run.json`; see `fitting.describe_run`.

    Raises:
        RunFolderError: It is missing or damaged.
    """
    about = folder.read_json(ABOUT)
    _require(folder, ABOUT, about, ABOUT_FIELDS)
    _require(folder, ABOUT, about["data"], DATA_FIELDS)
    _require(folder, ABOUT, about["resolved"], RESOLVED_FIELDS)
    if "own" not in about["model"]:
        _require(folder, ABOUT, about["model"], MODEL_FIELDS)
    return about


def read_result(folder: RunFolder) -> dict[str, Any]:
    """The content of `result.json`; empty while the run has not ended.

    Raises:
        RunFolderError: It is damaged.
    """
    result = folder.read_json_or_empty(RESULT)
    if result:
        _require(folder, RESULT, result, RESULT_FIELDS)
    return result


def read_preprocess(folder: RunFolder) -> Preprocess:
    """The preprocessing that was fitted for a run.

    Raises:
        RunFolderError: It is missing or damaged.
    """
    tensors, fields = folder.read_tensors("preprocess.safetensors"), folder.read_json(PREPROCESS)
    try:
        return Preprocess.from_state(tensors, fields)
    except (AttributeError, TypeError) as error:
        raise folder.as_damaged(PREPROCESS, ValueError("it is no preprocessing")) from error


def _require(folder: RunFolder, name: str, value: Any, fields: Fields) -> None:
    if not isinstance(value, dict):
        raise folder.as_damaged(name, ValueError("it is not an object"))
    for field, kind in fields.items():
        if not isinstance(value.get(field), kind):
            raise folder.as_damaged(name, ValueError(f"it does not say {field!r}"))
