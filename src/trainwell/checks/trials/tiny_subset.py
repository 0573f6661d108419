"""Whether the model can fit a handful of examples, and whether it looks at their inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainwell.checks.subject import Subject
from trainwell.checks.trials.few_examples import FewExamples, Levels, choose_few, measure_levels
from trainwell.checks.trials.fitting_few import (
    FIRST_RATE,
    RATES,
    Attempt,
    count_steps,
    fit,
    search_further,
)
from trainwell.checks.trials.unfitted import explain_unfitted, find_break
from trainwell.checks.verdict import Verdict, skip
from trainwell.findings import Finding
from trainwell.nn.objective import OwnObjective
from trainwell.training.evaluation import evaluating

FIT, BLANK = "tiny subset", "blanked inputs"
UNFITTED = 0.5
"""Share of what a constant output leaves, above which nothing was fitted."""
UNFITTED_RECONSTRUCTION = 0.95
"""A bottleneck is meant to lose something."""
UNFITTED_IN_FEW_STEPS = 0.9
MANY_STEPS = 100
BLANK_FITS = 0.4
FEWEST_BLANK_STEPS = 20
RATES_OF_SLOW = (1e-3,)


@dataclass(frozen=True)
class Fitted:
    """A handful of examples, and how well they could be fitted.

    Attributes:
        few: The examples.
        attempt: The best one.
        levels: Losses to compare with.
        steps: That it might have taken.
    """

    few: FewExamples
    attempt: Attempt
    levels: Levels
    steps: int

    @property
    def share(self) -> float:
        """What is left of the loss of a constant output."""
        return self.levels.share(self.attempt.reached)


FEWEST_PARAMETERS = 2
"""A forecast by a mean or by the last value has none or one."""


def check_tiny_subset(subject: Subject) -> Sequence[Verdict]:
    """Fits a handful of examples to nearly no loss; then the same without their inputs.

    A network that can learn anything at all learns two examples of each class by heart; with
    blanked inputs it must not, or its outputs come from something else than the inputs.
    """
    few = choose_few(subject)
    if few is None:
        return [skip(FIT, "there are no two examples with different inputs and targets")]
    if sum(p.numel() for p in subject.model.parameters() if p.requires_grad) < FEWEST_PARAMETERS:
        return [skip(FIT, "the model has too few parameters to learn anything by heart")]
    steps = count_steps(subject, few)
    if not steps:
        return [skip(FIT, "a step of this model takes too long to fit anything in a few seconds")]
    if isinstance(subject.model, OwnObjective):
        return [_fit_own_measure(subject, few, steps)]
    levels = measure_levels(subject, few, _outputs_of(subject, few))
    if levels is None:
        return [skip(FIT, "what a perfect and what a constant output lose cannot be told")]
    fitted = Fitted(few, fit(subject, few, FIRST_RATE, steps, levels.enough), levels, steps)
    allowed = _allowed_share(subject, steps)
    if not fitted.share <= allowed:
        broken = find_break(subject, few, fitted.attempt, levels)
        if broken is not None:
            return [_describe(fitted, [broken])]
        fitted = _search_further(subject, fitted, allowed)
    if not fitted.share <= allowed:
        return [_describe(fitted, explain_unfitted(subject, few, fitted.attempt, fitted.levels))]
    if fitted.share > UNFITTED:
        return [_describe(fitted)]
    return [_describe(fitted), _blank(subject, fitted)]


def _outputs_of(subject: Subject, few: FewExamples) -> Tensor:
    with evaluating(subject.model), torch.no_grad():
        return subject.measure(subject.model, few.inputs, few.targets)[0]


def _allowed_share(subject: Subject, steps: int) -> float:
    allowed = UNFITTED_RECONSTRUCTION if subject.task == "reconstruction" else UNFITTED
    return allowed if steps >= MANY_STEPS else max(allowed, UNFITTED_IN_FEW_STEPS)


def _search_further(subject: Subject, first: Fitted, allowed: float) -> Fitted:
    steps, rates = first.steps, RATES if first.steps >= MANY_STEPS else RATES_OF_SLOW
    attempt = search_further(subject, first.few, steps, first.levels.enough, rates)
    found = min(first, replace(first, attempt=attempt), key=lambda fitted: fitted.share)
    if subject.task != "regression" or found.share <= allowed:
        return found
    # Targets far from zero take Adam more steps than there are: the same in a better unit.
    few = first.few.standardised()
    levels = measure_levels(subject, few, _outputs_of(subject, few))
    if levels is None:
        return found
    attempt = search_further(subject, few, steps, levels.enough, (FIRST_RATE, *rates))
    return min(found, Fitted(few, attempt, levels, steps), key=lambda fitted: fitted.share)


def _describe(fitted: Fitted, findings: Sequence[Finding] = ()) -> Verdict:
    attempt, levels = fitted.attempt, fitted.levels
    seen = (
        f"{len(fitted.few)} examples: loss {attempt.losses[0]:.4g}, then {attempt.reached:.3g} "
        f"after {len(attempt.losses)} steps"
    )
    expected = f"near {levels.floor:.2g}; {levels.constant:.3g} is what a constant output has"
    return Verdict(FIT, seen, expected, tuple(findings))


def _blank(subject: Subject, fitted: Fitted) -> Verdict:
    """Trains with blanked inputs for as long as it took with real ones."""
    attempt = fitted.attempt
    steps = max(FEWEST_BLANK_STEPS, len(attempt.losses))
    blank = fit(subject, fitted.few.blanked(), attempt.rate, steps, fitted.levels.enough)
    findings: tuple[Finding, ...] = ()
    if fitted.levels.share(blank.reached) < BLANK_FITS:
        findings = (_ignores_inputs(fitted, blank),)
    seen = f"loss {blank.reached:.3g} with blanked inputs, {attempt.reached:.3g} with real ones"
    expected = f"about {fitted.levels.constant:.3g}: without inputs, nothing tells examples apart"
    return Verdict(BLANK, seen, expected, findings)


def _ignores_inputs(fitted: Fitted, blank: Attempt) -> Finding:
    return Finding(
        "not_learning",
        "error",
        evidence={"loss": fitted.attempt.reached, "loss_with_blanked_inputs": blank.reached},
        cause=f"With every input zero the model fits different targets as well as with real inputs "
        f"(loss {blank.reached:.3g} and {fitted.attempt.reached:.3g}): its outputs come from "
        "something else, such as the place of an example in the batch.",
        remedy="Let each output depend on the input of its own example only.",
        reference="Karpathy 2019",
    )


def _fit_own_measure(subject: Subject, few: FewExamples, steps: int) -> Verdict:
    """For a model with an objective of its own: only whether its own measure falls."""
    attempt = fit(subject, few, FIRST_RATE, steps, -math.inf)
    first = attempt.losses[0]
    if not attempt.reached < first:
        return skip(FIT, "the model follows a rule of its own, which does not lower its measure")
    seen = f"{len(few)} examples: its own measure {first:.4g}, then {attempt.reached:.4g}"
    return Verdict(FIT, seen, f"below {first:.4g}")
