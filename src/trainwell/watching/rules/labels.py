"""Labels: their order, their balance, their noise, and what gives them away."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

from trainwell.findings import Finding
from trainwell.watching.data_facts import DataFacts
from trainwell.watching.history import History
from trainwell.watching.neighbours import NEIGHBOURS
from trainwell.watching.probing import Score
from trainwell.watching.readings import OutputReading
from trainwell.watching.rules.evidence import late, middle, skill


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


def _imbalance(history: History) -> Iterable[Finding]:
    seen, right = _class_results(history)
    present = [k for k, count in enumerate(seen) if count > 0]
    if len(present) < 2 or history.step < 50:
        return
    rare = min(present, key=seen.__getitem__)
    common = max(present, key=seen.__getitem__)
    ratio, recall = seen[common] / seen[rare], right[rare] / seen[rare]
    # What is around things is common in any picture; only what is never found is a fault there.
    dense = history.graph is not None and history.graph.axes > 2
    if (
        ratio < 6
        or recall > (0.1 if dense else 0.3)
        or seen[rare] < 5
        or right[common] < 0.7 * seen[common]
    ):
        return
    if _is_recognised(history, rare):
        return
    rate = sum(right) / sum(seen)
    yield Finding(
        code="class_imbalance",
        severity="warning",
        where=f"class {rare}",
        step=history.step,
        evidence={"ratio": ratio, "recall": recall, "accuracy": rate},
        cause=f"Class {common} is {ratio:.0f} times as common as class {rare}, of which only "
        f"{100 * recall:.0f} % are recognised: the accuracy of {100 * rate:.0f} % comes from the "
        "common class.",
        remedy="Weight the loss by the inverse frequency of the classes, or draw the rare class "
        "more often; judge by the recall of each class.",
        reference="Japkowicz & Stephen 2002; He & Garcia 2009",
    )


def _is_recognised(history: History, kind: int) -> bool:
    """Whether most examples of a class are, in the validation."""
    score = history.probe.valid if history.probe is not None else None
    if score is None or kind >= len(score.seen) or score.seen[kind] < 5:
        return False
    return score.right[kind] > 0.5 * score.seen[kind]


def _class_results(history: History) -> tuple[list[float], list[float]]:
    """Examples of each class and those that are right: on the data given, else as last seen."""
    probe = history.probe
    scores = (probe.on_train, probe.train) if probe is not None else ()
    for score in scores:
        if score.seen:
            return list(map(float, score.seen)), list(map(float, score.right))
    recent = [
        r.outputs for r in late(history, 0.25) if r.outputs is not None and r.outputs.target_counts
    ]
    size = max((len(o.target_counts) for o in recent), default=0)
    seen, right = [0.0] * size, [0.0] * size
    for outputs in recent:
        for k, (count, good) in enumerate(
            zip(outputs.target_counts, outputs.right_counts, strict=True)
        ):
            seen[k] += count
            right[k] += good
    return seen, right


def _noise(history: History) -> Iterable[Finding]:
    data = history.data
    yield from _shifted_labels(history)
    yield from _poorer_labels(history)
    if data is None or not history.is_classification or not math.isfinite(data.misplaced):
        return
    if data.misplaced < 0.08 or data.examples < 200:
        return
    # Where the vote of ten is no better than the commonest class, or than the nearest one alone,
    # distances say nothing of the class.
    commonest = max(data.class_counts) / sum(data.class_counts)
    if data.neighbours < max(commonest + 0.05, data.one_neighbour - 0.02):
        return
    # Classes that overlap, or whose labels are noisy by nature, do so in the validation too.
    if data.valid_misplaced > 0.6 * data.misplaced and data.misplaced < 0.35:
        return
    alone = max(0.15, 3 * _misplaced_by_chance(data))
    told = [e.values["valid_loss"] for e in history.epochs if "valid_loss" in e.values]
    learned = bool(told) and min(told) < 0.6 * history.chance
    if not math.isfinite(data.valid_misplaced) and (data.misplaced < alone or learned):
        return
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


def _following_leak(history: History, data: DataFacts) -> Iterable[Finding]:
    """A feature that follows a regression's target, which all others together do not explain."""
    single = data.leak_strength**2
    if history.is_classification or data.leak_strength < 0.95 or data.features < 3:
        return
    if not 0.05 < data.others_skill < single - 0.3:
        return
    yield Finding(
        code="label_leak",
        severity="warning",
        where=f"feature {data.leak_column}",
        step=history.step,
        evidence={"correlation": data.leak_strength, "explained_by_others": data.others_skill},
        cause=f"Feature {data.leak_column} has a correlation of {data.leak_strength:.3f} with the "
        f"target, of whose variance all other features explain {100 * data.others_skill:.0f} %: it "
        "may be made from the target, or be measured after it.",
        remedy="Take out features that are not known when a prediction is to be made.",
        reference="Kaufman et al. 2012",
    )


def _poorer_labels(history: History) -> Iterable[Finding]:
    """Training targets that say less than the validation's, or that were filled in."""
    data, probe = history.data, history.probe
    if data is None or _predicts_well(history):
        return
    cause, evidence = "", {}
    gain = data.valid_association - data.association
    enough = min(data.examples, data.valid_examples) >= 100
    forgives = history.graph is not None and history.graph.kind in ("huber", "smooth_l1", "l1")
    if gain > 0.12 and data.association < 0.5 * data.valid_association and enough and not forgives:
        evidence = {"association": data.association, "valid_association": data.valid_association}
        cause = (
            f"The inputs explain {100 * max(data.valid_association, 0):.0f} % of the variance of "
            f"the validation's targets, but {100 * max(data.association, 0):.0f} % of the "
            "training's: training targets are wrong, or belong to other rows."
        )
    elif probe is not None and _is_surer_elsewhere(probe.on_train, probe.valid):
        evidence = {
            "train_accuracy": probe.on_train.accuracy,
            "valid_accuracy": probe.valid.accuracy,
        }
        cause = (
            f"The model gets {100 * probe.valid.accuracy:.0f} % of the validation right but only "
            f"{100 * probe.on_train.accuracy:.0f} % of what it was trained on: many training "
            "labels are wrong."
        )
    elif _is_filled_in(data):
        evidence = {"share": data.commonest_target, "among_neighbours": data.commonest_near}
        cause = (
            f"{100 * data.commonest_target:.0f} % of the training targets are one number, in the "
            "midst of others and whatever their neighbours are: missing ones were filled with it."
        )
    if cause:
        yield Finding(
            code="corrupted_labels",
            severity="warning",
            step=history.step,
            evidence=evidence,
            cause=cause,
            remedy="Compare rows with their source; leave out examples without a known target.",
            reference="Northcutt et al. 2021",
        )


def _predicts_well(history: History) -> bool:
    """Whether the model fits the training and the validation alike: the labels say one thing."""
    probe = history.probe
    if probe is None:
        return False
    train, valid = probe.on_train, probe.valid
    if valid.seen and train.seen:
        base = max(valid.seen) / sum(valid.seen)
        return valid.accuracy - base > 0.6 * (1 - base) and train.accuracy >= valid.accuracy
    return train.loss < valid.loss < 0.3 * history.chance / history.loss_factor


def _is_surer_elsewhere(train: Score, valid: Score) -> bool:
    """Whether more of the validation is right, by more than chance lets expect."""
    n, m = sum(train.seen), sum(valid.seen)
    if min(n, m) < 100:
        return False
    gap = valid.accuracy - train.accuracy
    error = math.sqrt(
        train.accuracy * (1 - train.accuracy) / n + valid.accuracy * (1 - valid.accuracy) / m
    )
    return gap > 0.08 and gap > 4 * error


def _is_filled_in(data: DataFacts) -> bool:
    """Whether one target is common for no reason that neighbours share."""
    alike = data.commonest_near < 1.6 * data.commonest_target
    elsewhere = not data.commonest_elsewhere > 0.3 * data.commonest_target
    enough = data.examples >= 100 and 0.06 < data.commonest_target < 0.6
    return enough and alike and elsewhere and data.distinct_targets > 0.3


def _misplaced_by_chance(data: DataFacts) -> float:
    """Share of examples that disagree with nearly all neighbours where each does so by itself.

    Of inputs whose distances say little of the class, as those of sequences, neighbours agree
    hardly more often than by chance, and clean labels look misplaced.
    """
    others = max(sum(count > 0 for count in data.class_counts) - 1, 1)
    each = (1 - data.one_neighbour) / others
    enough = range(math.ceil(0.7 * NEIGHBOURS), NEIGHBOURS + 1)
    chance = sum(
        math.comb(NEIGHBOURS, k) * each**k * (1 - each) ** (NEIGHBOURS - k) for k in enough
    )
    return others * chance


def _shifted_labels(history: History) -> Iterable[Finding]:
    """Labels in the training that are others than those in the validation."""
    data, probe = history.data, history.probe
    if data is None or probe is None or not probe.valid.seen or not probe.on_train.seen:
        return
    train, valid = probe.on_train, probe.valid
    base = max(valid.seen) / sum(valid.seen)
    learned = train.accuracy - max(train.seen) / sum(train.seen)
    contradicts = learned > 0.5 and valid.accuracy < 0.5 * base
    chance = history.chance / history.loss_factor
    empty = learned > 0.06 and valid.accuracy < base + 0.03 and valid.loss > 1.02 * chance
    renamed = _find_renamed(history)
    if not (contradicts or empty or renamed):
        return
    if renamed:
        cause = (
            f"Class {renamed[0]} is {renamed[2]:.1f} times as common in the validation as in the "
            f"training, and the model calls most of it {renamed[1]}: training labels were changed."
        )
    else:
        cause = (
            f"The model gets {100 * train.accuracy:.0f} % of the training examples right but "
            f"{100 * valid.accuracy:.0f} % of the validation, no more than by chance: the labels "
            "have nothing to do with the inputs, or other numbers in the two."
        )
    yield Finding(
        code="corrupted_labels",
        severity="error" if contradicts else "warning",
        step=history.step,
        evidence={"train_accuracy": train.accuracy, "valid_accuracy": valid.accuracy},
        cause=cause,
        remedy="Look at a few examples of each class with their labels, in both parts.",
        reference="Zhang et al. 2017 (Rethinking generalization); Lipton et al. 2018",
    )


def _find_renamed(history: History) -> tuple[int, int, float] | None:
    """A class that is rarer in training, and the one that it seems to be called there."""
    probe = history.probe
    assert probe is not None
    train, valid = probe.on_train.seen, probe.valid
    if len(train) != len(valid.seen) or min(sum(train), sum(valid.seen)) < 100:
        return None
    for k, count in enumerate(valid.seen):
        now, then = count / sum(valid.seen), train[k] / sum(train)
        recall = valid.right[k] / count if count else 1.0
        if count >= 20 and now > 1.8 * then and recall < 0.5:
            gains = [valid.said[j] - valid.seen[j] for j in range(len(train))]
            other = max(range(len(train)), key=gains.__getitem__)
            # Where examples of a class are merely missing, the others keep their proportions.
            rest, usual = sum(train) - train[k], sum(valid.seen) - count
            grown = train[other] * usual > 1.3 * valid.seen[other] * rest
            if grown and gains[other] > 0.5 * (count - valid.right[k]):
                return k, other, now / max(then, 1e-6)
    return None


def _leaks(history: History) -> Iterable[Finding]:
    data = history.data
    if data is None:
        return
    share = data.shared / data.valid_examples if data.valid_examples else 0.0
    repeated = 1 - data.distinct
    natural = data.coincides and data.agreeing < 0.9 and share < max(3 * repeated, 0.05)
    # The same inputs come again with other targets: as pairs of a user and an item do.
    natural |= not data.class_counts and repeated > 0.02 and data.agreeing < 0.5
    # Inputs that were cut to a few values are another fault.
    whole = bool(data.class_counts) and data.contradicted < 0.01 and not data.coincides
    fine = data.distinct > 0.5 or data.agreeing > 0.9 or whole
    if share > 0.02 and data.shared >= 3 and fine and not natural:
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
    elif _comes_in_families(history, data):
        yield Finding(
            code="train_val_leak",
            severity="warning",
            step=history.step,
            evidence={"spacing": data.spacing, "valid_spacing": data.valid_spacing},
            cause="Examples come in families: next to a validation example lie training examples "
            f"that are much nearer than the others (exponent {data.valid_spacing:.1f}, about 1 "
            "expected), as records of one patient, frames of one film or changed copies do.",
            remedy="Split by family (scikit-learn's GroupKFold), so that each is in one part only.",
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
    else:
        yield from _partial_leak(history, data)


def _comes_in_families(history: History, data: DataFacts) -> bool:
    """Whether examples have siblings, some of them on the other side of the split."""
    near = data.valid_spacing
    single = data.distinct > 0.9 and not data.coincides and data.features > 2
    return single and near > 1.6


def _partial_leak(history: History, data: DataFacts) -> Iterable[Finding]:
    """A feature that gives the target away in most examples, or nearly."""
    divides = data.dividing_skill > 0.94 and 0.1 < data.others_skill < data.dividing_skill - 0.2
    copies = data.copied_share > 0.05
    if not (divides or copies):
        yield from _following_leak(history, data)
        return
    column = data.dividing_column if divides else data.copied_column
    yield Finding(
        code="label_leak",
        severity="warning",
        where=f"feature {column}",
        step=history.step,
        evidence=(
            {"skill_of_one_limit": data.dividing_skill, "skill_of_others": data.others_skill}
            if divides
            else {"share_of_copies": data.copied_share}
        ),
        cause=(
            f"One limit on feature {column} tells the classes apart with a skill of "
            f"{data.dividing_skill:.2f}, all other features together with "
            f"{data.others_skill:.2f}: it may be known only afterwards."
            if divides
            else f"Feature {column} is the very target in {100 * data.copied_share:.0f} % of the "
            "examples: it is made from it."
        ),
        remedy="Take out features that are not known when a prediction is to be made; encode "
        "categories by the targets of other examples only.",
        reference="Kaufman et al. 2012",
    )
