"""Who is told while a training runs. Observers see; they cannot change a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from trainwell.findings import Finding


@dataclass(frozen=True)
class Progress:
    """What an observer is told at the start.

    Attributes:
        epochs: Of the whole training.
        steps_per_epoch: Updates in each.
        first_step: Updates that were made before, when a run is resumed.
        run: The run folder.
        model: Its name.
        data: Its name.
        parameters: Numbers that are trained.
        notes: What the reader of the data did that the user should know, empty when resumed; or
            what was repaired.
        checked: What the look before the training found, in a line; empty when resumed.
    """

    epochs: int
    steps_per_epoch: int
    first_step: int
    run: str
    model: str
    data: str
    parameters: int
    notes: tuple[str, ...] = ()
    checked: str = ""


class Observer(Protocol):
    """Told of every reading, in order."""

    def started(self, progress: Progress) -> None:
        """The first update is about to be made."""
        ...

    def stepped(self, reading: Mapping[str, Any]) -> None:
        """A window has ended; `reading` is its row of the metrics."""
        ...

    def epoch_ended(self, reading: Mapping[str, Any]) -> None:
        """An epoch has been validated; `reading` is its row of the metrics."""
        ...

    def found(self, finding: Finding) -> None:
        """Something is wrong; told once for each kind of finding, when it is first sure."""
        ...

    def ended(self, reason: str) -> None:
        """It is over: `"finished"`, `"early_stop"`, `"interrupted"`, `"not_finite"`, `"failed"`;
        `"repaired"` where it starts again with another recipe.
        """
        ...
