"""Epochs and batches; tells observers, writes readings and checkpoints, stops when asked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import nn

from trainwell.data.batches import Batch, Batches
from trainwell.errors import NonFiniteError, TrainwellError
from trainwell.optim.schedules import Plateau
from trainwell.training.dropout_plan import DropoutPlan
from trainwell.training.early_stop import EarlyStop
from trainwell.training.evaluation import EvaluationStopped
from trainwell.training.metrics import Totals
from trainwell.training.model_failure import explain_failure
from trainwell.training.observer import Observer
from trainwell.training.recipe import Recipe
from trainwell.training.selection import Selection
from trainwell.training.signals import StopRequest
from trainwell.training.state import Position
from trainwell.training.step import PATIENCE_OF_SCALER, LayerReading, TrainingStep
from trainwell.training.step_watch import StepWatch
from trainwell.training.transfer import still_frozen


class Recorder(Protocol):
    """Keeps what happens: the run folder, behind three verbs."""

    def record(self, reading: Mapping[str, Any]) -> None:
        """Adds a row to the metrics."""
        ...

    def note(self, event: str, message: str, **fields: Any) -> None:
        """Adds an event."""
        ...

    def save(self) -> None:
        """Writes a checkpoint of the present state."""
        ...


@dataclass
class Loop:
    """One training, wired; `train` runs it from wherever its position is.

    Attributes:
        recipe: Complete.
        model: What is trained.
        batches: Of the training split.
        selection: Validates, and keeps the weights that the training leaves.
        step: Makes the updates.
        position: How far the training is.
        window, epoch: Sums since the last reading and since the epoch's start.
        early_stop: Says when to stop.
        dropout: Sets how much is dropped in an epoch; None: as the model says.
        recorder: Keeps readings, events and checkpoints.
        stop: Whether a signal has asked to stop.
        observers: Told of every reading.
        watch: Looks at every update; None: nobody does.
    """

    recipe: Recipe
    model: nn.Module
    batches: Batches
    selection: Selection
    step: TrainingStep
    position: Position
    window: Totals
    epoch: Totals
    early_stop: EarlyStop
    dropout: DropoutPlan | None
    recorder: Recorder
    stop: StopRequest
    observers: Sequence[Observer] = ()
    watch: StepWatch | None = None
    saved_at: float = field(default_factory=time.monotonic)

    def train(self) -> str:
        """Runs to the end; says why it ended: `"finished"`, `"early_stop"` or `"interrupted"`.

        Raises:
            NonFiniteError: A loss or gradient was not finite.
        """
        self.steps_per_epoch = len(self.batches)
        epochs = self.recipe.epochs or 0
        while self.position.epoch < epochs and not self.early_stop.stopped:
            began = time.monotonic()
            if not (self._train_epoch() and self._close_epoch()):
                self._save()
                return "interrupted"
            seconds = round(time.monotonic() - began, 3)
            self.recorder.note("epoch", f"epoch {self.position.epoch} done", seconds=seconds)
        return "early_stop" if self.early_stop.stopped else "finished"

    def _train_epoch(self) -> bool:
        """Makes the updates that the present epoch still lacks; False when asked to stop."""
        self.model.train()
        position, every = self.position, self.recipe.unfreeze_every
        still_frozen(self.model, position.epoch // every if every is not None else None)
        if self.dropout is not None:
            self.dropout.arrange(position.epoch)
        # Checked before reading: a stream that starts its workers is slow to end.
        if position.batch == self.steps_per_epoch:
            return not self.stop.is_raised
        for batch in self.batches.read(position.epoch, first=position.batch):
            if self.stop.is_raised:
                return False
            ends_epoch = position.batch + 1 == self.steps_per_epoch
            ends_window = ends_epoch or (position.batch + 1) % self.recipe.window == 0
            layers = self._update(batch, is_read=ends_window and self.recipe.watch)
            if self.watch is not None and self.step.newest is not None:
                self.watch.step(self.step.totals.newest_loss, *self.step.newest)
            position.step += 1
            position.batch += 1
            if ends_window:
                self._close_window(layers)
            is_due = self._is_checkpoint_due() or (ends_window and self._is_checkpoint_old())
            if is_due and not ends_epoch:
                self._save()
        return not self.stop.is_raised

    def _update(self, batch: Batch, *, is_read: bool) -> LayerReading | None:
        step = self.position.step
        try:
            if is_read:
                return self.step.instrumented(batch, step)
            self.step.plain(batch, step)
        except TrainwellError:
            raise
        except Exception as error:
            raise explain_failure(error, f"step {step + 1}") from error
        return None

    def _close_window(self, layers: LayerReading | None) -> None:
        self._stop_if_not_finite()
        self._tell("window", self._window_reading())
        if layers is not None:
            self._tell("layers", name_layers(self.step.names, layers))
        self.window.move_to(self.epoch)

    def _window_reading(self) -> dict[str, float]:
        reading = {
            **self.window.read("train"),
            "gradient_norm": float(self.step.gradient_norm),
            "learning_rate": self.step.rates.at(self.position.step - 1),
        }
        if self.step.scaler is not None:
            reading["skipped_updates"] = int(self.step.scaler.skipped)
        if self.step.penalty is not None:
            reading["penalty"] = float(self.step.penalty.value())
        return reading

    def _stop_if_not_finite(self) -> None:
        bad_step = self.step.guard.find_step(self.position.step)
        scaler = self.step.scaler
        if bad_step is not None:
            # The caller knows the data and explains; here only the position is known.
            raise NonFiniteStep(bad_step, self.position)
        if scaler is not None and int(scaler.skipped_in_a_row) >= PATIENCE_OF_SCALER:
            raise NonFiniteError(
                f"the gradients overflowed float16 {int(scaler.skipped_in_a_row)} times in a row, "
                f"until step {self.position.step}",
                step=self.position.step,
                remedy="Lower the learning rate, or use precision bfloat16 or float32",
            )

    def _close_epoch(self) -> bool:
        """Validates, tells and saves; False when asked to stop meanwhile."""
        try:
            scores = self.selection.validate(self.position.epoch)
        except EvaluationStopped:
            return False
        except TrainwellError:
            raise
        except Exception as error:
            when = f"validation after epoch {self.position.epoch + 1}"
            raise explain_failure(error, when) from error
        reading = {
            **self.epoch.read("train"),
            **scores,
            "learning_rate": self.step.rates.at(self.position.step - 1),
        }
        self._tell("epoch", reading, epoch_ended=True)
        if self.watch is not None:
            self.watch.epoch(
                reading["train_loss"],
                reading.get("train_accuracy"),
                reading["valid_loss"],
                reading.get("valid_accuracy"),
            )
        self.epoch.clear()
        self.position.epoch += 1
        self.position.batch = 0
        schedule = self.step.rates.schedule
        if isinstance(schedule, Plateau):
            schedule.observe(scores["valid_loss"])
        validated = self.selection.validated
        self.early_stop.observe(scores["valid_loss"], self.position.epoch, validated)
        is_last = self.position.epoch == self.recipe.epochs or self.early_stop.stopped
        if is_last:
            self._choose_weights(scores["valid_loss"])
        if is_last or self._is_checkpoint_due() or self._is_checkpoint_old():
            self._save()
        return not (self.stop.is_raised and not is_last)

    def _choose_weights(self, valid_loss: float) -> None:
        self.selection.choose(valid_loss)
        if self.selection.told:
            self.recorder.note("kept_weights", self.selection.told)

    def _tell(self, kind: str, reading: Mapping[str, Any], *, epoch_ended: bool = False) -> None:
        position = self.position
        row = {"kind": kind, "step": position.step, "epoch": position.epoch + 1, **reading}
        self.recorder.record(row)
        for observer in self.observers:
            if epoch_ended:
                observer.epoch_ended(row)
            else:
                observer.stepped(row)

    def _is_checkpoint_due(self) -> bool:
        every = self.recipe.checkpoint_every
        return every is not None and self.position.step % every == 0

    def _is_checkpoint_old(self) -> bool:
        age = time.monotonic() - self.saved_at
        return self.recipe.checkpoint_every is None and age >= self.recipe.checkpoint_seconds

    def _save(self) -> None:
        self._stop_if_not_finite()
        self.recorder.save()
        self.saved_at = time.monotonic()


class NonFiniteStep(Exception):
    """An update was refused; the loop knows only which.

    Args:
        step: Number of the update, from 1.
        position: Of the training when it was noticed.
    """

    def __init__(self, step: int, position: Position) -> None:
        super().__init__(step)
        self.step = step
        self.epoch = position.epoch
        self.batch = position.batch - (position.step - step) - 1


def name_layers(names: Sequence[str], reading: LayerReading) -> dict[str, dict[str, float]]:
    """Norms and the update-to-weight ratio by parameter name; waits for the device.

    A parameter that is all zero has no ratio.
    """
    update, weight, gradient = (t.tolist() for t in vars(reading).values())
    ratios = {n: u / w for n, u, w in zip(names, update, weight, strict=True) if w > 0}
    return {
        "update_ratio": ratios,
        "weight_norm": dict(zip(names, weight, strict=True)),
        "gradient_norm": dict(zip(names, gradient, strict=True)),
    }
