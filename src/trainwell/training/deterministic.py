"""Deterministic operations only, for as long as a run lasts (B13)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from trainwell.errors import RecipeError, TrainwellError, first_line

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
CUBLAS_SETTING = ":4096:8"
NO_IMPLEMENTATION = " does not have a deterministic implementation"


@contextlib.contextmanager
def only_deterministic(is_wanted: bool) -> Iterator[None]:
    """Torch refuses operations that are not deterministic within, if that is wanted.

    Args:
        is_wanted: False changes nothing.
    """
    if not is_wanted:
        yield
        return
    was_on = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get(CUBLAS)
    # cuBLAS is deterministic only with a workspace of its own for each stream (CUDA 10.2).
    os.environ.setdefault(CUBLAS, CUBLAS_SETTING)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_on, warn_only=only_warned)
        if workspace is None:
            del os.environ[CUBLAS]


def explain_nondeterministic(error: BaseException) -> TrainwellError | None:
    """The error that names the operation which torch refused; None if it refused none."""
    name, found, _ = first_line(error).partition(NO_IMPLEMENTATION)
    if not found:
        return None
    return RecipeError(
        f"{name} is not deterministic",
        where="deterministic",
        remedy="Use another operation in the model, or deterministic=false",
    )
