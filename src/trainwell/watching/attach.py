"""The verb `watch`: any PyTorch training, ours or not, is watched while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from trainwell.errors import ModelError
from trainwell.findings import Finding
from trainwell.watching.watcher import Watcher

TASKS = ("multiclass", "binary", "regression", "reconstruction")


def watch(
    model: nn.Module,
    optimizer: Any,
    loss_fn: Callable[..., Any] | None = None,
    train: Any = None,
    valid: Any = None,
    task: str | None = None,
    check: Any = None,
    *,
    on_finding: Callable[[Finding], object] | None = None,
) -> Watcher:
    """Attaches a watcher to a training that is about to begin.

    Call `watcher.step(loss)` after each `optimizer.step()`, `watcher.epoch(...)` after each epoch
    if there are any, and read `watcher.findings()`. Nothing of the training is changed; what is
    not given is found out from the passes of the model.

    Args:
        model: Any module.
        optimizer: Any optimiser of torch.
        loss_fn: Called with outputs and targets; helps to tell where a loss that is not finite
            came from.
        train: Training data as `(X, y)` or a dataset; looked at once.
        valid: Validation data, likewise.
        task: `"multiclass"`, `"binary"`, `"regression"` or `"reconstruction"`; None: found out.
        check: A report of the checks before training, whose findings are folded in.
        on_finding: Called with each kind of finding when it is first sure of it. None: it is
            printed on standard error, one line each.

    Raises:
        ModelError: `model` is no module, or `task` is none of the four.
    """
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"watch() got {type(model).__name__} where it takes a torch.nn.Module",
            remedy="Give it the model that is trained.",
        )
    if task is not None and task not in TASKS:
        raise ModelError(
            f"unknown task {task!r}", remedy=f"Use one of {', '.join(TASKS)}, or leave it out."
        )
    return Watcher(model, optimizer, loss_fn, train, valid, task, check, on_finding=on_finding)
