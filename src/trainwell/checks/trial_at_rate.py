"""What a few steps at the given learning rate do to the loss and to the weights."""

from __future__ import annotations

import copy
import math
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer

from trainwell.checks.first_pass import first_pass, sample_size
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.data.seeding import derive_seed
from trainwell.findings import Finding

CHECK = "steps at the given rate"
STEPS = 12
LAST = 4
RISES, RISES_WILDLY = 5.0, 50.0
"""The last losses against the first ones, or 1 where these are less."""
TINY_UPDATE = 1e-6
"""The largest relative change of a layer in one step; usual are 1e-4 to 1e-2."""
REFERENCE = "Karpathy, CS231n (2016)"


@dataclass(frozen=True)
class Course:
    """What a few steps showed.

    Attributes:
        losses: Before each step, on another batch each time.
        update: The largest relative change of a layer's weights in one step, in the median.
    """

    losses: tuple[float, ...]
    update: float


def check_trial_at_rate(subject: Subject) -> Sequence[Verdict]:
    """Makes a few steps with a copy of the optimiser on a copy of the model.

    Args:
        subject: Whose model and optimiser are copied.
    """
    if subject.optimizer is None:
        return [skip(CHECK, "no optimiser is given")]
    first = subject.once(first_pass)
    if not first.is_complete or first.loss is None or first.loss.numel() != 1:
        return [skip(CHECK, first.error or "there is no loss of one number")]
    course = _try(subject)
    if course is None:
        return [skip(CHECK, "the optimiser cannot make a step by itself")]
    began, ended = course.losses[0], statistics.median(course.losses[-LAST:])
    seen = f"loss {began:.3g} to {ended:.3g}, changes of {course.update:.1e} of the weights"
    expected = "the loss does not rise, the weights change by about 1e-3"
    found = _find_too_high(subject, course) or _find_too_low(subject, course)
    return [Verdict(CHECK, seen, expected, tuple(found))]


def _try(subject: Subject) -> Course | None:
    # Copied together, the optimiser's parameters are those of the copied model.
    model, optimizer = copy.deepcopy((subject.model, subject.optimizer))
    assert optimizer is not None
    model.train()
    generator = torch.Generator().manual_seed(derive_seed(subject.seed, CHECK))
    count = min(subject.batch_size, sample_size(subject))
    losses, updates = [], []
    for _ in range(STEPS):
        inputs, targets = subject.examples(subject.train.sample(count, generator))
        try:
            loss, update = _step(subject, model, optimizer, inputs, targets)
        except (TypeError, RuntimeError):
            return None
        losses.append(loss)
        updates.append(update)
        if not math.isfinite(loss):
            break
    return Course(tuple(losses), statistics.median(updates))


def _step(
    subject: Subject,
    model: nn.Module,
    optimizer: Optimizer,
    inputs: torch.Tensor,
    targets: torch.Tensor,
) -> tuple[float, float]:
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    before = [p.detach().clone() for p in weights]
    optimizer.zero_grad()
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        _, loss = subject.measure(model, inputs, targets)
        loss.backward()
    optimizer.step()
    with torch.no_grad():
        changes = [
            float((p - old).norm() / old.norm())
            for p, old in zip(weights, before, strict=True)
            if bool(old.any())
        ]
    # Weights that begin at zero change without measure.
    return float(loss.detach()), max(changes, default=1.0)


def _find_too_high(subject: Subject, course: Course) -> list[Finding]:
    losses = course.losses
    is_broken = not all(math.isfinite(loss) for loss in losses)
    base = max(1.0, abs(losses[0]))
    lowest_of_last = min(losses[-LAST:]) if not is_broken else math.inf
    rose = lowest_of_last / base
    if not is_broken and rose <= RISES:
        return []
    rate = subject.learning_rate or 0.0
    told = (
        "becomes infinite or NaN"
        if is_broken
        else f"rises from {losses[0]:.3g} to {losses[-1]:.3g}"
    )
    return [
        Finding(
            "lr_too_high",
            "error" if rose > RISES_WILDLY else "warning",
            evidence={"learning_rate": rate, "rise": rose, "update_ratio": course.update},
            cause=f"At the learning rate {rate:g} the loss {told} within {len(losses)} steps; "
            f"each changes weights by up to {course.update:.2g} of their size.",
            remedy="Halve the learning rate until the loss does not rise.",
            reference=REFERENCE,
        )
    ]


def _find_too_low(subject: Subject, course: Course) -> list[Finding]:
    if course.update >= TINY_UPDATE or course.update == 0:
        return []
    rate = subject.learning_rate or 0.0
    return [
        Finding(
            "lr_too_low",
            "warning",
            evidence={"learning_rate": rate, "update_ratio": course.update},
            cause=f"At the learning rate {rate:g} a step changes weights by at most "
            f"{course.update:.1e} of their size: about {1 / course.update:.0e} steps to change "
            "them.",
            remedy="Raise the learning rate about tenfold until changes are near 1e-3.",
            reference=REFERENCE,
        )
    ]
