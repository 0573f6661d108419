"""How well the model fits what it was trained on and what it was not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import (
    accuracy,
    base_rate,
    is_poor,
    is_warming_up,
    late,
    middle,
    pull_of_decay,
    skill,
    typical,
)

ENOUGH = 100


def judge_fit(history: History) -> Iterable[Finding]:
    """Overfitting, underfitting, too much regularisation, augmentation that destroys."""
    yield from _overfitting(history)
    if history.trend.count >= ENOUGH and not history.trend.broken:
        regularised = list(_over_regularised(history))
        yield from regularised
        if not regularised:
            yield from _augmentation(history)
            yield from _underfitting(history)


def _column(history: History, name: str) -> list[float]:
    return [e.values[name] for e in history.epochs if math.isfinite(e.values.get(name, math.nan))]


def _overfitting(history: History) -> Iterable[Finding]:
    valid, train = _column(history, "valid_loss"), _column(history, "train_loss")
    metric, own = _column(history, "valid_metric"), _column(history, "train_metric")
    probe = history.probe
    is_rate = bool(metric) and bool(own) and min(metric + own) >= 0 and max(metric + own) <= 1
    gap = _recent(own) - _recent(metric) if is_rate else math.nan
    if not math.isfinite(gap) and probe is not None:
        gap = probe.train.accuracy - probe.valid.accuracy
    rise, train_last = 0.0, math.nan
    if len(valid) >= 4:
        best = min(valid)
        rise = (_recent(valid) - best) / max(abs(best), 1e-12)
        train_last = _recent(train) if train else history.trend.last
        ratio = _recent(valid) / max(train_last, 1e-6)
    elif probe is not None and math.isfinite(probe.valid.loss):
        ratio = probe.valid.loss / max(probe.train.loss, 1e-6)
        train_last = probe.train.loss
    else:
        return
    fits = skill(history) > 0.5
    unsure = history.is_classification and not math.isfinite(gap)
    rises = rise > (0.5 if unsure else 0.25) and ratio > (4 if unsure else 1.6)
    far = gap > 0.15 and ratio > 2
    regression = not history.is_classification and not math.isfinite(gap)
    numbers = regression and ratio > 4 and rise > 0.08
    if regression and valid and _recent(valid) - min(valid) < 0.05 * history.chance:
        rises = numbers = False  # by next to nothing of what there is to be explained
    if regression and train and valid:
        numbers = numbers or (ratio > 8 and _recent(valid) - _recent(train) > 0.25 * history.chance)
    if train and _recent(train) - min(train) > 0.05 * max(train):
        return  # the training loss jumped as well
    if not fits or not ((rises and (gap > 0.1 or not math.isfinite(gap))) or far or numbers):
        return
    yield Finding(
        code="overfitting",
        severity="warning",
        step=history.step,
        evidence={
            "accuracy_gap": gap,
            "valid_loss_over_train_loss": ratio,
            "valid_loss_rise": rise,
        },
        cause=f"The validation loss is {ratio:.2g} times the training loss"
        + (f" and has risen by {100 * rise:.0f} % since its best" if rise > 0.05 else "")
        + (f"; the accuracy differs by {100 * gap:.0f} points" if gap > 0 else "")
        + ": the model learns the training examples by heart.",
        remedy="Stop at the best validation loss; use more data, augmentation, weight decay or "
        "dropout, or a smaller model.",
        reference="Prechelt 1998; Goodfellow et al. 2016, chapter 7",
    )


def _recent(values: Sequence[float]) -> float:
    return median(values[-max(1, min(5, len(values) // 4)) :]) if values else math.nan


def _over_regularised(history: History) -> Iterable[Finding]:
    facts = history.facts
    if skill(history) > 0.93 or _fits_better_than_it_predicts(history):
        return
    data = history.data
    below = data is not None and data.neighbours - accuracy(history) > 0.05
    poor = is_poor(history)
    # Each step takes this share of the weights away.
    decay = middle(rate for _, rate in history.rates) * facts.weight_decay
    stands = history.trend.late_fall < 0.03
    first = typical(history.readings[:2], lambda p: p.weight)
    last = typical(late(history, 0.2), lambda p: p.weight)
    shrunk = [last[n] / first[n] for n in last if first.get(n, 0) > 0]
    shrink = sorted(shrunk)[len(shrunk) // 2] if shrunk else math.nan
    # The best weights of a model too simple for its task may be small without any penalty.
    added = history.graph is not None and "add" in history.graph.around
    decays = facts.weight_decay >= 0.02 or "custom" in facts.optimizer or added
    probe = history.probe
    drops = facts.dropout >= 0.75 and (
        probe is None
        or not math.isfinite(probe.as_trained.loss)
        or probe.as_trained.loss > 1.2 * probe.train.loss
        or skill(history) < 0.3
    )
    penalty, bound = _penalty_share(history), _share_at_bound(history)
    if bound > 0.2 and poor and not history.facts.bound > 0.1 and not history.facts.twins > 0.3:
        cause = (
            f"{100 * bound:.0f} % of the weights or of the units' norms lie at one and the same "
            f"bound, where they are held, while the loss stands at {history.trend.last:.3g}."
        )
        remedy = "Allow larger weights, or do not clamp them."
    elif penalty > 0.35 and stands:
        cause = (
            f"{100 * penalty:.0f} % of the loss, which stands at {history.trend.last:.3g}, are a "
            "penalty and not the error of the predictions."
        )
        remedy = "Divide the penalty by 10 or more."
    elif pull_of_decay(history) > 1 and poor:
        cause = (
            f"Weight decay ({facts.weight_decay:g}) adds {pull_of_decay(history):.2g} times their "
            f"own size to the gradients, and the loss stands at {history.trend.last:.3g}."
        )
        remedy = "Use a weight decay of about 1e-4."
    elif (poor or shrink < 0.03) and shrink < 0.4 and (decays or facts.weight_layers > 1):
        cause = (
            f"The weights have shrunk to {100 * shrink:.0f} % of their first size while the loss "
            f"stands at {history.trend.last:.3g}: the penalty of the weights "
            f"(weight_decay={facts.weight_decay:g}) outweighs the data."
        )
        remedy = "Divide the weight decay or the penalty by 10 or more; 1e-4 is usual."
    elif drops and (poor or below):
        cause = (
            f"Dropout takes {100 * facts.dropout:.0f} % of the units away, and the training loss "
            f"stands at {history.trend.last:.3g}."
        )
        remedy = "Use a dropout of 0.5 or less."
    elif stands and (
        decay > 3e-3 or (poor and facts.weight_decay >= 0.1 and "w" not in facts.optimizer)
    ):
        cause = (
            f"A weight decay of {facts.weight_decay:g} takes {100 * decay:.2g} % of the weights "
            f"away in each step and keeps the loss at {history.trend.last:.3g}."
        )
        remedy = "Use a weight decay of about 1e-4."
    else:
        return
    yield Finding(
        code="over_regularised",
        severity="error" if skill(history) < 0.3 else "warning",
        step=history.step,
        evidence={
            "weight_shrink": shrink,
            "weight_decay": facts.weight_decay,
            "dropout": facts.dropout,
        },
        cause=cause,
        remedy=remedy,
        reference="Krogh & Hertz 1992; Srivastava et al. 2014",
    )


def _fits_better_than_it_predicts(history: History) -> bool:
    """Whether the training error is below the validation's: a weaker penalty would not help."""
    probe = history.probe
    if probe is None or not probe.valid.loss > 0:
        return False
    return probe.on_train.loss < 0.8 * probe.valid.loss


def _penalty_share(history: History) -> float:
    """What share of the last losses is not the standard loss of the outputs."""
    graph = history.graph
    if graph is None or not graph.named or "add" not in graph.around:
        return math.nan
    losses = dict(history.losses)
    return middle(
        1 - history.loss_factor * r.outputs.standard_loss / losses[r.step]
        for r in late(history, 0.2)
        if r.outputs is not None and losses.get(r.step, 0.0) > 0
    )


def _share_at_bound(history: History) -> float:
    """The share of the weights that have the size of the largest one."""
    return history.probe.bound if history.probe is not None else math.nan


def _augmentation(history: History) -> Iterable[Finding]:
    """Training inputs are changed so much that little can be learned from them."""
    learned = skill(history)
    inputs = [r.inputs for r in history.readings if r.inputs is not None]
    if not inputs:
        return
    lead = _lead(history)
    std, mean = middle(r.std for r in inputs), middle(r.mean for r in inputs)
    plain = _plain_scale(history)
    if learned > 0.75:
        yield from _elsewhere(history, plain, mean, lead)
        return
    grown, moved = math.nan, math.nan
    if plain is not None and plain[1] > 0:
        grown, moved = std / plain[1], abs(mean - plain[0]) / plain[1]
    other = grown > 1.5 or grown < 0.67 or moved > 0.6
    data = history.data
    if data is not None and data.changed < 0.05:
        return  # nothing is augmented
    changed = data is not None and data.changed > 0.5 and learned < 0.4 and _matches(history)
    stands = history.trend.late_fall < 0.05
    # What the unchanged examples would tell, were they what is trained on.
    possible = data.neighbours if data is not None and data.changed > 0.3 else math.nan
    spoils = stands and possible - accuracy(history) > 0.2
    if not (
        other
        or spoils
        or changed
        or (lead > 0.25 and learned < 0.6 and history.facts.dropout < 0.3)
    ):
        return
    yield Finding(
        code="bad_augmentation",
        severity="warning",
        step=history.step,
        evidence={
            "valid_minus_train_accuracy": lead,
            "input_std_over_data": grown,
            "input_shift": moved,
        },
        cause="The inputs in training are others than those in validation (standard deviation "
        f"{grown:.2g} times theirs), and the model learns little from them: the augmentation "
        "destroys what the labels rest on.",
        remedy="Look at augmented examples; weaken the augmentation until a person can tell the "
        "targets.",
        reference="Krizhevsky et al. 2012; Cubuk et al. 2019",
    )


def _elsewhere(
    history: History, plain: tuple[float, float] | None, mean: float, lead: float
) -> Iterable[Finding]:
    """All training inputs are moved away from those of the validation, where little is right."""
    data = history.data
    if plain is None or data is None or not plain[1] > 0 or not data.changed > 0.9:
        return
    moved = abs(mean - plain[0]) / plain[1]
    if moved > 0.6 and lead < -0.1:
        yield Finding(
            code="bad_augmentation",
            severity="warning",
            step=history.step,
            evidence={"input_shift": moved, "valid_minus_train_accuracy": lead},
            cause=f"The training inputs lie {moved:.2g} standard deviations from those of the "
            f"validation, where the accuracy is {-100 * lead:.0f} points lower: every one is "
            "changed in a way that the validation's are not.",
            remedy="Change some training inputs and leave others as they are.",
            reference="Krizhevsky et al. 2012",
        )


def _lead(history: History) -> float:
    train, valid = _column(history, "train_metric"), _column(history, "valid_metric")
    if len(train) < 2 or not valid or max(train + valid) > 1 or min(train + valid) < 0:
        return math.nan
    return _recent(valid) - _recent(train)


def _plain_scale(history: History) -> tuple[float, float] | None:
    """Mean and deviation of what the model sees without gradients."""
    if not history.eval_inputs:
        return None
    return (
        middle(mean for mean, _ in history.eval_inputs),
        middle(std for _, std in history.eval_inputs),
    )


def _matches(history: History) -> bool:
    """Whether the training data given is scaled as what the model sees."""
    data, plain = history.data, _plain_scale(history)
    if history.facts.embeds:
        return history.trend.late_fall < 0.05  # symbols have no scale
    if data is None or plain is None or not plain[1] > 0:
        return False
    return 0.8 < data.train_std / plain[1] < 1.25


def _underfitting(history: History) -> Iterable[Finding]:
    """A plateau far above what the nearest neighbours achieve (Cover & Hart 1967)."""
    trend, data, facts = history.trend, history.data, history.facts
    still_falls = trend.late_fall > 0.03 or is_warming_up(history)
    weighted = history.is_classification and not 0.8 < history.loss_factor < 1.25
    if data is None or still_falls or weighted or skill(history) > 0.9:
        return
    if history.is_classification:
        own, possible, base = accuracy(history), data.neighbours, base_rate(history)
        if not (math.isfinite(own) and math.isfinite(possible)):
            return
        linear = facts.weight_layers <= 1
        missing = possible - own > (0.06 if linear else 0.15) and (own > base + 0.02 or linear)
        numbers = {"train_accuracy": own, "nearest_neighbours": possible}
    else:
        own, possible = 1 - trend.level, data.neighbour_fit
        missing = possible - own > 0.25 and possible > 0.4
        numbers = {"train_r2": own, "nearest_neighbours_r2": possible}
    small = facts.weight_layers <= 1 or facts.hidden_units <= 8 or facts.narrowest <= 2
    if not missing or not (small or trend.count > 300):
        return
    yield Finding(
        code="underfitting",
        severity="warning",
        step=history.step,
        evidence={**numbers, "parameters": facts.parameters, "hidden_units": facts.hidden_units},
        cause=f"The training stands at {own:.2f} on its own training examples, where the nearest "
        f"neighbours get {possible:.2f}: a model of {facts.parameters} parameters is too small or "
        "of the wrong kind.",
        remedy="Use more hidden units or layers, or fewer constraints.",
        reference="Cover & Hart 1967; Goodfellow et al. 2016, chapter 5",
    )
