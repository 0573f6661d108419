"""Labels: their balance, and those that are wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.data_facts import DataFacts
from trainwell.watching.history import History
from trainwell.watching.neighbours import NEIGHBOURS
from trainwell.watching.rules.evidence import late, pairing
from trainwell.watching.scores import Score


def judge_labels(history: History) -> Iterable[Finding]:
    """What the labels of the batches and of the data say."""
    yield from _imbalance(history)
    yield from _noise(history)


def _imbalance(history: History) -> Iterable[Finding]:
    seen, right = _class_results(history)
    present = [k for k, count in enumerate(seen) if count > 0]
    if len(present) < 2 or history.step < 50:
        return
    common = max(present, key=seen.__getitem__)
    few = [k for k in present if 5 <= seen[k] <= seen[common] / 6]
    if not few:
        return
    rare = min(few, key=lambda k: right[k] / seen[k])
    ratio, recall = seen[common] / seen[rare], right[rare] / seen[rare]
    # What is around things is common in any picture; only what is never found is a fault there.
    dense = history.graph is not None and history.graph.axes > 2
    if recall > (0.1 if dense else 0.3) or right[common] < 0.7 * seen[common]:
        return
    # One of many rare classes may be hard; where most are found, it is not their number.
    if sum(right[k] for k in few) > 0.5 * sum(seen[k] for k in few):
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
    # Of examples that are mixed, the labels that are told are half of the truth.
    if history.graph is not None and history.graph.named and pairing(history) < 0.9:
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
    # A few examples can be learned by heart with any labels.
    many = sum(train.seen) >= 100
    empty = many and learned > 0.06 and valid.accuracy < base + 0.03 and valid.loss > 1.05 * chance
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
    seen = list(zip(valid.seen, train, strict=True))
    for k, count in enumerate(valid.seen):
        now, then = count / sum(valid.seen), train[k] / sum(train)
        recall = valid.right[k] / count if count else 1.0
        if count >= 20 and now > 1.8 * then and recall < 0.5:
            gains = [valid.said[j] - valid.seen[j] for j in range(len(train))]
            other = max(range(len(train)), key=gains.__getitem__)
            # Where examples of a class are merely missing, the others keep their proportions.
            rest, usual = sum(train) - train[k], sum(valid.seen) - count
            grown = train[other] * usual > 1.3 * valid.seen[other] * rest
            # Nor where all classes but one are rarer: the training is unbalanced.
            rarer = sum(v * sum(train) > 1.5 * t * sum(valid.seen) for v, t in seen)
            if len(train) > 2 and rarer == len(train) - 1:
                return None
            if grown and gains[other] > 0.5 * (count - valid.right[k]):
                return k, other, now / max(then, 1e-6)
    return None
