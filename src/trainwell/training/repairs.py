"""What a run says of its repairs: the remedies that were proved and put in force."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trainwell.findings import Finding
from trainwell.training.run_folder import RunFolder

REPAIRS = "repairs.json"
NOT_REPAIRED = "not_repaired"
"""The event that no remedy was proved."""

Status = Literal["starting", "in force", "taking back", "taken back"]
"""The first and the third last only as long as files are written."""


@dataclass(frozen=True)
class Repair:
    """A change of the recipe that a replay proved, and what became of it.

    Attributes:
        number: From 1.
        finding: What was found, with the numbers of the proof.
        change: Recipe fields and their new values.
        before: The same fields and their old values.
        proof: What replays showed, in words.
        replays: The same as numbers: `steps`, `start`, `end_without`, `end_with`.
        found_at: Updates that were made before.
        goes_on_from: The update after which the training goes on; 0: it starts again.
        had_ended: Whether the training was over, so that this repair can be taken back.
        valid_loss_before: Of the last epoch without it; None: there is none, or it is not finite.
        valid_loss_after: Of the last epoch with it; None while the training has not ended.
        status: `"in force"`, or `"taken back"` where the training was no better for it.
    """

    number: int
    finding: Finding
    change: Mapping[str, Any]
    before: Mapping[str, Any]
    proof: str
    replays: Mapping[str, Any]
    found_at: int
    goes_on_from: int
    had_ended: bool
    valid_loss_before: float | None
    valid_loss_after: float | None = None
    status: Status = "starting"

    @property
    def archive(self) -> str:
        """The folder within the run's that keeps the end of the training without it."""
        return f"repairs/{self.number}"

    def to_dict(self) -> dict[str, Any]:
        """This repair as plain JSON types."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        mappings = {name: dict(fields[name]) for name in ("change", "before", "replays")}
        return {**fields, **mappings, "finding": self.finding.to_dict()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Repair:
        """The repair that `to_dict` wrote."""
        return cls(**{**fields, "finding": Finding.from_dict(fields["finding"])})

    def __str__(self) -> str:
        origin = f"step {self.goes_on_from}" if self.goes_on_from else "the start"
        text = (
            f"repair {self.number} of {self.finding.code}: {self.describe_change()}, since "
            f"{self.proof}. Found at step {self.found_at}; trained again from {origin}"
        )
        outcome = self.describe_outcome()
        return f"{text}. {outcome}" if outcome else text

    def describe_change(self) -> str:
        """Such as `"learning_rate 50 → 0.167"`."""
        return ", ".join(
            f"{name} {_show(self.before.get(name))} → {_show(value)}"
            for name, value in self.change.items()
        )

    def describe_outcome(self) -> str:
        """Whether the validation loss is lower than without it; empty while that is not known."""
        before, after = self.valid_loss_before, self.valid_loss_after
        taken_back = " It was taken back" if self.status == "taken back" else ""
        if after is None:
            return taken_back.strip()
        if before is None:
            return f"The validation loss ends at {after:.4g}; there was none before"
        verdict = "It helped" if after < before else "It did not help"
        numbers = f"the validation loss was {before:.4g} before and is {after:.4g} with it"
        return f"{verdict}: {numbers}.{taken_back}" if taken_back else f"{verdict}: {numbers}"


class StartAgain(Exception):
    """The training is to go on with a repair, or without it.

    Args:
        repair: One that is `"starting"` is put in force; another is taken back.
    """

    def __init__(self, repair: Repair) -> None:
        super().__init__(repair.number)
        self.repair = repair


def read_repairs(folder: RunFolder) -> list[Repair]:
    """All repairs of a run, in order.

    Raises:
        RunFolderError: The file is damaged.
    """
    rows = folder.read_json_or_empty(REPAIRS).get("repairs", [])
    try:
        return [Repair.from_dict(row) for row in rows]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        damage = ValueError(f"it is no list of repairs: {error}")
        raise folder.as_damaged(REPAIRS, damage) from error


def write_repairs(folder: RunFolder, repairs: Sequence[Repair]) -> None:
    """Writes all repairs of a run.

    Raises:
        RunFolderError: It cannot be written.
    """
    folder.write_json(REPAIRS, {"repairs": [repair.to_dict() for repair in repairs]})


def keep_repair(folder: RunFolder, repair: Repair) -> None:
    """Writes one repair in the place of what was known of it.

    Raises:
        RunFolderError: It cannot be written.
    """
    others = [known for known in read_repairs(folder) if known.number != repair.number]
    write_repairs(folder, sorted([*others, repair], key=lambda known: known.number))


def reached_valid_loss(folder: RunFolder, *, keeps_best: bool) -> float | None:
    """Of the weights that the training left, or would leave now; None: it is not known.

    Args:
        folder: Of the run.
        keeps_best: Whether these are the best weights, not the newest.
    """
    epochs = [row for row in folder.read_metrics() if row["kind"] == "epoch"]
    values = [row.get("valid_loss") for row in epochs]
    finite = [v for v in values if isinstance(v, float) and math.isfinite(v)]
    if not finite or (not keeps_best and values[-1] is None):
        return None
    return min(finite) if keeps_best else finite[-1]


def _show(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
