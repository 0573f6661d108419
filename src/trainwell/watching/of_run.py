"""The watcher of a training by trainwell."""

from __future__ import annotations

from collections.abc import Callable

from torch.optim import Optimizer

from trainwell.findings import Finding
from trainwell.training.session import Setting
from trainwell.watching.watcher import Watcher


def open_watcher(
    setting: Setting, optimizer: Optimizer, on_finding: Callable[[Finding], None]
) -> Watcher:
    """A watcher attached to the training of a run.

    The data is not handed over: the checks before the training have looked at it.

    Args:
        setting: What the training is made of.
        optimizer: Of its step.
        on_finding: Told of each kind of finding once.
    """
    return Watcher(
        setting.model,
        optimizer,
        setting.loss,
        task=setting.data.task,
        on_finding=on_finding,
        is_compiled=setting.resolved.compiled,
    )
