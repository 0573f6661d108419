"""Fingerprints of what a run is made of: a changed experiment is never resumed unnoticed (B14)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from torch import nn

from trainwell.data.dataset import Dataset
from trainwell.data.preprocess import Preprocess
from trainwell.nn.losses import Loss
from trainwell.training import strict_json
from trainwell.training.digest import digest_weights
from trainwell.training.own_code import describe_code, describe_model
from trainwell.training.recipe import Recipe


def fingerprint(
    recipe: Recipe, model: nn.Module, data: Dataset, own_loss: Loss | None = None
) -> dict[str, str]:
    """SHA-256 of each part of an experiment.

    Args:
        recipe: Complete.
        model: By names and shapes of its tensors, and by its code.
        data: By its examples, their split and their preprocessing.
        own_loss: Of the user; None: the loss of the task, which the recipe names.
    """
    shapes = "\n".join(f"{k} {tuple(v.shape)} {v.dtype}" for k, v in model.state_dict().items())
    return {
        "recipe": digest_recipe(recipe),
        "model": _digest(shapes),
        "model_code": _digest(describe_model(model)),
        "loss": _digest("" if own_loss is None else describe_code(own_loss)),
        "preprocessing": digest_preprocess(data.preprocess),
        **data.fingerprints,
    }


def digest_recipe(recipe: Recipe) -> str:
    """SHA-256 of every field that is set."""
    return _digest(recipe.to_toml())


def digest_preprocess(preprocess: Preprocess) -> str:
    """SHA-256 of preprocessing: its steps and every number."""
    tensors, fields = preprocess.to_state()
    return _digest(
        digest_weights(tensors) + strict_json.dump(fields).decode("utf-8", "surrogatepass")
    )


def list_changes(saved: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """Names of the parts whose fingerprint differs, for people."""
    changed = [name for name in present if saved.get(name) != present[name]]
    return [name.replace("_", " ") for name in changed]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
