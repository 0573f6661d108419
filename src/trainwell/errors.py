"""The errors a user can meet. Each message says what was found, where, and what to do."""

from __future__ import annotations


class TrainwellError(Exception):
    """Something the user can mend: bad input, an impossible setting, a full disk.

    Args:
        found: What was found, as a sentence without a full stop.
        where: The file, row, column, field, layer or step; empty when `found` says it.
        remedy: What to do, as a sentence; empty only when nothing can be done.
    """

    def __init__(self, found: str, *, where: str = "", remedy: str = "") -> None:
        self.found = found
        self.where = where
        self.remedy = remedy
        place = f"{where}: " if where else ""
        # What another library said may end with a full stop already.
        advice = f"{'' if found.endswith('.') else '.'} {remedy}" if remedy else ""
        super().__init__(f"{place}{found}{advice}")


class DataError(TrainwellError):
    """The data cannot be read, or cannot be trained on as it is."""


class RecipeError(TrainwellError):
    """A recipe field that does not exist, or a value that it cannot have."""


class ModelError(TrainwellError):
    """A model that does not exist, cannot be built, or does not fit the data."""


class RunFolderError(TrainwellError):
    """The run folder cannot be used: missing, in use, not writable, or changed."""


class CheckpointError(TrainwellError):
    """A checkpoint cannot be written, or no whole one can be read."""


class NonFiniteError(TrainwellError):
    """A loss or gradient was not finite; training stopped before the update was made.

    Attributes:
        step: Number of the update that was not made, from 1.
        layer: Where the first value that is not finite came from; empty where unknown.
        source: File and line of the user's code that called it; empty where unknown.
        run_folder: Of the run, which holds the finding; empty before there is one.
    """

    def __init__(
        self, found: str, *, step: int, layer: str = "", source: str = "", remedy: str = ""
    ) -> None:
        super().__init__(found, remedy=remedy)
        self.step, self.layer, self.source = step, layer, source
        self.run_folder = ""


class Interrupted(TrainwellError):
    """Training was stopped by a signal after it had saved.

    Args:
        signal_number: The signal that asked for the stop, such as `signal.SIGINT`.
    """

    def __init__(
        self, found: str, *, signal_number: int, where: str = "", remedy: str = ""
    ) -> None:
        super().__init__(found, where=where, remedy=remedy)
        self.signal_number = signal_number


def first_line(error: BaseException) -> str:
    """The first line of another library's message, or the kind of the error where it has none.

    A `KeyError` says nothing but a name, so its kind is told too.
    """
    text = str(error).strip()
    line = text.splitlines()[0] if text else ""
    if isinstance(error, RuntimeError | ValueError | TypeError) and line:
        return line
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
