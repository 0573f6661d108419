"""Whether the loss is one finite number that a batch of any size gives alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from trainwell.checks.initial_state.first_pass import FirstPass, first_pass
from trainwell.checks.initial_state.known_loss import draw_like, try_loss
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.findings import Finding

CHECK = "loss over a batch"
EXPECTED = "one finite number, the mean over the batch"
SUMS, DIVIDES_TWICE = 1.5, 0.75
"""The loss of a batch shown twice against that of the batch: 1 for a mean, 2 for a sum."""
SAME = 1e-6
ADAPTIVE = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "Rprop")
"""Optimisers whose steps do not depend on the scale of the gradient."""


def check_loss_reduction(subject: Subject) -> Sequence[Verdict]:
    """Looks at the loss of a batch, of the same batch twice, and with the targets exchanged.

    Args:
        subject: Whose model makes one pass on a replica.
    """
    first = subject.once(first_pass)
    if first.loss is None or first.raw is None:
        return [skip(CHECK, first.error)]
    if first.has_own_objective:
        return [skip(CHECK, "the model is trained by a rule of its own")]
    if first.loss.numel() != 1:
        return [_not_a_number(first.loss)]
    loss = float(first.loss.detach())
    if not math.isfinite(loss):
        return [Verdict(CHECK, f"{loss}", EXPECTED, (_not_finite(first, loss),))]
    ratio = _ratio_of_double(subject, first, loss)
    seen = f"times {ratio:.3g} when the batch is doubled" if ratio else f"{loss:.4g}"
    findings = [] if ratio is None else _find_reduction(subject, ratio)
    findings += _find_blindness(subject, first)
    return [Verdict(CHECK, seen, EXPECTED, tuple(findings))]


def _not_a_number(loss: Tensor) -> Verdict:
    shape = tuple(loss.shape)
    finding = Finding(
        "loss_reduction",
        "error",
        evidence={"values": float(loss.numel())},
        cause=f"The loss of a batch has the shape {shape} instead of being one number: it is not "
        "reduced.",
        remedy='Take the mean over the batch (reduction="mean").',
    )
    return Verdict(CHECK, f"a tensor {shape}", EXPECTED, (finding,))


def _not_finite(first: FirstPass, loss: float) -> Finding:
    broken = next((layer for layer in first.record.layers if not math.isfinite(layer.scale)), None)
    if broken is not None:
        weights = list(broken.module.parameters(recurse=False))
        if any(not bool(torch.isfinite(p).all()) for p in weights):
            cause = f"The initial weights of {broken.name} are not all finite: the loss is {loss}."
            return Finding("bad_init", "error", broken.name, cause=cause, remedy="Draw them anew.")
        cause = (
            f"The outputs of {broken.name} are not finite at the first step: the loss is {loss}."
        )
        remedy = "Make the initial weights or the inputs smaller."
        return Finding("exploding_or_nan", "error", broken.name, cause=cause, remedy=remedy)
    return Finding(
        "exploding_or_nan",
        "error",
        cause=f"The first loss is {loss} although the layers' outputs are finite: a logarithm, a "
        "root or a division within the model's end or the loss has no finite value.",
        remedy="Compute the loss from scores (cross_entropy, binary_cross_entropy_with_logits).",
    )


def _ratio_of_double(subject: Subject, first: FirstPass, loss: float) -> float | None:
    double = try_loss(
        subject.loss, _map(first.raw, lambda t: torch.cat([t, t])), torch.cat([first.targets] * 2)
    )
    return None if double is None or abs(loss) < 1e-12 else double / loss


def _map(values: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same outputs, perhaps nested, with each tensor of examples changed."""
    if isinstance(values, Tensor):
        return change(values.detach()) if values.ndim else values.detach()
    if isinstance(values, dict):
        return {name: _map(value, change) for name, value in values.items()}
    if isinstance(values, list | tuple):
        changed = [_map(value, change) for value in values]
        return type(values)(*changed) if hasattr(values, "_fields") else type(values)(changed)
    return values


def _find_reduction(subject: Subject, ratio: float) -> list[Finding]:
    if DIVIDES_TWICE < ratio < SUMS:
        return []
    evidence = {"ratio": ratio, "batch_size": float(subject.batch_size)}
    if ratio >= SUMS:
        adapts = type(subject.optimizer).__name__ in ADAPTIVE
        return [
            Finding(
                "loss_reduction",
                "warning" if adapts else "error",
                evidence=evidence,
                cause=f"The loss grows {ratio:.3g} times when the batch is doubled: it is a sum, "
                f"so that every step is about {subject.batch_size} times as long as for a mean.",
                remedy='Take the mean over the batch (reduction="mean").',
            )
        ]
    return [
        Finding(
            "loss_reduction",
            "warning",
            evidence=evidence,
            cause=f"The loss becomes {ratio:.3g} times as large when the batch is doubled: it is "
            f"divided by the batch size twice, and steps are about {subject.batch_size} times too "
            "short.",
            remedy="Divide by the number of examples once.",
        )
    ]


def _find_blindness(subject: Subject, first: FirstPass) -> list[Finding]:
    """A loss that targets in another order leave as it is."""
    targets = first.targets
    # What a model with several outputs is trained for may be among them.
    if not isinstance(first.raw, Tensor) or subject.task == "reconstruction":
        return []
    order = targets.flatten(1).float().sum(1).argsort() if targets.ndim > 1 else targets.argsort()
    # Half of the order away, so that as many targets as can be become others.
    others = torch.empty_like(targets)
    others[order] = targets[order.roll(len(order) // 2)]
    if torch.equal(others, targets):
        return []
    # Outputs of their own, since those of a model that knows nothing yet may be all alike.
    drawn = draw_like(first.raw, 1)[0]
    loss, other = (try_loss(subject.loss, drawn, wanted) for wanted in (targets, others))
    if loss is None or other is None or abs(other - loss) > SAME * max(abs(loss), 1e-6):
        return []
    return [
        Finding(
            "wrong_loss",
            "error",
            evidence={"loss": loss, "loss_with_others": other},
            cause=f"The loss stays {loss:.4g} when the examples exchange their targets: it does "
            "not depend on which target belongs to which example.",
            remedy="Compare the output of each example with its own target; mind the shapes.",
        )
    ]
