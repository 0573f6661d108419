"""Progress of a training: a bar on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from typing import Any

from trainwell.cli.output import describe_notes, open_console, plain, say
from trainwell.findings import Finding
from trainwell.training.observer import Observer, Progress


def choose_progress() -> Observer:
    """A bar where standard error is a terminal, else plain lines."""
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()


def describe_epoch(reading: Mapping[str, Any], epochs: int, seconds: float) -> str:
    """One line on an epoch."""
    parts = [f"epoch {reading['epoch']:>{len(str(epochs))}}/{epochs}"]
    for name in ("train_loss", "valid_loss"):
        if reading.get(name) is not None:
            parts.append(f"{name} {reading[name]:.4f}")
    for name in ("train_accuracy", "valid_accuracy"):
        if reading.get(name) is not None:
            parts.append(f"{name} {reading[name]:.2%}")
    for name in ("valid_rmse", "valid_r2"):
        if reading.get(name) is not None:
            parts.append(f"{name} {reading[name]:.4g}")
    return "  ".join([*parts, f"{seconds:.1f} s"])


def describe_start(progress: Progress) -> list[str]:
    """What is trained, what was done to the data, and what the checks before it found."""
    resumed = f", resumed at step {progress.first_step}" if progress.first_step else ""
    line = plain(
        f"training {progress.model} ({progress.parameters:,} parameters) on {progress.data}, "
        f"{progress.epochs} epochs of {progress.steps_per_epoch} steps{resumed}"
    )
    checked = [plain(f"check: {progress.checked}")] if progress.checked else []
    return [line, *describe_notes(progress.notes), *checked]


def describe_finding(finding: Finding) -> str:
    """One line on what is wrong."""
    where = f" {finding.where}" if finding.where else ""
    source = f" ({finding.source})" if finding.source else ""
    told = f"{finding.cause} {finding.remedy}"
    line = f"{finding.severity}: {finding.code}{where}{source}: {told}"
    return plain(" ".join(line.split()))


class PlainProgress:
    """A line at the start and after each epoch."""

    def started(self, progress: Progress) -> None:
        """Says what is trained."""
        self.epochs = progress.epochs
        self.began = time.monotonic()
        for line in describe_start(progress):
            say(line)

    def stepped(self, reading: Mapping[str, Any]) -> None:
        """Says nothing: a log of every window is in the run folder."""

    def epoch_ended(self, reading: Mapping[str, Any]) -> None:
        """Says how the epoch went."""
        now = time.monotonic()
        say(describe_epoch(reading, self.epochs, now - self.began))
        self.began = now

    def found(self, finding: Finding) -> None:
        """Says what is wrong."""
        say(describe_finding(finding))

    def ended(self, reason: str) -> None:
        """Says why, where it is not the plan's end."""
        if reason == "early_stop":
            say("stopped early: the validation loss no longer falls; the best weights are kept")


class TerminalProgress:
    """A bar that moves with the steps; a line for each epoch stays above it."""

    def started(self, progress: Progress) -> None:
        """Opens the bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.epochs = progress.epochs
        self.began = time.monotonic()
        self.console = open_console(on_error=True)
        self.bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        total = progress.epochs * progress.steps_per_epoch
        self.task = self.bar.add_task("training", total=total, completed=progress.first_step)
        with contextlib.suppress(OSError):
            for line in describe_start(progress):
                self.console.print(line)
            self.bar.start()

    def stepped(self, reading: Mapping[str, Any]) -> None:
        """Moves the bar."""
        if reading["kind"] == "window":
            text = f"epoch {reading['epoch']} loss {reading['train_loss']:.4f}"
            self._update(reading["step"], text)

    def epoch_ended(self, reading: Mapping[str, Any]) -> None:
        """Leaves a line above the bar."""
        now = time.monotonic()
        with contextlib.suppress(OSError):
            self.console.print(describe_epoch(reading, self.epochs, now - self.began))
        self.began = now
        self._update(reading["step"], f"epoch {reading['epoch']}")

    def found(self, finding: Finding) -> None:
        """Leaves a line above the bar."""
        with contextlib.suppress(OSError):
            self.console.print(describe_finding(finding))

    def ended(self, reason: str) -> None:
        """Closes the bar."""
        with contextlib.suppress(OSError):
            self.bar.stop()
            if reason == "early_stop":
                self.console.print("stopped early; the best weights are kept")

    def _update(self, step: int, text: str) -> None:
        with contextlib.suppress(OSError):
            self.bar.update(self.task, completed=step, description=text)
