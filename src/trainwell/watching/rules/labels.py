"""Labels: their order, their balance, their noise, and what gives them away."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import accuracy, late, middle, skill


def judge_labels(history: History) -> Iterable[Finding]:
    """What the labels of the batches and of the data say."""
    yield from _order(history)
    yield from _imbalance(history)
    yield from _noise(history)
    yield from _leaks(history)


def _order(history: History) -> Iterable[Finding]:
    known = [o for o in history.outputs if math.isfinite(o.label_runs) and o.rows >= 8]
    if len(known) < 5:
        return
    runs = middle(o.label_runs for o in known)
    counts = history.class_counts
    if counts:
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
        if runs < 0.8 or history.is_classification or history.facts.recurrent:
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


def _imbalance(history: History) -> Iterable[Finding]:
    recent = [r.outputs for r in late(history) if r.outputs is not None and r.outputs.target_counts]
    counts = history.class_counts
    if len(recent) < 3 or len(counts) < 2 or history.step < 50:
        return
    size = len(counts)
    right, seen = [0.0] * size, [0.0] * size
    for outputs in recent:
        for k in range(min(size, len(outputs.target_counts))):
            right[k] += outputs.right_counts[k]
            seen[k] += outputs.target_counts[k]
    present = [k for k in range(size) if counts[k] > 0]
    if len(present) < 2:
        return
    rare = min(present, key=lambda k: counts[k])
    common = max(present, key=lambda k: counts[k])
    ratio = counts[common] / counts[rare]
    recall = right[rare] / seen[rare] if seen[rare] else math.nan
    if ratio < 6 or not recall < 0.3 or seen[rare] < 3 or right[common] < 0.7 * seen[common]:
        return
    yield Finding(
        code="class_imbalance",
        severity="warning",
        where=f"class {rare}",
        step=history.step,
        evidence={"ratio": ratio, "recall": recall, "accuracy": accuracy(history)},
        cause=f"Class {common} is {ratio:.0f} times as common as class {rare}, of which only "
        f"{100 * recall:.0f} % are recognised: the accuracy of {100 * accuracy(history):.0f} % "
        "comes from the common class.",
        remedy="Weight the loss by the inverse frequency of the classes, or draw the rare class "
        "more often; judge by the recall of each class.",
        reference="Japkowicz & Stephen 2002; He & Garcia 2009",
    )


def _noise(history: History) -> Iterable[Finding]:
    data = history.data
    if data is None or not history.is_classification or not math.isfinite(data.misplaced):
        return
    if data.misplaced < 0.08 or data.examples < 200:
        return
    # Overlapping classes disagree at their border; wrong labels do so everywhere.
    yield Finding(
        code="corrupted_labels",
        severity="warning",
        step=history.step,
        evidence={
            "surrounded_by_another_class": data.misplaced,
            "one_neighbour_agreement": data.one_neighbour,
            "ten_neighbours_agreement": data.neighbours,
        },
        cause=f"{100 * data.misplaced:.0f} % of the training examples carry another class than "
        "nearly all of their ten nearest neighbours: many labels are wrong.",
        remedy="Look at these examples and mend their labels; until then stop early.",
        reference="Wilson 1972 (edited nearest neighbours); Northcutt et al. 2021",
    )


def _leaks(history: History) -> Iterable[Finding]:
    data = history.data
    if data is None:
        return
    share = data.shared / data.valid_examples if data.valid_examples else 0.0
    if share > 0.02 and data.shared >= 3:
        yield Finding(
            code="train_val_leak",
            severity="error" if share > 0.2 else "warning",
            step=history.step,
            evidence={"shared_examples": data.shared, "valid_examples": data.valid_examples},
            cause=f"{data.shared} of {data.valid_examples} validation examples are training "
            "examples too: the validation says nothing about new data.",
            remedy="Remove duplicates before the data is split.",
            reference="Kaufman et al. 2012",
        )
    limit = 0.98 if history.is_classification else 0.9995
    if data.leak_strength > limit and data.features > 1 and skill(history) > 0.5:
        yield Finding(
            code="label_leak",
            severity="warning",
            where=f"feature {data.leak_column}",
            step=history.step,
            evidence={"feature": data.leak_column, "strength": data.leak_strength},
            cause=f"Feature {data.leak_column} alone gives the target: it is made from it.",
            remedy="Take out features that are not known when a prediction is to be made.",
            reference="Kaufman et al. 2012",
        )
