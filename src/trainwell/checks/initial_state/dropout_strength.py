"""Whether dropout lets enough through."""

from __future__ import annotations

from collections.abc import Sequence

from trainwell.checks.initial_state.first_pass import first_pass
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.findings import Finding

CHECK = "dropout"
EXPECTED = "at most 0.5 to 0.7 of the units are dropped"
TOO_HIGH = 0.8
NOTHING = 0.99
REFERENCE = "Srivastava et al. (2014)"


def check_dropout_strength(subject: Subject) -> Sequence[Verdict]:
    """Looks at the probabilities with which the forward pass drops units in training.

    Args:
        subject: Whose model makes one pass on a replica.
    """
    first = subject.once(first_pass)
    active = [d for d in first.record.dropouts if d.is_active]
    if not active:
        return [skip(CHECK, "the model has none")]
    worst = max(active, key=lambda dropping: dropping.probability)
    seen = f"at most {worst.probability:g} in {len(active)} places"
    if worst.probability < TOO_HIGH:
        return [Verdict(CHECK, seen, EXPECTED)]
    high = [d for d in active if d.probability >= TOO_HIGH]
    finding = Finding(
        "over_regularised",
        "error" if worst.probability >= NOTHING else "warning",
        ", ".join(dict.fromkeys(d.where for d in high)),
        evidence={"probability": worst.probability, "places": float(len(high))},
        cause=f"Dropout sets {100 * worst.probability:.0f} % of the units to zero: p is the share "
        "that is dropped, not the share that is kept.",
        remedy="Use 0.1 to 0.5.",
        reference=REFERENCE,
    )
    return [Verdict(CHECK, seen, EXPECTED, (finding,))]
