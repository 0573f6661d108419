"""Training and evaluation mode."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Code, Finding
from trainwell.watching.evaluation_calls import NOTHING_HEARD
from trainwell.watching.history import History


def judge_modes(history: History) -> Iterable[Finding]:
    """Passes in the wrong mode."""
    found = [*_mode(history), *_always_in_training(history)]
    yield from found or _validates_otherwise(history)


def _always_in_training(history: History) -> Iterable[Finding]:
    """Functions that do in evaluation mode what is for the training alone."""
    calls = history.probe.evaluation if history.probe is not None else NOTHING_HEARD
    if calls.dropout:
        yield Finding(
            code="eval_mode_bug",
            severity="warning",
            step=history.step,
            evidence={"dropout": calls.dropout},
            cause=f"In evaluation mode a function still drops {100 * calls.dropout:.0f} % of what "
            "it gets: predictions are drawn by chance.",
            remedy="Unless predictions are to be drawn, pass training=self.training to "
            "functional.dropout (dropout_p=0 to attention outside of training), or use nn.Dropout.",
            reference="PyTorch documentation of functional.dropout",
            source=calls.line,
        )
    elif _is_drawn(history):
        yield _report_chance(history)
    if calls.batch_statistics:
        yield Finding(
            code="batchnorm_misuse",
            severity="warning",
            step=history.step,
            cause="In evaluation mode functional.batch_norm still takes the statistics of what it "
            "gets, so a prediction depends on what else is in the batch.",
            remedy="Use nn.BatchNorm, which keeps running statistics for evaluation mode, or "
            "nn.LayerNorm to normalise each example by itself.",
            reference="Ioffe & Szegedy 2015",
            source=calls.line,
        )


def _is_drawn(history: History) -> bool:
    """Whether predictions of a model that learns from targets differ from pass to pass.

    What reproduces its inputs may well draw its codes, as a variational autoencoder does.
    """
    probe, told = history.probe, history.epochs
    variation = probe.variation if probe is not None else math.nan
    predicts = history.is_classification or history.facts.task == "regression"
    if probe is None or not math.isfinite(probe.train.loss):
        return False  # what is put out is no answer to the targets
    return variation > 0.05 and predicts and bool(told or history.modes.passes_in_eval)


def _report_chance(history: History) -> Finding:
    probe = history.probe
    variation = probe.variation if probe is not None else math.nan
    return Finding(
        code="eval_mode_bug",
        severity="warning",
        step=history.step,
        evidence={"variation": variation},
        cause="In evaluation mode two passes of the same examples give outputs that differ by "
        f"{100 * variation:.0f} % of their standard deviation: something is drawn by chance in "
        "each prediction.",
        remedy="Unless predictions are to be drawn, let noise and masks depend on self.training.",
        reference="PyTorch documentation of Module.eval",
    )


def _mode(history: History) -> Iterable[Finding]:
    """The first slip, of a model that is another in evaluation mode."""
    if _differing(history) and history.modes.steps >= 10:
        yield from [found for slip in _SLIPS if (found := slip(history)) is not None][:1]


def _differing(history: History) -> str:
    """Names of what does something else in evaluation mode; empty for nothing."""
    facts = history.facts
    there = (("dropout", facts.dropout > 0), ("batch norm", facts.batch_norms > 0))
    return " and ".join(name for name, is_there in there if is_there)


def _trains_in_evaluation(history: History) -> Finding | None:
    modes = history.modes
    if modes.steps_in_eval <= 0.25 * modes.steps:
        return None
    return Finding(
        code="eval_mode_bug",
        severity="error",
        step=history.step,
        evidence={"steps": modes.steps, "steps_in_eval": modes.steps_in_eval},
        cause=f"{modes.steps_in_eval} of {modes.steps} updates were made with the model in "
        f"evaluation mode, so its {_differing(history)} did not do what it does in training.",
        remedy="Call model.train() before the training steps of each epoch, after the "
        "validation has called model.eval().",
        reference="PyTorch documentation of Module.eval",
    )


def _is_traced(history: History) -> Finding | None:
    if history.modes.traced < 2:  # a single one may have counted operations
        return None
    return Finding(
        code="eval_mode_bug",
        severity="warning",
        step=history.step,
        evidence={"traces": history.modes.traced},
        cause=f"The model was traced in training mode, so {_differing(history)} stays active in "
        "the traced copy whatever its mode.",
        remedy="Call model.eval() before torch.jit.trace().",
        reference="PyTorch documentation of torch.jit.trace",
    )


def _relapses(history: History) -> Finding | None:
    modes = history.modes
    # Batch norm may be given statistics of the training batches, in training mode.
    if history.facts.batch_norms or modes.relapses < max(2, 0.5 * modes.occasions):
        return None
    return Finding(
        code="eval_mode_bug",
        severity="warning",
        step=history.step,
        evidence={"validations": modes.relapses},
        cause=f"In {modes.relapses} validations the first batch went through the model in "
        f"evaluation mode and the next in training mode: {_differing(history)} was active from "
        "then on.",
        remedy="Call model.eval() once before the validation and model.train() after it, in no "
        "function that is called for each batch.",
        reference="PyTorch documentation of Module.eval",
    )


def _validates_in_training(history: History) -> Finding | None:
    modes = history.modes
    # One that is made with nearly every update is a part of the training, as in a GAN.
    if modes.passes_in_eval or not 2 <= modes.occasions < 0.5 * modes.steps:
        return None
    return Finding(
        code="eval_mode_bug",
        severity="warning",
        step=history.step,
        evidence={"passes_without_gradients": modes.passes_in_training},
        cause=f"All {modes.passes_in_training} forward passes without gradients, so the "
        f"validation, ran in training mode: {_differing(history)} was active in them.",
        remedy="Call model.eval() before the validation and model.train() after it.",
        reference="PyTorch documentation of Module.eval",
    )


_SLIPS = (_trains_in_evaluation, _is_traced, _relapses, _validates_in_training)


def _validates_otherwise(history: History) -> Iterable[Finding]:
    """The validation's own loss is far above that of the same examples in evaluation mode."""
    graph, probe, facts = history.graph, history.probe, history.facts
    plain = graph is not None and graph.named and graph.reduction == "mean" and not graph.around
    # A loss that weights classes is another one than ours.
    plain = plain and abs(history.loss_factor - 1) < 0.05
    if probe is None or not plain or not (facts.batch_norms or facts.dropout) or not history.epochs:
        return
    last = history.epochs[-1]
    told, own = last.values.get("valid_loss", math.nan), probe.valid.loss
    # A loss that weights examples is another in the training too, dropout apart.
    trained = max(
        (x for x in (probe.on_train.loss, probe.as_trained.loss) if x > 0), default=math.inf
    )
    own *= max(1.0, last.values.get("train_loss", math.nan) / trained)
    same_weights = last.step == history.modes.steps
    if not same_weights or not told > 1.5 * own or told - own < 0.1 * history.chance:
        return
    explained = _explain_validation(history, told)
    if explained is None:
        return
    code, why, remedy = explained
    yield Finding(
        code=code,
        severity="warning",
        step=history.step,
        evidence={"valid_loss_told": told, "valid_loss": own},
        cause=f"The validation says a loss of {told:.3g}, but all of its examples together have "
        f"{own:.3g} in evaluation mode: {why}.",
        remedy=remedy,
        reference="Ioffe & Szegedy 2015",
    )


def _explain_validation(history: History, told: float) -> tuple[Code, str, str] | None:
    """Code, reason and remedy of a validation that differs from evaluation mode, if it is known."""
    facts, modes = history.facts, history.modes
    keeps = (
        "Keep running statistics (track_running_stats=True) and call model.eval() before the "
        "validation."
    )
    if facts.batch_norms and facts.norms_by_batch and not modes.occasions:
        why = "batch norm keeps no running statistics, so each prediction depends on its batch"
        return "batchnorm_misuse", why, keeps
    if modes.passes_in_eval or modes.occasions or modes.passes_per_update > 1.02:
        why = "its passes were made in training mode, or in batches that change the predictions"
        return "eval_mode_bug", why, keeps
    # Another copy is validated, whose weights may be averages: these lag behind, yet get better.
    first = history.probe.valid_at_first.loss if history.probe is not None else math.nan
    before = [e.values["valid_loss"] for e in history.epochs[:-1] if "valid_loss" in e.values]
    margin = 0.25 if told > min(before, default=math.inf) else 0.05
    if not abs(told - first) < margin * first:
        return None
    why = "it uses a copy whose batch norms have the running statistics that they began with"
    return "batchnorm_misuse", why, "Copy the whole state_dict(), buffers too."
