"""Why a handful of examples could not be fitted."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import nn

from trainwell.checks.subject import Subject
from trainwell.checks.trials.few_examples import FewExamples, Levels, width_of
from trainwell.checks.trials.fitting_few import Attempt, fit, silence
from trainwell.checks.trials.input_path import find_lost
from trainwell.findings import Code, Finding, Severity
from trainwell.training.evaluation import evaluating

REFERENCE = "Karpathy 2019"
LINEAR_RATE, LINEAR_STEPS = 0.05, 300
ALLOWANCE = 1.25
"""Times what is left by a linear model: as good as that is an honest failure."""
NOTHING_LEARNT = 0.9
CONTRADICTORY = 0.2
NARROW = 2
NEAR = 0.02
"""A limit, as far as an activation comes up to it."""


def find_break(
    subject: Subject, few: FewExamples, attempt: Attempt, levels: Levels
) -> Finding | None:
    """What in the network keeps any training from working; None where nothing is seen.

    Args:
        subject: Of the examples.
        few: What could not be fitted.
        attempt: The first, or the best.
        levels: Losses to compare with.
    """
    tell = _Teller(few, attempt, levels)
    if not math.isfinite(attempt.losses[0]):
        cause = "the very first loss is not finite"
        remedy = "Look for a logarithm or a division by zero in the model and its loss."
        return tell.finding("exploding_or_nan", "error", "", cause, remedy)
    severed = _find_severed(subject, few)
    if severed is not None:
        return tell.finding("detach_inplace", "error", *severed)
    lost = find_lost(silence(subject.replica()), few.inputs)
    if lost is None or find_lost(attempt.model, few.inputs) is None:
        return None
    cause = f"all examples look alike behind {lost.name}: {lost.reason}"
    remedy = "Take initial weights that suit the activation, and biases of zero."
    if not lost.name:
        cause, remedy = lost.reason, "Let the outputs depend on what forward is given."
    return tell.finding(lost.code, "error", lost.name, cause, remedy)


def explain_unfitted(
    subject: Subject, few: FewExamples, attempt: Attempt, levels: Levels
) -> list[Finding]:
    """What else may be the cause; nothing where a linear model fits no better.

    Args:
        subject: Of the examples.
        few: What could not be fitted.
        attempt: The best.
        levels: Losses to compare with.
    """
    tell = _Teller(few, attempt, levels)
    share = levels.share(attempt.reached)
    if _is_as_good_as_linear(subject, few, levels, share):
        return []
    return [_tell_symptom(tell, subject, few, attempt, share)]


class _Teller:
    """Puts the numbers of an attempt into each finding."""

    def __init__(self, few: FewExamples, attempt: Attempt, levels: Levels) -> None:
        self.evidence = {
            "examples": len(few),
            "initial_loss": attempt.losses[0],
            "loss": attempt.reached,
            "loss_of_constant": levels.constant,
        }

    def finding(
        self, code: Code, severity: Severity, where: str, cause: str, remedy: str
    ) -> Finding:
        start, reached = self.evidence["initial_loss"], self.evidence["loss"]
        seen = (
            f"{self.evidence['examples']} examples cannot be fitted (loss {start:.4g}, then at "
            f"best {reached:.4g})"
        )
        return Finding(
            code,
            severity,
            where,
            evidence=self.evidence,
            cause=f"{seen}: {cause}.",
            remedy=remedy,
            reference=REFERENCE,
        )


def _find_severed(subject: Subject, few: FewExamples) -> tuple[str, str, str] | None:
    """Parameters that the gradient does not reach: where, cause and remedy."""
    model = silence(subject.replica())
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    with torch.enable_grad():
        _, loss = subject.measure(model, few.inputs, few.targets)
        if not loss.requires_grad:
            names = [name for name, _ in trained]
        else:
            loss.backward()
            names = [name for name, p in trained if p.grad is None]
    if not names:
        return None
    shown = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    cause = f"the gradient does not reach {len(names)} of {len(trained)} parameters ({shown})"
    remedy = (
        "Look for detach(), .data, torch.no_grad(), .item() or numpy between these parameters and "
        "the loss, and for layers that are not used."
    )
    return ", ".join(names), cause, remedy


def _is_as_good_as_linear(subject: Subject, few: FewExamples, levels: Levels, share: float) -> bool:
    """Whether a linear model leaves nearly as much: few inputs may not tell the targets apart."""
    inputs = few.inputs.flatten(1)
    if not inputs.is_floating_point():
        return False
    inputs = (inputs - inputs.mean(0)) / inputs.std(0).clamp(min=1e-6)
    width = max(1, few.targets[0].numel())
    if subject.task in ("binary", "multiclass"):
        width = _outputs_of(subject, few)
    linear = nn.Linear(inputs.shape[1], width).to(inputs.device, inputs.dtype)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    plain = replace(subject, model=linear)
    try:
        best = fit(plain, replace(few, inputs=inputs), LINEAR_RATE, LINEAR_STEPS, -math.inf)
    except (RuntimeError, ValueError):
        return False
    return share <= ALLOWANCE * levels.share(best.reached) + 0.02


def _outputs_of(subject: Subject, few: FewExamples) -> int:
    with torch.no_grad():
        outputs, _ = subject.measure(silence(subject.replica()), few.inputs, few.targets)
    return width_of(outputs)


def _tell_symptom(
    tell: _Teller, subject: Subject, few: FewExamples, attempt: Attempt, share: float
) -> Finding:
    severity: Severity = "error" if share > NOTHING_LEARNT else "warning"
    if few.contradictions > CONTRADICTORY:
        cause = (
            f"{few.contradictions:.0%} of the examples have the same input as one of another class"
        )
        return tell.finding("corrupted_labels", severity, "", cause, "Mend the labels.")
    limits = _limits_reached(attempt.model, few)
    if limits is not None:
        cause = (
            f"its outputs stay between {limits[0]:g} and {limits[1]:g}, and the loss wants others"
        )
        remedy = "Leave out the last activation, or take the loss that goes with it."
        return tell.finding("output_activation", severity, "", cause, remedy)
    narrow = _narrowest(subject.model)
    if narrow is not None and share <= NOTHING_LEARNT:
        name, width = narrow
        cause = f"{name} is only {width} wide, and what it lets through does not tell them apart"
        return tell.finding("underfitting", severity, name, cause, "Make this layer wider.")
    cause = "nothing that could be told apart explains it"
    remedy = (
        "Look at the other findings first; then at the shapes in the loss, the last activation and "
        "the gradients (check_gradients)."
    )
    return tell.finding("not_learning", severity, "", cause, remedy)


def _limits_reached(model: nn.Module, few: FewExamples) -> tuple[float, float] | None:
    """The limits of the last activation, where fitted outputs have come up to them."""
    with evaluating(model), torch.no_grad():
        outputs = model(few.inputs)
    low, high = float(outputs.min()), float(outputs.max())
    for limits in ((0.0, 1.0), (-1.0, 1.0)):
        if limits[0] <= low <= limits[0] + NEAR and limits[1] - NEAR <= high <= limits[1]:
            return limits
    return None


def _narrowest(model: nn.Module) -> tuple[str, int] | None:
    """A hidden layer of one or two units; None where there is none."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    layers = [
        (name, m.weight.shape[0]) for name, m in model.named_modules() if isinstance(m, kinds)
    ]
    hidden = [layer for layer in layers[:-1] if layer[1] <= NARROW]
    return min(hidden, key=lambda found: found[1], default=None)
