"""Penalties, limits, decay and dropout that keep a model from learning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import (
    Suspicion,
    accuracy,
    is_poor,
    late,
    middle,
    pull_of_decay,
    skill,
    typical,
)


def find_over_regularisation(history: History) -> Iterable[Finding]:
    """What holds the model back most surely, where it learns less than it could."""
    if skill(history) > 0.93 or _fits_better_than_it_predicts(history):
        return
    found = next((found for suspect in _SUSPECTS if (found := suspect(history))), None)
    if found is None:
        return
    facts = history.facts
    cause, remedy = found
    yield Finding(
        code="over_regularised",
        severity="error" if skill(history) < 0.3 else "warning",
        step=history.step,
        evidence={
            "weight_shrink": _shrinkage(history),
            "weight_decay": facts.weight_decay,
            "dropout": facts.dropout,
        },
        cause=cause,
        remedy=remedy,
        reference="Krogh & Hertz 1992; Srivastava et al. 2014",
    )


def _suspect_bound(history: History) -> Suspicion:
    facts, bound = history.facts, _share_at_bound(history)
    if not (bound > 0.2 and is_poor(history)) or facts.bound > 0.1 or facts.twins > 0.3:
        return None
    return (
        f"{100 * bound:.0f} % of the weights or of the units' norms lie at one and the same "
        f"bound, where they are held, while the loss stands at {history.trend.last:.3g}.",
        "Allow larger weights, or do not clamp them.",
    )


def _suspect_penalty(history: History) -> Suspicion:
    penalty = _penalty_share(history)
    if not (penalty > 0.35 and _stands(history)):
        return None
    return (
        f"{100 * penalty:.0f} % of the loss, which stands at {history.trend.last:.3g}, are a "
        "penalty and not the error of the predictions.",
        "Divide the penalty by 10 or more.",
    )


def _suspect_coupled_decay(history: History) -> Suspicion:
    pull = pull_of_decay(history)
    if not (pull > 1 and is_poor(history)):
        return None
    return (
        f"Weight decay ({history.facts.weight_decay:g}) adds {pull:.2g} times their "
        f"own size to the gradients, and the loss stands at {history.trend.last:.3g}.",
        "Use a weight decay of about 1e-4.",
    )


def _suspect_shrunk_weights(history: History) -> Suspicion:
    facts, shrink = history.facts, _shrinkage(history)
    added = history.graph is not None and "add" in history.graph.around
    decays = facts.weight_decay >= 0.02 or "custom" in facts.optimizer or added
    # The best weights of a model too simple for its task may be small without any penalty.
    penalised = (decays or facts.weight_layers > 1) and not facts.twins > 0.3
    if not ((is_poor(history) or shrink < 0.03) and shrink < 0.4 and penalised):
        return None
    return (
        f"The weights have shrunk to {100 * shrink:.0f} % of their first size while the loss "
        f"stands at {history.trend.last:.3g}: the penalty of the weights "
        f"(weight_decay={facts.weight_decay:g}) outweighs the data.",
        "Divide the weight decay or the penalty by 10 or more; 1e-4 is usual.",
    )


def _suspect_dropout(history: History) -> Suspicion:
    facts, probe, data = history.facts, history.probe, history.data
    is_seen = probe is not None and probe.as_trained.loss > 1.2 * probe.train.loss
    unknown = probe is None or not math.isfinite(probe.as_trained.loss)
    below = data is not None and data.neighbours - accuracy(history) > 0.05
    many = facts.dropout >= 0.5 and facts.dropout_left < 0.2
    strong = facts.dropout >= 0.75 and (is_seen or unknown or skill(history) < 0.3)
    strong = strong or (is_seen and (facts.input_dropout >= 0.5 or many))
    if not (strong and (is_poor(history) or below)):
        return None
    if facts.input_dropout >= 0.5:
        return (
            f"Dropout takes {100 * facts.input_dropout:.0f} % of the inputs away before the first "
            f"layer sees them, and the training loss stands at {history.trend.last:.3g}.",
            "Leave inputs as they are, or drop at most 20 % of them.",
        )
    if many:
        return (
            f"The dropouts, one after the other, leave {100 * facts.dropout_left:.2g} % of what "
            f"passes all of them, and the training loss stands at {history.trend.last:.3g}.",
            "Use a dropout of 0.5 or less, after one or two of the widest layers.",
        )
    return (
        f"Dropout takes {100 * facts.dropout:.0f} % of the units away, and the training loss "
        f"stands at {history.trend.last:.3g}.",
        "Use a dropout of 0.5 or less.",
    )


def _suspect_strong_decay(history: History) -> Suspicion:
    facts = history.facts
    # Each step takes this share of the weights away.
    share = middle(rate for _, rate in history.rates) * facts.weight_decay
    coupled = facts.weight_decay >= 0.1 and not facts.decouples
    if facts.weight_decay <= 0.01:  # AdamW's own default: the rate makes it strong
        return None
    if not (_stands(history) and (share > 3e-3 or (is_poor(history) and coupled))):
        return None
    return (
        f"A weight decay of {facts.weight_decay:g} takes {100 * share:.2g} % of the weights "
        f"away in each step and keeps the loss at {history.trend.last:.3g}.",
        "Use a weight decay of about 1e-4.",
    )


_SUSPECTS: tuple[Callable[[History], Suspicion], ...] = (
    _suspect_bound,
    _suspect_penalty,
    _suspect_coupled_decay,
    _suspect_shrunk_weights,
    _suspect_dropout,
    _suspect_strong_decay,
)


def _stands(history: History) -> bool:
    return history.trend.late_fall < 0.03


def _shrinkage(history: History) -> float:
    """The late size of the weights over their first one, in the median."""
    first = typical(history.readings[:2], lambda p: p.weight)
    last = typical(late(history, 0.2), lambda p: p.weight)
    shrunk = sorted(last[n] / first[n] for n in last if first.get(n, 0) > 0)
    return shrunk[len(shrunk) // 2] if shrunk else math.nan


def _fits_better_than_it_predicts(history: History) -> bool:
    """Whether the training error is below the validation's: a weaker penalty would not help."""
    probe = history.probe
    if probe is None or not probe.valid.loss > 0:
        return False
    return probe.on_train.loss < 0.8 * probe.valid.loss


def _penalty_share(history: History) -> float:
    """What share of the last losses is not the standard loss of the outputs."""
    graph = history.graph
    if graph is None or not graph.named or "add" not in graph.around or graph.losses > 1:
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
