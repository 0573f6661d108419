"""Losses that do not suit their task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from trainwell.findings import Finding, Severity
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import (
    LOSSES_OF_NUMBERS,
    accuracy,
    base_rate,
    middle,
    pairing,
    skill,
)

_PULLING = (
    *("cross_entropy", "nll", "bce", "bce_logits"),
    *("mse", "smooth_l1", "huber"),
)
"""Losses that pull each output towards its target."""


@dataclass(frozen=True)
class _Misfit:
    """A loss that does not suit what it is used for.

    Attributes:
        holds: Whether it is so.
        cause: Says so.
        remedy: What to do.
        severity: Of the finding.
    """

    holds: Callable[[History], bool]
    cause: Callable[[History], str]
    remedy: str
    severity: Severity = "error"


def judge_losses(history: History) -> Iterable[Finding]:
    """Whether the loss suits outputs and targets."""
    yield from list(_misfit(history)) or list(_misses_the_point(history)) or _leaves_out(history)


def _misfit(history: History) -> Iterable[Finding]:
    """The first that holds."""
    if history.graph is None:
        return
    found = next((misfit for misfit in _MISFITS if misfit.holds(history)), None)
    if found is None:
        return
    yield Finding(
        code="wrong_loss",
        severity=found.severity,
        step=history.step,
        evidence={"loss_last": history.trend.last},
        cause=found.cause(history),
        remedy=found.remedy,
        reference="Bishop 1995, chapter 6",
    )


def _kind(history: History) -> str:
    return history.graph.kind if history.graph is not None else ""


def _gets_scores(history: History) -> bool:
    """Whether a negative log-likelihood gets what cannot be logarithms of probabilities."""
    graph = history.graph
    if graph is None or graph.kind != "nll":
        return False
    low = min((loss for _, loss in history.losses), default=0.0)
    tops = [o.maximum for o in history.outputs]
    made_otherwise = graph.activation in ("", "relu", "tanh", "sigmoid")
    return made_otherwise and (low < 0 or (bool(tops) and max(tops) > 1e-3))


def _takes_numbers_for_classes(history: History) -> bool:
    number = _kind(history) in LOSSES_OF_NUMBERS
    # What is told may be the action taken, whose value is learned (Mnih et al. 2015).
    valued = history.graph is not None and history.graph.picked
    return number and not valued and _is_of_torch(history) and _predicts_classes(history)


def _takes_classes_for_numbers(history: History) -> bool:
    of_classes = _kind(history) in ("cross_entropy", "nll", "bce", "bce_logits")
    return of_classes and history.facts.task == "regression"


def _has_a_single_output(history: History) -> bool:
    of_classes = _kind(history) in ("cross_entropy", "custom_cross_entropy")
    return of_classes and bool(history.outputs) and history.outputs[-1].columns == 1


def _is_swapped(history: History) -> bool:
    return history.graph is not None and history.graph.swapped


def _pulls_elsewhere(history: History) -> bool:
    """Whether the gradient by an example's outputs has nothing to do with its class.

    A loss may see classes that are shifted against those that are told, which takes an index, and
    one of numbers may have other targets altogether, such as the noise of a diffusion.
    """
    graph = history.graph
    if graph is None or graph.kind not in ("cross_entropy", "nll"):
        return False
    whole = graph.direct and not graph.parted
    weighted = middle(o.in_line for o in history.outputs[:8]) > 0.5
    return whole and not weighted and abs(pairing(history)) < 0.3 and skill(history) < 0.5


def _looks_at_one_example(history: History) -> bool:
    graph = history.graph
    known = [o for o in history.outputs[:8] if math.isfinite(o.moved) and o.rows >= 8]
    pulls = graph is not None and graph.direct and graph.kind in _PULLING
    return pulls and len(known) >= 5 and all(o.moved == 1 and o.told >= 8 for o in known)


def _aims_at_the_commonest(history: History) -> bool:
    """Whether an absolute error is least where one and the same number is always predicted."""
    data = history.data
    if data is None or data.class_counts or _kind(history) != "l1":
        return False
    return 0.5 < data.commonest_target < 0.95


def _commonest_share(history: History) -> float:
    return history.data.commonest_target if history.data is not None else math.nan


def _falls_for_ever(history: History) -> bool:
    """Whether a loss of classes goes far below 0 and nothing is learned."""
    trend = history.trend
    deep = trend.last < -100 * max(1.0, abs(trend.start))
    return deep and bool(history.class_counts) and accuracy(history) < base_rate(history) + 0.1


def _is_of_torch(history: History) -> bool:
    """Whether the loss is torch's own; the absolute error leaves no trace of its name."""
    named = history.graph is not None and history.graph.named
    return named or history.facts.loss_name.lower().replace("_", "") == "l1loss"


def _gives_rates(history: History) -> bool:
    """Whether the first value that is not finite is that of a Poisson loss of negative rates."""
    origin = history.nan.origin if history.nan is not None else None
    return origin is not None and origin.operation == "poisson_nll_loss"


def _misses_the_point(history: History) -> Iterable[Finding]:
    """A loss that is nearly gone while outputs say nothing of their targets."""
    graph, probe, trend = history.graph, history.probe, history.trend
    own = graph is None or graph.kind in ("", "l1", "mse", "kl")
    if probe is None or not own or (graph is not None and graph.named):
        return
    score = probe.train
    gone = trend.fall > 0.85 and trend.count >= 50
    spread = [o.target_std for o in history.outputs if o.target_std > 0 and not o.target_counts]
    says_nothing = (
        bool(spread) and -0.3 < score.agreement < 0.2 and score.loss > 0.8 * middle(spread) ** 2
    )
    if gone and says_nothing:
        yield Finding(
            code="wrong_loss",
            severity="error",
            step=history.step,
            evidence={
                "loss_start": trend.start,
                "loss_last": trend.last,
                "correlation": score.agreement,
            },
            cause=f"The loss fell from {trend.start:.3g} to {trend.last:.3g}, but the outputs have "
            f"a correlation of {score.agreement:.2f} with the targets: the loss does not measure "
            "what the targets ask for, as where errors of both signs cancel out.",
            remedy="Square errors, or take their absolute values, before they are averaged.",
            reference="Bishop 1995, chapter 6",
        )


def _leaves_out(history: History) -> Iterable[Finding]:
    """Outputs that never enter the loss.

    Of classes that exclude each other, those that no example has may have no gradient.
    """
    known = [r.outputs for r in history.readings[:8] if r.outputs is not None]
    idle = frozenset.intersection(*(o.idle for o in known)) if len(known) >= 5 else frozenset()
    if not idle or history.class_counts:
        return
    graph, columns = history.graph, known[0].columns
    # With a term for each output, the number is only the one that sum() begins with.
    cut = graph is not None and graph.adds_number and graph.terms < columns
    why = "the loss leaves them out"
    if cut:
        why += ", or what it adds for them is a number without a graph"
    remedy = "Let each output enter the loss once; look for an index that is written twice."
    if cut:
        remedy = "Add the other loss as a tensor: take item(), detach() or no_grad() away from it."
    yield Finding(
        code="detach_inplace" if cut else "wrong_loss",
        severity="warning",
        step=history.step,
        evidence={"outputs": columns, "without_gradient": len(idle)},
        cause=f"{len(idle)} of {columns} outputs have no gradient for any example: {why}, "
        "and nothing is learned for them.",
        remedy=remedy,
        reference="Bishop 1995, chapter 6",
    )


def _predicts_classes(history: History) -> bool:
    facts = history.facts
    if facts.task in ("regression", "reconstruction"):
        return False
    if facts.task in ("multiclass", "binary"):
        return True
    known = [o for o in history.outputs if o.target_counts or math.isfinite(o.target_std)]
    if len(known) < 3:
        return False
    # One-hot rows, or zeros and ones against one output, or whole numbers of few kinds.
    if all(o.target_counts for o in known):
        return True
    if all(o.binary for o in known):
        return True
    low, high = min(o.target_low for o in known), max(o.target_high for o in known)
    return all(o.whole_targets for o in known) and low >= 0 and high <= 100


def _leaves_the_unit(history: History) -> bool:
    """Whether a binary cross-entropy gets targets that are no probabilities."""
    if _kind(history) not in ("bce", "bce_logits"):
        return False
    known = [o for o in history.outputs if math.isfinite(o.target_low)]
    return bool(known) and (
        min(o.target_low for o in known) < -0.01 or max(o.target_high for o in known) > 1.01
    )


_MISFITS = (
    _Misfit(
        _gets_scores,
        lambda _: "NLLLoss gets scores where it takes logarithms of probabilities.",
        "Use CrossEntropyLoss on the scores.",
    ),
    _Misfit(
        _aims_at_the_commonest,
        lambda history: (
            f"{100 * _commonest_share(history):.0f} % of the targets are one number, "
            "which is their median: the absolute error is least where it is always predicted."
        ),
        "Use the squared error, which is least at the mean, or a loss for counts.",
        "warning",
    ),
    _Misfit(
        _falls_for_ever,
        lambda history: (
            f"The loss has fallen to {history.trend.last:.3g} and has no lowest value, "
            "while the right classes are not learned: it does not measure what is wanted."
        ),
        "KLDivLoss takes log_softmax of the scores; NLLLoss too. Else use CrossEntropyLoss.",
    ),
    _Misfit(
        _gives_rates,
        lambda _: (
            "PoissonNLLLoss(log_input=False) takes its inputs for rates, which are positive; "
            "the model gives negative ones."
        ),
        "Use log_input=True, which takes the logarithms of rates.",
    ),
    _Misfit(
        _takes_numbers_for_classes,
        lambda history: f"Classes are trained with a loss for numbers ({_kind(history)}).",
        "Use CrossEntropyLoss with one output a class, or BCEWithLogitsLoss for two.",
        "warning",
    ),
    _Misfit(
        _takes_classes_for_numbers,
        lambda _: "A regression is trained with a loss for classes.",
        "Use MSELoss or SmoothL1Loss.",
    ),
    _Misfit(
        _has_a_single_output,
        lambda _: "A cross-entropy over a single output is always 0, so nothing is learned.",
        "Use BCEWithLogitsLoss for a single output, or one output a class.",
    ),
    _Misfit(
        _is_swapped,
        lambda _: (
            "The model's outputs are where the binary cross-entropy takes the targets, and "
            "the targets where it takes the scores."
        ),
        "Give the outputs first, then the targets.",
    ),
    _Misfit(
        _looks_at_one_example,
        lambda _: (
            "The loss depends on the outputs of one example of each batch; all others have "
            "no gradient."
        ),
        "Give the whole batch to the loss: no index where there is an axis of examples.",
    ),
    _Misfit(
        _pulls_elsewhere,
        lambda history: (
            "The loss does not pull the outputs of an example towards its own target: "
            f"the cosine of both directions is {pairing(history):.2f}. Outputs and targets are "
            "paired wrongly on the way into the loss."
        ),
        "Move axes with transpose() or permute(), not with view(), and keep the order.",
    ),
    _Misfit(
        _leaves_the_unit,
        lambda _: "A binary cross-entropy gets targets outside of 0 to 1.",
        "Use targets 0 and 1, or a loss for numbers.",
    ),
)
