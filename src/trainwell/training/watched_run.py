"""What a watcher finds in a run, told when it is found and kept in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch.optim import Optimizer

from trainwell.findings import Finding
from trainwell.training.observer import Observer
from trainwell.training.run_folder import RunFolder
from trainwell.training.session import Setting
from trainwell.training.step_watch import StepWatch

OpenWatch = Callable[[Setting, Optimizer, Callable[[Finding], None]], StepWatch]
"""Attaches to a training that is about to begin; the last argument is told of each finding once."""


@dataclass
class WatchedRun:
    """A run and who watches it.

    Attributes:
        folder: Of the run.
        observers: Told of each finding when it is found.
        watch: While it is attached.
    """

    folder: RunFolder
    observers: Sequence[Observer]
    watch: StepWatch | None = None

    def open(self, open_watch: OpenWatch, setting: Setting, optimizer: Optimizer) -> StepWatch:
        """Attaches a watcher."""
        self.watch = open_watch(setting, optimizer, self._tell)
        return self.watch

    def close(self) -> None:
        """Detaches, and keeps the last word on what is wrong."""
        if self.watch is None:
            return
        found = self.watch.findings()
        self.watch.detach()
        self.watch = None
        keep_findings(self.folder, found)

    def _tell(self, finding: Finding) -> None:
        """A finding that is new: a killed run shows it too."""
        keep_findings(self.folder, [finding])
        self.folder.note("finding", f"{finding.code}: {finding.cause}", step=finding.step)
        for observer in self.observers:
            observer.found(finding)


def keep_findings(folder: RunFolder, found: Sequence[Finding]) -> None:
    """Writes findings into the run folder; the newest word on a code replaces the older one.

    Args:
        folder: Locked by this process.
        found: Most likely root cause first; they stand before what is there.
    """
    named = {code for finding in found for code in _codes(finding)}
    known = [Finding.from_dict(row) for row in folder.read_findings()]
    kept = [*found, *(finding for finding in known if finding.code not in named)]
    rows = [finding.to_dict() for finding in kept]
    if rows != folder.read_findings():
        folder.write_findings(rows)


def _codes(finding: Finding) -> set[str]:
    """Its own code and those of everything folded under it."""
    return {finding.code}.union(*map(_codes, finding.effects))
