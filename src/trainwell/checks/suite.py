"""All checks, in the order in which they are made."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from trainwell.checks.data.augmentation import check_augmentation
from trainwell.checks.data.balance import check_balance
from trainwell.checks.data.duplicates import check_duplicates
from trainwell.checks.data.label_leak import check_label_leak
from trainwell.checks.data.label_noise import check_label_noise
from trainwell.checks.data.labels import check_labels
from trainwell.checks.data.near_duplicates import check_near_duplicates
from trainwell.checks.data.order import check_order
from trainwell.checks.data.scales import check_scales
from trainwell.checks.data.split_scale import check_split_scale
from trainwell.checks.data.values import check_values
from trainwell.checks.gradients.gradient_check import look_at_gradients
from trainwell.checks.initial_state.activations import check_activations
from trainwell.checks.initial_state.batch_normalisation import check_batch_normalisation
from trainwell.checks.initial_state.dropout_strength import check_dropout_strength
from trainwell.checks.initial_state.evaluation_mode import check_evaluation_mode
from trainwell.checks.initial_state.first_pass import first_pass, first_pass_size
from trainwell.checks.initial_state.given_optimizer import check_given_optimizer
from trainwell.checks.initial_state.gradient_scale import check_gradient_scale
from trainwell.checks.initial_state.initial_loss import check_initial_loss
from trainwell.checks.initial_state.initial_weights import check_initial_weights
from trainwell.checks.initial_state.loss_fits import check_loss_fits
from trainwell.checks.initial_state.loss_reduction import check_loss_reduction
from trainwell.checks.initial_state.output_range import check_output_range
from trainwell.checks.initial_state.parameters import check_parameters
from trainwell.checks.initial_state.trained_parameters import check_trained_parameters
from trainwell.checks.state_as_found import state_as_found
from trainwell.checks.stopwatch import Stopwatch
from trainwell.checks.subject import Subject
from trainwell.checks.trials.learning_rate import check_learning_rate
from trainwell.checks.trials.tiny_subset import check_tiny_subset
from trainwell.checks.verdict import CheckReport, Verdict, skip
from trainwell.errors import TrainwellError, first_line

Check = Callable[[Subject], Sequence[Verdict]]


@dataclass(frozen=True)
class NamedCheck:
    """One check of the suite.

    Attributes:
        name: By which it can be asked for.
        run: Looks at a subject, which it leaves as it is.
        is_cheap: Whether `fit` makes it before every training.
        needs_healthy_data: Whether it runs the model on the data, which data at fault would spoil.
        judges_data: Whether an error that it finds makes the data unfit to be run through a model.
        needs_pass: Whether it looks at the first pass of the model.
        passes: Forward passes that it makes besides the first one, at most.
    """

    name: str
    run: Check
    is_cheap: bool = False
    needs_healthy_data: bool = True
    judges_data: bool = False
    needs_pass: bool = False
    passes: int = 0


CHECKS: tuple[NamedCheck, ...] = (
    NamedCheck("values", check_values, is_cheap=True, needs_healthy_data=False, judges_data=True),
    NamedCheck("labels", check_labels, is_cheap=True, needs_healthy_data=False, judges_data=True),
    NamedCheck("balance", check_balance, is_cheap=True, needs_healthy_data=False),
    NamedCheck("duplicates", check_duplicates, is_cheap=True, needs_healthy_data=False),
    NamedCheck("order", check_order, is_cheap=True, needs_healthy_data=False),
    NamedCheck("scales", check_scales, is_cheap=True),
    NamedCheck("split scale", check_split_scale, is_cheap=True),
    NamedCheck("label leak", check_label_leak, is_cheap=True),
    NamedCheck("near duplicates", check_near_duplicates),
    NamedCheck("label noise", check_label_noise),
    NamedCheck("augmentation", check_augmentation),
    NamedCheck("initial weights", check_initial_weights, is_cheap=True, needs_pass=True),
    NamedCheck("initial loss", check_initial_loss, is_cheap=True, needs_pass=True),
    NamedCheck("loss and targets", check_loss_fits, is_cheap=True, needs_pass=True),
    NamedCheck("loss over a batch", check_loss_reduction, is_cheap=True, needs_pass=True),
    NamedCheck("range of the outputs", check_output_range, is_cheap=True, needs_pass=True),
    NamedCheck("activations", check_activations, is_cheap=True, needs_pass=True),
    NamedCheck("gradient in the layers", check_gradient_scale, is_cheap=True, needs_pass=True),
    NamedCheck("parameters", check_parameters, is_cheap=True, needs_pass=True, passes=8),
    NamedCheck("trained parameters", check_trained_parameters, is_cheap=True, needs_pass=True),
    NamedCheck("evaluation mode", check_evaluation_mode, is_cheap=True, needs_pass=True, passes=12),
    NamedCheck("batch normalisation", check_batch_normalisation, is_cheap=True, needs_pass=True),
    NamedCheck("dropout", check_dropout_strength, is_cheap=True, needs_pass=True),
    NamedCheck("optimiser", check_given_optimizer, is_cheap=True, needs_pass=True),
    NamedCheck("gradients", look_at_gradients),
    NamedCheck("tiny subset", check_tiny_subset),
    NamedCheck("learning rate", check_learning_rate),
)


def run_checks(
    subject: Subject, checks: Sequence[NamedCheck], limit: float = math.inf
) -> CheckReport:
    """What these checks say; model, optimiser and random numbers are left as they were found.

    Args:
        subject: What is checked.
        checks: Made in this order.
        limit: Seconds after which no further one is begun, nor one whose passes would take longer.
    """
    began, watch = time.monotonic(), Stopwatch()
    subject = replace(subject, seconds=limit)
    verdicts: list[Verdict] = []
    is_data_healthy = True
    with state_as_found(subject.model, subject.optimizer, subject.seed, subject.device):
        for check in checks:
            if check.needs_healthy_data and not is_data_healthy:
                verdicts.append(skip(check.name, "the data must be mended first"))
                continue
            if watch.read() + _expect_seconds(check, subject) > limit:
                verdicts.append(skip(check.name, f"left out, to stay within {limit:g} s"))
                continue
            said = _make(check, subject)
            verdicts += said
            if check.judges_data:
                is_data_healthy &= not any(f.severity == "error" for v in said for f in v.findings)
    return CheckReport(tuple(verdicts), subject.title, time.monotonic() - began)


def _expect_seconds(check: NamedCheck, subject: Subject) -> float:
    """That its passes will take at most."""
    if not (check.needs_pass or check.passes) or math.isinf(subject.seconds):
        return 0.0
    made = subject.already(first_pass)
    if made is None:
        return subject.once(first_pass_size).seconds
    return check.passes * made.seconds


def _make(check: NamedCheck, subject: Subject) -> Sequence[Verdict]:
    """What a check says; one that fails by itself must not keep anybody from training."""
    try:
        return check.run(subject)
    except TrainwellError as error:
        return [skip(check.name, str(error))]
    except Exception as error:
        reason = f"it could not be made: {type(error).__name__}: {first_line(error)}"
        return [skip(check.name, reason)]
