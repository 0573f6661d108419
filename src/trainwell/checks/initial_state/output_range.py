"""Whether what the model puts out can be what the loss and the targets ask for."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from trainwell.checks.initial_state.first_pass import first_pass
from trainwell.checks.initial_state.known_loss import DISTANCES, know_loss
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.findings import Finding, Severity

CHECK = "range of the outputs"
VIEWS = (
    *("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Select", "Slice", "Index"),
    *("Transpose", "T", "Permute", "Expand", "Clone", "ToCopy", "Alias", "Contiguous", "AsStrided"),
)
"""Nodes of the graph that only lay out the same numbers otherwise."""
ENDS = {
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Relu": "ReLU",
    "Threshold": "ReLU",
    "Hardtanh": "hardtanh",
    "Hardsigmoid": "hardsigmoid",
    "Clamp": "clamp",
    "ClampMin": "ReLU",
    "Softplus": "softplus",
    "LogSigmoid": "log_sigmoid",
    "NativeDropout": "dropout",
    "NativeBatchNorm": "batch_norm",
    "CudnnBatchNorm": "batch_norm",
}
RANGES = {
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "ReLU": (0.0, math.inf),
    "softplus": (0.0, math.inf),
    "log_softmax": (-math.inf, 0.0),
    "log_sigmoid": (-math.inf, 0.0),
}
PROBABLE, WIDE = 1e-3, 8.0
FEW_OUTSIDE, MANY_OUTSIDE = 0.02, 0.2
FEWEST_EXCLUSIVE = 3
REFERENCE = "Goodfellow, Bengio & Courville, Deep Learning (2016), section 6.2.2"


def check_output_range(subject: Subject) -> Sequence[Verdict]:
    """Looks at what made the outputs, at their values, and at what the loss asks for.

    Args:
        subject: Whose model makes one pass on a replica.
    """
    first = subject.once(first_pass)
    outputs = first.outputs
    if outputs is None or not outputs.numel():
        return [skip(CHECK, first.error or "the model puts out no numbers")]
    if first.has_own_objective or not isinstance(first.raw, Tensor):
        return [skip(CHECK, "the model says itself what its outputs are for")]
    end = find_end(outputs)
    values = outputs.detach().float()
    lowest, highest = float(values.min()), float(values.max())
    seen = f"{lowest:.3g} to {highest:.3g}" + (f", behind a {end.name}" if end.name else "")
    known = know_loss(subject.loss, outputs, first.targets)
    if known.name in ("cross_entropy", "hinge"):
        expected, found = "scores of any size", _find_squashed_scores(end, values, known.name)
    elif known.name in ("negative_log_likelihood", "kullback_leibler"):
        expected, found = "logarithms of probabilities", _find_no_logarithms(end, values)
    elif known.name == "binary_cross_entropy_of_logits":
        expected = "scores of any size"
        found = [
            *_find_squashed_logits(end, values),
            *_find_exclusive_classes(values, first.targets),
        ]
    elif known.name == "binary_cross_entropy":
        expected, found = "probabilities", _find_no_probabilities(end, values)
        found += _find_exclusive_classes(values, first.targets)
    elif known.name in DISTANCES:
        expected = "the range of the targets"
        found = _find_targets_outside(end, values, _all_targets(subject, first.targets))
    else:
        expected, found = "any: the loss is your own", []
    return [Verdict(CHECK, seen, expected, tuple(found))]


@dataclass(frozen=True)
class End:
    """The function that made the outputs.

    Attributes:
        name: Such as `"softmax"`; empty where it is none that bounds them.
        low, high: Between which its values are.
    """

    name: str = ""
    low: float = -math.inf
    high: float = math.inf

    @property
    def is_bounded(self) -> bool:
        """Whether it bounds its values on any side."""
        return math.isfinite(self.low) or math.isfinite(self.high)


def find_end(outputs: Tensor) -> End:
    """The function that made the outputs.

    Args:
        outputs: With their graph.
    """
    node: Any = outputs.grad_fn
    while node is not None:
        name = re.sub(r"Backward\d*$", "", node.name())
        if name in ENDS:
            return _read_end(ENDS[name], node)
        if name not in VIEWS:
            return End()
        node = node.next_functions[0][0] if node.next_functions else None
    return End()


def _read_end(name: str, node: Any) -> End:
    if name != "clamp":
        return End(name, *RANGES.get(name, (-math.inf, math.inf)))
    low, high = (getattr(node, f"_saved_{side}", None) for side in ("min", "max"))
    return End(
        name,
        low if isinstance(low, int | float) else -math.inf,
        high if isinstance(high, int | float) else math.inf,
    )


def is_probability(values: Tensor) -> bool:
    """Whether each row of `(N, C)` is a distribution over at least two classes."""
    if values.ndim < 2 or values.shape[1] < 2 or float(values.min()) < 0:
        return False
    return bool((values.sum(1) - 1).abs().max() < PROBABLE)


def _found(severity: Severity, cause: str, remedy: str, **evidence: float) -> list[Finding]:
    return [
        Finding(
            "output_activation",
            severity,
            evidence=evidence,
            cause=cause,
            remedy=remedy,
            reference=REFERENCE,
        )
    ]


def _find_squashed_scores(end: End, values: Tensor, name: str) -> list[Finding]:
    """Of a loss that applies softmax, or compares scores, itself."""
    if _sums_over_batch(end, values):
        return _found(
            "error",
            "The outputs are a softmax over the examples of the batch instead of over the classes.",
            "Leave the softmax out: the loss has it.",
        )
    if is_probability(values):
        classes = values.shape[1]
        lowest = math.log(math.e + classes - 1) - 1
        what = "softmax is applied twice, in the model and in the loss, which"
        if name == "hinge":
            what = "the margin of 1 is reached by certainty alone; the loss"
        return _found(
            "error",
            f"The outputs are probabilities already: {what} cannot fall below {lowest:.3g}.",
            "Leave the softmax out of the model.",
            lowest_loss=lowest,
        )
    if end.name == "log_softmax":
        return _found(
            "note",
            "The outputs are log-probabilities; the loss applies log_softmax again, which leaves "
            "them as they are.",
            "Leave the log_softmax out of the model, or use nll_loss.",
        )
    if end.name == "dropout":
        return _dropped()
    if _is_narrow(end) and values.shape[-1] > 1:
        low, high = end.low, end.high
        bounds = f"between {low:g} and {high:g}" if math.isfinite(high - low) else "of one sign"
        return _found(
            "error",
            f"A {end.name} stands behind the scores, which are then only {bounds}: the classes "
            "exclude each other, and the loss compares scores of any size.",
            f"Leave the {end.name} out of the model.",
            lowest=float(values.min()),
            highest=float(values.max()),
        )
    return []


def _is_narrow(end: End) -> bool:
    """Whether scores between these bounds cannot be sure; wide ones only keep them finite."""
    return end.is_bounded and (end.high - end.low < WIDE or 0 in (end.low, end.high))


def _dropped() -> list[Finding]:
    return _found(
        "warning",
        "Dropout stands behind the last layer: it sets scores to zero at random.",
        "Put dropout before the last layer.",
    )


def _sums_over_batch(end: End, values: Tensor) -> bool:
    if end.name != "softmax" or values.ndim != 2 or len(values) < 2:
        return False
    return bool((values.sum(0) - 1).abs().max() < PROBABLE)


def _find_no_logarithms(end: End, values: Tensor) -> list[Finding]:
    total = values.logsumexp(1) if values.ndim > 1 else values
    if bool(total.abs().max() < PROBABLE):
        return []
    if is_probability(values):
        return _found(
            "error",
            "The outputs are probabilities, and the loss takes their logarithms: it becomes "
            "negative and its gradient does not depend on how wrong they are.",
            "Use log_softmax instead of softmax, or scores with cross_entropy.",
        )
    if end.name == "log_sigmoid" or (
        end.name in ("", "log_softmax", "clamp") and float(values.max()) <= 0
    ):
        # Logarithms of probabilities that need not sum to one, as of mixtures.
        return []
    return _found(
        "error",
        "The loss takes logarithms of probabilities, but gets scores from "
        f"{float(values.min()):.3g} to {float(values.max()):.3g}: it falls without bound when they "
        "grow.",
        "Use cross_entropy, or put log_softmax behind the last layer.",
        lowest=float(values.min()),
        highest=float(values.max()),
    )


def _find_squashed_logits(end: End, values: Tensor) -> list[Finding]:
    if end.name == "dropout":
        return _dropped()
    if not _is_narrow(end):
        return []
    low, high = end.low, end.high
    is_sigmoid = end.name == "sigmoid"
    twice = "is applied twice, in the model and in the loss" if is_sigmoid else "bounds them"
    return _found(
        "error",
        f"The loss takes scores of any size and has the sigmoid itself; the {end.name} behind them "
        f"{twice}, so that they stay between {low:g} and {high:g}.",
        f"Leave the {end.name} out of the model.",
        lowest=float(values.min()),
        highest=float(values.max()),
    )


def _find_no_probabilities(end: End, values: Tensor) -> list[Finding]:
    if end.name in ("sigmoid", "hardsigmoid"):
        return []
    if end.name == "softmax" and values.ndim > 1 and values.shape[1] == 1:
        return _found(
            "error",
            "A softmax over one output is always 1.",
            "Use a sigmoid, or binary_cross_entropy_with_logits on the score.",
        )
    lowest, highest = float(values.min()), float(values.max())
    if (lowest >= 0 and highest <= 1 and end.name not in ("ReLU", "tanh", "hardtanh")) or (
        is_probability(values)
    ):
        return []
    return _found(
        "error",
        f"The loss takes probabilities, but the outputs go from {lowest:.3g} to {highest:.3g}"
        + (f" behind a {end.name}." if end.name else "."),
        "Use binary_cross_entropy_with_logits, or put a sigmoid behind the last layer.",
        lowest=lowest,
        highest=highest,
    )


def _find_exclusive_classes(values: Tensor, targets: Tensor) -> list[Finding]:
    """Sigmoids, one for each of several classes of which always just one is right."""
    if targets.ndim != 2 or targets.shape[1] < FEWEST_EXCLUSIVE or values.shape != targets.shape:
        return []
    is_one_hot = bool(((targets == 0) | (targets == 1)).all()) and bool((targets.sum(1) == 1).all())
    if not is_one_hot:
        return []
    return _found(
        "warning",
        f"Just one of {targets.shape[1]} classes is right for each example, but each has a sigmoid "
        "of its own: their probabilities need not sum to one.",
        "Use cross_entropy on the scores, with class numbers.",
        classes=float(targets.shape[1]),
    )


def _all_targets(subject: Subject, sampled: Tensor) -> Tensor:
    if subject.task == "reconstruction":
        return sampled
    return subject.encode(subject.train.targets)


def _find_targets_outside(end: End, values: Tensor, targets: Tensor) -> list[Finding]:
    """Targets of a regression that an output behind a bounded function can never reach."""
    if end.name == "dropout":
        return _dropped()
    if not end.is_bounded or not targets.numel():
        return []
    low, high = end.low, end.high
    wanted = targets.float()
    margin = 0.01 * float(wanted.std(unbiased=False)) if wanted.numel() > 1 else 0.0
    outside = float(((wanted < low - margin) | (wanted > high + margin)).float().mean())
    if outside < FEW_OUTSIDE:
        return []
    lowest, highest = float(wanted.min()), float(wanted.max())
    return _found(
        "error" if outside >= MANY_OUTSIDE else "warning",
        f"A {end.name} stands behind the outputs, which can only be between {low:g} and {high:g}; "
        f"{100 * outside:.0f} % of the targets lie outside, from {lowest:.3g} to {highest:.3g}.",
        f"Leave the {end.name} out, or scale the targets into its range.",
        outside=outside,
        lowest=lowest,
        highest=highest,
    )
