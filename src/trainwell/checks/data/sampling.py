"""So many examples that a look at them takes little time, whatever their size."""

from __future__ import annotations

from trainwell.checks.subject import Part, Subject

VALUES = 4_000_000
FEWEST = 200


def affordable(subject: Subject, part: Part, most: int, purpose: str, values: int = VALUES) -> Part:
    """Examples drawn at random, in their order; fewer where each has many values.

    Args:
        subject: Gives the random numbers.
        part: Of it.
        most: Examples.
        purpose: Other examples for another purpose.
        values: In all examples together.
    """
    each = max(1, part.inputs[0].numel())
    count = min(most, max(FEWEST, values // each))
    return part.sample(count, subject.generator(purpose))
