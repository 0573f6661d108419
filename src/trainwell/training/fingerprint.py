"""Fingerprints of what a run is made of: a changed experiment is never resumed unnoticed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainwell.data.dataset import Dataset
from trainwell.training.recipe import Recipe


def fingerprint(recipe: Recipe, model: nn.Module, data: Dataset) -> dict[str, str]:
    """SHA-256 of the recipe, of the model's tensor names and shapes, of data and of its split."""
    shapes = "\n".join(f"{k} {tuple(v.shape)} {v.dtype}" for k, v in model.state_dict().items())
    return {
        "recipe": hashlib.sha256(recipe.to_toml().encode()).hexdigest(),
        "model": hashlib.sha256(shapes.encode()).hexdigest(),
        **data.fingerprints,
    }


def list_changes(saved: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """Names of the parts whose fingerprint differs."""
    return [name for name in present if saved.get(name) != present[name]]


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of all tensors in the order of their names: equal only if every bit is."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
