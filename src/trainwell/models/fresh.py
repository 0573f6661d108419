"""Fresh modules from the user's own functions, alike each time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from trainwell.data.dataset import Dataset
from trainwell.errors import ModelError

Build = Callable[..., nn.Module]
"""Called without arguments, or with the data set where it needs one argument."""


def build_fresh(build: Build, data: Dataset, seed: int) -> nn.Module:
    """What a function builds, with initial weights that the seed draws.

    Args:
        build: See `Build`.
        data: Handed to it.
        seed: Of torch's default generator meanwhile; afterwards that goes on as if it had not been
            used.

    Raises:
        ModelError: It does not give a module.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = call_build(build, lambda: data)
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"the function gives a {type(module).__name__}, not a torch.nn.Module", where="model"
        )
    return module


def call_build(build: Callable[..., Any], load: Callable[[], Dataset]) -> Any:
    """What the function gives when it is called as `Build` says; loads only what it asks for."""
    return build(load()) if len(_required_parameters(build)) == 1 else build()


def _required_parameters(function: Callable[..., Any]) -> list[str]:
    parameters: Mapping[str, inspect.Parameter] = inspect.signature(function).parameters
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, p in parameters.items() if p.kind in positional and p.default is p.empty]
