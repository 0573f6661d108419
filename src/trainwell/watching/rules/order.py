"""Examples that come in an order which says something of their targets."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.readings import OutputReading
from trainwell.watching.rules.evidence import middle, skill


def judge_order(history: History) -> Iterable[Finding]:
    """Whether neighbours in a batch, or batches, are alike."""
    known = [o for o in history.outputs if math.isfinite(o.label_runs) and o.rows >= 8]
    if len(known) < 5:
        return
    runs = middle(o.label_runs for o in known)
    counts = history.class_counts
    between = _share_between_batches(history)
    if between > 0.5:
        cause = (
            f"{100 * between:.0f} % of the differences between targets are differences between "
            "batches, and following batches are alike (0 in a shuffled order): the examples are "
            "sorted or grouped."
        )
        evidence = {"share_between_batches": between, "expected": 0.0}
    elif counts:
        total = sum(counts)
        expected = sum((c / total) ** 2 for c in counts)
        present = [c / total for c in counts if c]
        enough = len(present) > 1 and max(present) < 0.95
        if not enough or runs < expected + 0.6 * (1 - expected):
            return
        cause = (
            f"{100 * runs:.0f} % of neighbouring examples in a batch have the same class "
            f"({100 * expected:.0f} % in a shuffled order): the examples are sorted by class."
        )
        evidence = {"same_class_neighbours": runs, "expected": expected}
    else:
        # With several columns, neighbours are numbers of one example.
        single = max(o.columns for o in known) == 1
        if runs < 0.8 or history.is_classification or history.facts.recurrent or not single:
            return
        # Windows over time may come in their order, where that does no harm.
        if skill(history) > 0.8 and history.trend.late_fall < 0.1:
            return
        cause = (
            f"Neighbouring targets in a batch have a correlation of {runs:.2f} (0 in a shuffled "
            "order): the examples are sorted."
        )
        evidence = {"neighbour_correlation": runs, "expected": 0.0}
    yield Finding(
        code="no_shuffle",
        severity="warning",
        step=history.step,
        evidence=evidence,
        cause=cause,
        remedy="Shuffle the examples in every epoch (shuffle=True).",
        reference="Bottou 2012 (Stochastic gradient descent tricks)",
    )


def _share_between_batches(history: History) -> float:
    """Intraclass correlation of the targets' means with the batch (Fisher 1925).

    Not-a-number where batches alternate, as those of two tasks or of a GAN do.
    """
    rows = [
        (r.step, *_mean_target(r.outputs), r.outputs.rows)
        for r in history.readings
        if r.outputs is not None and r.outputs.rows >= 8
    ]
    rows = [row for row in rows if math.isfinite(row[1]) and math.isfinite(row[2])]
    if len(rows) < 8:
        return math.nan
    centre = middle(mean for _, mean, _, _ in rows)
    pairs = [
        (one[1] - centre) * (two[1] - centre) for one, two in pairwise(rows) if two[0] == one[0] + 1
    ]
    if len(pairs) < 3 or sum(p > 0 for p in pairs) < 0.7 * len(pairs):
        return math.nan
    average = sum(mean for _, mean, _, _ in rows) / len(rows)
    sides = [mean > average for _, mean, _, _ in rows]
    if sum(one != other for one, other in pairwise(sides)) < 3:
        return math.nan  # targets that drift, as those of a network that learns from itself
    spread = sum((mean - average) ** 2 for _, mean, _, _ in rows) / (len(rows) - 1)
    within = sum(variance for _, _, variance, _ in rows) / len(rows)
    size = sum(count for *_, count in rows) / len(rows)
    between = max(spread - within / size, 0.0)
    return between / (between + within) if between + within > 0 else math.nan


def _mean_target(outputs: OutputReading) -> tuple[float, float]:
    """Mean and variance over the examples of each one's mean target, or of its class number."""
    counts = outputs.target_counts
    if not counts:
        return outputs.target_mean, outputs.row_std**2
    if not math.isfinite(outputs.label_runs):
        return math.nan, math.nan  # classes of positions
    total = sum(counts)
    if not total or (outputs.binary and outputs.columns > 1):
        return math.nan, math.nan
    mean = sum(k * count for k, count in enumerate(counts)) / total
    return mean, sum(count * (k - mean) ** 2 for k, count in enumerate(counts)) / total
