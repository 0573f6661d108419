"""Hooks that belong to one watcher: a copy or a pickle of the watched model does not take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def silent(*args: Any) -> None:
    """What a hook is in a copy of the model: nothing."""


def _make_silent() -> Callable[..., None]:
    return silent


class ModuleHook:
    """A forward hook that answers to one module only, and not within compiled code.

    Replicas of data parallelism share their original's hooks, and a deep copy would drag the
    watcher along; both are left alone. `torch.compile` would take the hooks that happen to be
    there into its graph and run them, or not, from then on.

    Args:
        owner: The module whose calls are of interest.
        function: Called as the hook; what it returns is dropped, so it cannot change a result.
    """

    def __init__(self, owner: nn.Module, function: Callable[..., object]) -> None:
        self._owner = owner
        self._function = function

    def __call__(self, module: nn.Module, *args: Any) -> None:
        """What torch calls."""
        if not torch.compiler.is_compiling() and module is self._owner:
            self._function(module, *args)

    def __deepcopy__(self, memo: object) -> Callable[..., None]:
        return silent

    def __reduce__(self) -> tuple[Callable[[], Callable[..., None]], tuple[()]]:
        return _make_silent, ()
