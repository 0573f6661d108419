"""Keeps what happens in a training: readings, events and checkpoints, in the run folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from trainwell.training.checkpoint import save_checkpoint
from trainwell.training.journal import Journal
from trainwell.training.run_folder import RunFolder
from trainwell.training.state import Position, TrainingState


@dataclass
class RunRecorder:
    """Writes into a run folder.

    Attributes:
        folder: The run's, locked by this process.
        metrics: Open for appending.
        state: What a checkpoint holds.
        position: Of the training.
        fingerprints: Of recipe, model, data and split.
        keep: Checkpoints kept.
        protect: Steps whose checkpoints are kept besides.
    """

    folder: RunFolder
    metrics: Journal
    state: TrainingState
    position: Position
    fingerprints: Mapping[str, str]
    keep: int
    protect: Collection[int] = ()

    def record(self, reading: Mapping[str, Any]) -> None:
        """Adds a row to the metrics."""
        self.metrics.append(reading)
        self.position.metrics_rows += 1

    def note(self, event: str, message: str, **fields: Any) -> None:
        """Adds an event."""
        self.folder.note(event, message, **fields)

    def save(self) -> None:
        """Writes a checkpoint, once every row that belongs to it is on disk."""
        self.metrics.sync()
        checkpoint = self.state.capture(self.position.step, self.fingerprints)
        save_checkpoint(self.folder.checkpoints, checkpoint, keep=self.keep, protect=self.protect)
